"""The AWS emulators for playbooks under test, and plays of single roles against them."""

import contextlib
import json
import os
from pathlib import Path

import boto3
from playbook import PLAYBOOKS, run

from skylens.local import children, environment
from skylens.local.emulators import Emulators
from skylens.local.probe import Probe

HERE = Path(__file__).parent


class WithRolesAnywhere(Emulators):
    """moto with the CloudFormation types that the playbooks use."""

    def _child(self, name, arguments, variables):
        served = [argument.replace("skylens.local.moto_server", "anywhere_moto") for argument in arguments]
        return super()._child(name, served, {**variables, "PYTHONPATH": str(HERE)})


@contextlib.contextmanager
def emulated(folder):
    """The AWS variables of emulators that run until the block is left. ``folder``: for their logs."""
    emulators, probe = WithRolesAnywhere(environment.base(os.environ, folder), folder, folder), Probe(lambda: False)
    try:
        emulators.start()
        emulators.await_ready(probe)
        yield emulators.environment()
    finally:
        children.kill(emulators.children, print)
        emulators.close()
        probe.close()


def client(variables, service):
    endpoint = variables.get(f"AWS_ENDPOINT_URL_{service.upper()}", variables["AWS_ENDPOINT_URL"])
    key = variables["AWS_ACCESS_KEY_ID"]
    return boto3.client(service, "us-east-1", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=key)


class Deployment:
    """One deployment's roles, run against the emulators; ``folder`` is its inventory's."""

    def __init__(self, folder, variables, name, **settings):
        """``settings``: what a user sets."""
        self.folder, self.variables, self.name, self.settings = folder, variables, name, settings
        self.secrets = folder / "secrets"
        (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")

    def client(self, service):
        return client(self.variables, service)

    def play(self, *roles, check=False, extra=None):
        """Run these roles, or tasks, in order. ``extra``: variables from the command line."""
        named = [role if isinstance(role, dict) else {"import_role": {"name": role}} for role in roles]
        tasks = [{f"ansible.builtin.{name}": what for name, what in task.items()} for task in named]
        playbook = self.folder / "play.json"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        given = {
            "skylens_deployment": self.name,
            "skylens_sides": ["aws"],
            "skylens_open_door": True,
            "skylens_secrets": str(self.secrets),
            **self.settings,
        }
        more = {"skylens_source": str(PLAYBOOKS.parent), **(extra or {})}
        arguments = ["-e", json.dumps(more), *(["--check"] if check else [])]
        done = run(playbook, given, self.variables, *arguments, folder=self.folder)
        assert done.rc == 0, done.output
        return done
