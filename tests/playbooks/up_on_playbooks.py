"""``skylens up`` on buckets, queues and a template that playbooks made: `up_on_playbooks.py FOLDER [up's arguments]`.

FOLDER is the inventory's, and keeps what each playbook printed.
"""

import os
import sys
from pathlib import Path

from playbook import PLAYBOOKS, run

from skylens.cli import main
from skylens.errors import SkylensError
from skylens.local import resources
from skylens.local.environment import REGION
from skylens.local.tiers import Options

AWS_SIDE = ("provision.yml", "bake.yml")


class PlaybookError(SkylensError):
    code, title = "playbook", "A playbook failed"


def variables(folder: Path, settings, user_data) -> dict[str, object]:
    common = Options().common()
    own = {name: value for name, value in user_data.items() if name not in {*common, "model"}}
    return {
        "skylens_deployment": settings.deployment,
        "skylens_region": REGION,
        "skylens_sides": ["aws"],
        "skylens_settings": {"visibility_timeout": settings.visibility_timeout},
        "skylens_worker_settings": own,
        "skylens_worker_ami": resources.IMAGE,
        "skylens_aws_credentials": "key",
        "skylens_open_door": True,
        "skylens_secrets": str(folder / "secrets"),
    }


def play(folder: Path, environment, given) -> None:
    for name in AWS_SIDE:
        done = run(PLAYBOOKS / name, given, environment, folder=folder)
        (folder / f"{name}.txt").write_text(done.output)
        if done.rc:
            raise PlaybookError(f"{name} ended with {done.rc}:\n{done.output[-4000:]}")


def from_playbooks(folder: Path):
    def create(clients, settings, user_data) -> None:
        aws = {name: value for name, value in clients._variables.items() if name.startswith("AWS_")}
        play(folder, aws, variables(folder, settings, user_data))

    return create


if __name__ == "__main__":
    resources.create = from_playbooks(Path(sys.argv[1]))
    os.environ.pop("PYTHONSAFEPATH", None)
    sys.exit(main(["up", *sys.argv[2:]]))
