"""Whom the first connection to a new machine believes: who has the console's keys, and only on demand anybody."""

import json
import re

import pytest
import yaml
from consoles import INSTANCE, Ec2, Nova, answering, console, environment
from playbook import PLAYBOOKS, run

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP3u8n2lXq1m0v5E8aF3rYw1h0b7u5m9tJcR2sQxZd"
BELIEVE = {"skylens_believe_first_key": True}


def strict(folder, host):
    """What ``ssh`` is told about the host's keys."""
    said = json.loads((folder / "said.json").read_text())[host]
    (found,) = re.findall(r"StrictHostKeyChecking=(\S+)", said)
    return found


def told(what):
    return {"ansible.builtin.copy": {"content": f"{{{{ {what} | to_json }}}}", "dest": "{{ inventory_dir }}/said.json"}}


def play(folder, tasks, variables, env):
    """Play them as if all settings were known to be good, and with no patience for a console that tells nothing."""
    (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    extra = {"skylens_checked": True, "skylens_source": str(PLAYBOOKS.parent)}
    extra |= {"aws_image_patience": 0, "web_hosts_patience": 0, **variables}
    return run(folder / "play.json", {}, env, "-e", json.dumps(extra), folder=folder)


# -- the builder of the workers' image, in EC2 -----------------------------------------------------------------------


def meet_builder(folder, text, **variables):
    tasks = [
        {"ansible.builtin.file": {"path": "{{ inventory_dir }}/secrets", "state": "directory"}},
        {"ansible.builtin.include_role": {"name": "aws_image", "tasks_from": "known", "public": True}},
        told("{'builder': aws_image_connection.ansible_ssh_common_args}"),
    ]
    launched = {"aws_image_launched": {"instance_ids": [INSTANCE]}}
    with answering(Ec2, text) as server:
        return play(folder, tasks, {**launched, **variables}, environment(server))


@pytest.mark.parametrize("variables", [{}, BELIEVE], ids=["strict", "believing"])
def test_a_builder_that_told_its_keys_is_known_by_them_alone(tmp_path, variables):
    done = meet_builder(tmp_path, console(KEY), **variables)
    assert done.rc == 0, done.output
    assert strict(tmp_path, "builder") == "yes"
    assert (tmp_path / "secrets" / "bake_ed25519.known_hosts").read_text() == f"skylens-builder {KEY}\n"


def test_a_builder_that_told_none_is_believed_on_demand_alone(tmp_path):
    (tmp_path / "asked").mkdir()
    done = meet_builder(tmp_path, "booting")
    assert done.rc != 0
    assert f"The console output of {INSTANCE} has no SSH host keys" in " ".join(done.output.split())
    done = meet_builder(tmp_path / "asked", "booting", **BELIEVE)
    assert done.rc == 0, done.output
    assert strict(tmp_path / "asked", "builder") == "accept-new"
    assert not list((tmp_path / "asked" / "secrets").iterdir())


# -- web nodes, in Nova ----------------------------------------------------------------------------------------------


def find(folder, text, **variables):
    tasks = [
        {"ansible.builtin.import_tasks": str(PLAYBOOKS / "tasks" / "find_web.yml")},
        told("dict(groups.web | zip(groups.web | map('extract', hostvars, 'ansible_ssh_common_args')))"),
    ]
    cloud = {"skylens_sides": ["openstack"], "skylens_cloud": "lab", "skylens_web_network": "lan"}
    with answering(Nova, text) as server:
        here = f"http://127.0.0.1:{server.server_port}/"
        known = {"auth_type": "none", "auth": {"endpoint": here}, "compute_endpoint_override": here}
        (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"lab": known}}))
        env = {"OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"), "NO_PROXY": "127.0.0.1"}
        return play(folder, tasks, {**cloud, **variables}, env)


def test_only_a_server_that_told_no_keys_is_believed_and_that_on_demand(tmp_path):
    done = find(tmp_path, {"one": console(KEY), "two": "booting"}, **BELIEVE)
    assert done.rc == 0, done.output
    assert strict(tmp_path, "name-one") == "yes"
    assert strict(tmp_path, "name-two") == "accept-new"
    assert (tmp_path / "secrets" / "known_hosts").read_text() == f"one {KEY}\n"


def test_else_one_that_told_none_is_not_spoken_to(tmp_path):
    done = find(tmp_path, {"one": console(KEY), "two": "booting"})
    assert done.rc != 0
    assert "The console log of name-two has no SSH host keys" in " ".join(done.output.split())
    assert not (tmp_path / "said.json").exists()


# -- and every other module of ours that asks AWS ---------------------------------------------------------------------


def tasks_in(found):
    """Every task, those of blocks too."""
    for one in found:
        yield one
        for part in ("block", "rescue", "always"):
            yield from tasks_in(one.get(part, []))


def test_each_task_with_an_aws_module_of_ours_names_the_region():
    """``module_defaults`` of a collection's group do not reach them."""
    roles = PLAYBOOKS / "roles"
    ours = {path.stem for path in roles.glob("*/library/*.py") if "AnsibleAWSModule" in path.read_text()}
    assert "aws_host_keys" in ours
    for path in sorted(roles.glob("*/tasks/*.yml")):
        for task in tasks_in(yaml.safe_load(path.read_text())):
            for name in ours & set(task):
                assert "region" in task[name], (path, task["name"])
