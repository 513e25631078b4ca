"""``skylens up`` on buckets, queues and a template that playbooks made: `up_on_playbooks.py FOLDER up ...`.

FOLDER is the inventory's, and keeps what each playbook printed.
"""

import json
import os
import sys
from pathlib import Path

from aws_emulators import WithRolesAnywhere
from playbook import PLAYBOOKS, Run, run

from skylens.cli import main
from skylens.errors import SkylensError
from skylens.local import cloud, resources
from skylens.local.environment import REGION
from skylens.local.tiers import Options

AWS_SIDE = ("provision.yml", "bake.yml")


class PlaybookError(SkylensError):
    code, title = "playbook", "A playbook failed"


def register_image(ec2) -> str:
    """An AMI, for the emulator has none; what runs on an instance is a worker process of this machine."""
    return ec2.register_image(Name="worker", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]


def variables(folder: Path, settings, user_data, ami: str) -> dict[str, object]:
    common = Options().common()
    own = {name: value for name, value in user_data.items() if name not in {*common, "model"}}
    return {
        "skylens_deployment": settings.deployment,
        "skylens_region": REGION,
        "skylens_sides": ["aws"],
        "skylens_settings": {"visibility_timeout": settings.visibility_timeout},
        "skylens_worker_settings": own,
        "skylens_worker_ami": ami,
        "skylens_aws_credentials": "key",
        "skylens_open_door": True,
        "skylens_secrets": str(folder / "secrets"),
    }


def again(folder: Path, environment, name: str, *arguments: str) -> Run:
    """Run a playbook with the variables that ``up`` was started with."""
    done = run(
        PLAYBOOKS / name, json.loads((folder / "given.json").read_text()), environment, *arguments, folder=folder
    )
    with (folder / f"{name}.txt").open("a") as printed:
        printed.write(done.output)
    return done


def from_playbooks(folder: Path):
    def create(clients, settings, user_data) -> None:
        given = variables(folder, settings, user_data, register_image(clients.ec2()))
        (folder / "given.json").write_text(json.dumps(given))
        for name in AWS_SIDE:
            done = again(folder, clients._variables, name)
            if done.rc:
                raise PlaybookError(f"{name} ended with {done.rc}:\n{done.output[-4000:]}")

    return create


if __name__ == "__main__":
    resources.create, cloud.Emulators = from_playbooks(Path(sys.argv[1])), WithRolesAnywhere
    os.environ.pop("PYTHONSAFEPATH", None)
    sys.exit(main(sys.argv[2:]))
