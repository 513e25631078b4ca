"""Makes a tier of the embedded cloud obey its policy: a call that the policy does not allow is refused, as AWS would.

Each tier is a process of its own, so this gets in as the ``sitecustomize`` of a folder on PYTHONPATH.
"""

import json
import os
from pathlib import Path

from botocore.exceptions import ClientError
from iam import allows, questions

TIERS = ("web", "worker", "scaler")
BESIDE = """\
import sys
sys.path.append({here!r})
import judge
judge.watch({folder!r}, sys.orig_argv)
"""


def prepare(folder, policies):
    """The PYTHONPATH with which each process obeys; ``policies``: one for each tier."""
    for tier, policy in policies.items():
        (folder / f"{tier}.json").write_text(json.dumps(policy))
    (folder / "sitecustomize.py").write_text(BESIDE.format(here=str(Path(__file__).parent), folder=str(folder)))
    return str(folder)


def watch(folder, command):
    """Judge every call of this process from now on, if it is a tier."""
    tier = next((word for word in command if word in TIERS), None)
    if tier is None or "skylens.cli" not in command:
        return
    from botocore.client import BaseClient

    policy = json.loads((Path(folder) / f"{tier}.json").read_text())
    call = BaseClient._make_api_call

    def judged(self, operation_name, kwarg):
        refused = [asked for asked in questions(operation_name, kwarg, TAGS) if not allows(policy, asked)]
        note(folder, tier, operation_name, refused)
        if refused:
            error = {"Code": "AccessDenied", "Message": f"{tier} may not {refused[0].action} {refused[0].resource}"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, operation_name)
        return call(self, operation_name, kwarg)

    BaseClient._make_api_call = judged


TAGS = {"skylens:deployment": "local"}
"""Of every instance, template, subnet and image of the embedded cloud, as far as IAM is concerned."""


def note(folder, tier, operation, refused):
    """One line a call; lines of many processes do not mix, for each is one short write to the end."""
    line = json.dumps([tier, operation, [asked.action for asked in refused]]) + "\n"
    file = os.open(Path(folder) / "calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def notes(folder):
    """Of each call that was made: tier, operation, actions that were refused."""
    return [json.loads(line) for line in (Path(folder) / "calls").read_text().splitlines()]
