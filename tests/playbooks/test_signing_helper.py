"""AWS's signing helper comes to a web node from a file of the control node only if it is the one that is meant."""

import hashlib
import json
import os

from playbook import PLAYBOOKS, run

TEXT = b"#!/bin/sh\n"
TASKS = [{"ansible.builtin.include_role": {"name": "web_node", "tasks_from": "signing_helper"}}]


def bring(folder, digest):
    """Play it on this machine. ``folder`` is also HOME."""
    (folder / "helper").write_bytes(TEXT)
    (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": TASKS}]))
    settings = {"skylens_signing_helper": "~/helper", "skylens_signing_helper_sha256": digest}
    extra = {"skylens_checked": True, "ansible_become": False, "web_node_helper": str(folder / "on the node")}
    extra |= {"web_node_helper_owner": os.geteuid(), "web_node_helper_group": os.getegid()}
    return run(folder / "play.json", settings, {}, "-e", json.dumps(extra), folder=folder)


def test_the_one_that_is_meant_is_copied(tmp_path):
    done = bring(tmp_path, hashlib.sha256(TEXT).hexdigest())
    assert done.rc == 0, done.output
    assert (tmp_path / "on the node").read_bytes() == TEXT


def test_another_one_is_not_and_the_message_names_both_digests(tmp_path):
    done = bring(tmp_path, "0" * 64)
    assert done.rc != 0
    said = " ".join(done.output.split())
    assert f"SHA-256 is {hashlib.sha256(TEXT).hexdigest()} and not {'0' * 64}, as skylens_signing_helper_sha256" in said
    assert not (tmp_path / "on the node").exists()
