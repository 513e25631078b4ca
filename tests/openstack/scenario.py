"""A deployment's private side, built by the playbooks' own roles in the cloud of private_cloud."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from playbook import PLAYBOOKS, Run, kill, run
from private_cloud import CLOUD, environment

PLAYS = """\
- name: The private side, as provision.yml makes it
  hosts: localhost
  gather_facts: false
  tags: [never, build]
  roles: [openstack_network, openstack_image, openstack_servers]
- name: Its hosts, as deploy.yml finds them
  hosts: localhost
  gather_facts: false
  tags: [never, find]
  roles: [web_hosts]
  tasks:
    - name: Who they are
      ansible.builtin.copy:
        dest: "{{ inventory_dir }}/found.json"
        mode: "0600"
        content: "{{ {'endpoint': skylens_endpoint,
          'balancer': groups.balancer | default([]),
          'web': dict(groups.web | zip(groups.web | map('extract', hostvars, 'ansible_host'))),
          'private': dict(groups.web | zip(groups.web | map('extract', hostvars, 'web_hosts_private_address')))}
          | to_json }}"
- name: Older credentials, as the end of a deployment revokes them
  hosts: localhost
  gather_facts: false
  tags: [never, revoke]
  tasks:
    - name: Revoke them
      ansible.builtin.import_role: {name: openstack_servers, tasks_from: revoke}
- name: Its end, as teardown.yml makes it
  hosts: localhost
  gather_facts: false
  tags: [never, end]
  roles: [openstack_teardown]
"""


class Deployment:
    """One that is called ``lab``. Its inventory, secrets and files are in ``folder``."""

    name = "lab"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.playbook = folder / "plays.yml"
        self.playbook.write_text(PLAYS)
        shutil.copytree(PLAYBOOKS / "group_vars", folder / "group_vars")
        files = {"image": "image.qcow2", "kernel": "vmlinuz", "initrd": "initrd"}
        for name in files.values():
            (folder / name).write_bytes(os.urandom(100_000))
        self.variables: dict[str, Any] = {
            "skylens_source": str(PLAYBOOKS.parent),
            "skylens_sides": ["openstack"],
            "skylens_deployment": self.name,
            "skylens_open_door": True,
            "skylens_aws_credentials": "key",
            "skylens_cloud": CLOUD,
            "skylens_web_flavor": "m1.tiny",
            "skylens_web_image": "lab-image",
            "skylens_web_image_file": str(folder / files["image"]),
            "skylens_web_image_kernel": str(folder / files["kernel"]),
            "skylens_web_image_initrd": str(folder / files["initrd"]),
            "skylens_web_image_properties": {"os_command_line": "root=/dev/vda"},
            "skylens_external_network": "public",
            "skylens_admin_networks": ["172.24.4.0/24", "2001:db8::/32"],
        }

    def play(self, tag: str, *arguments: str, **variables: Any) -> Run:
        return run(
            self.playbook,
            {**self.variables, **{f"skylens_{name}": value for name, value in variables.items()}},
            self._environment,
            "--tags",
            tag,
            "-e",
            f"skylens_source={PLAYBOOKS.parent}",
            *arguments,
            folder=self.folder,
        )

    def build(self, *arguments: str, **variables: Any) -> Run:
        return self.play("build", *arguments, **variables)

    def end(self, *arguments: str) -> Run:
        return self.play("end", "-e", f"skylens_confirm={self.name}", *arguments)

    def find(self, **variables: Any) -> dict[str, Any]:
        found = self.play("find", **variables)
        assert found.rc == 0, found.output
        return json.loads((self.folder / "found.json").read_text())

    def killed(self, tag: str, task: int, seconds: float) -> str:
        """Kill the play with all its processes, ``seconds`` after it began its ``task``; which one that was.

        It is the inventory of the play before it that it takes.
        """
        given = ["-e", f"skylens_source={PLAYBOOKS.parent}", "-e", f"skylens_confirm={self.name}", "--tags", tag]
        reached = kill(
            self.playbook,
            self._environment,
            *given,
            folder=self.folder,
            task=task,
            seconds=seconds,
            roles="openstack_",
        )
        assert reached, "the play was over already"
        return reached

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **environment(),
            "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles"),
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        }
