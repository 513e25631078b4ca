"""The release comes to a web node, goes back when it is ill, and is made whole by the next play when one was killed."""

import json
import shutil
import subprocess
import sys

import pytest
from playbook import PLAYBOOKS
from pretended_node import PretendedNode
from rendered import need
from test_release import PARTS, SCRIPT, distribution_python

pytestmark = pytest.mark.nightly

ILL = {"rate_limit": "7/second"}


def extra(**variables):
    return ["-e", json.dumps(variables)]


def copy_sources(place):
    place.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (PLAYBOOKS.parent / part).is_dir() else shutil.copy
        copy(PLAYBOOKS.parent / part, place / part)
    return place


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One on which a release runs."""
    for program in ("haproxy", "chronyd"):  # else the play would fetch them, and a pretended node has no network
        need(program)
    folder = tmp_path_factory.mktemp("node")
    variables = {
        "skylens_sides": ["aws"],
        "aws_network_subnet_ids": ["subnet-1", "subnet-2"],
        "skylens_open_door": True,
        "skylens_hostname": "sky.example",
        "skylens_aws_credentials": "key",
        "skylens_python": distribution_python(),
        "web_host_packages": ["haproxy", "python3"],
        "healthy_tries": 2,
    }
    (folder / "secrets").mkdir()
    for tier in ("web", "scaler"):
        (folder / "secrets" / f"aws-{tier}.ini").write_text("[default]\naws_access_key_id = id\n")
    source = copy_sources(folder / "source")
    build = [sys.executable, SCRIPT, "--source", source, "--build", folder / "build", "--tier", "web"]
    subprocess.run([*build, "--python", distribution_python()], check=True)  # there is no package index inside
    with PretendedNode(folder, variables, *extra(skylens_source=str(source))) as made:
        rc, changed, said = made.play("deploy.yml")
        assert rc == 0, said
        assert changed["node-1"] > 0
        yield made


def test_a_second_run_changes_nothing_and_check_mode_agrees(node):
    assert node.play("deploy.yml")[:2] == (0, {"localhost": 0, "node-1": 0})
    assert node.play("deploy.yml", "--check")[:2] == (0, {"localhost": 0, "node-1": 0})


def test_a_node_that_does_not_get_healthy_goes_back_and_says_why(node):
    before = node.read("cat", "/etc/skylens/web.env")
    rc, _, said = node.play("deploy.yml", *extra(skylens_web_settings=ILL))
    assert rc != 0
    assert "node-1 did not get healthy" in said
    assert "it is ill" in said
    assert node.read("cat", "/etc/skylens/web.env") == before
    assert node.play("deploy.yml")[:2] == (0, {"localhost": 0, "node-1": 0})


@pytest.mark.parametrize("task", ["Write what is not there yet", "Point at the release", "Let the proxy read them"])
def test_a_play_that_was_killed_is_made_good_by_the_next(node, task):
    other = extra(skylens_web_settings={"rate_limit": f"{10 + len(task)}/second"})
    node.kill_play_at(task, "deploy.yml", *other)
    rc, _, said = node.play("deploy.yml", *other)
    assert rc == 0, said
    assert node.read("/usr/local/sbin/skylens-node", "stale", "sockets", "web", "proxy", "scaler") == ""
    assert node.play("deploy.yml", *other)[:2] == (0, {"localhost": 0, "node-1": 0})


def test_an_update_can_be_rolled_back(node):
    first = node.read("readlink", "/opt/skylens/current")
    source = copy_sources(node.folder / "changed")
    with (source / "skylens" / "clock.py").open("a") as file:
        file.write("# changed\n")
    rc, _, said = node.play("deploy.yml", *extra(skylens_source=str(source)))
    assert rc == 0, said
    assert node.read("readlink", "/opt/skylens/previous") == first
    rc, _, said = node.play("rollback.yml")
    assert rc == 0, said
    assert node.read("readlink", "/opt/skylens/current") == first
    rc, _, said = node.play("rollback.yml", *extra(skylens_release="nope"))
    assert rc != 0
    assert "nope is not installed here; these are:" in said
    assert node.read("readlink", "/opt/skylens/current") == first


def test_the_status_says_what_runs_and_changes_nothing(node):
    rc, changed, said = node.play("status.yml")
    assert (rc, changed) == (0, {"localhost": 0, "node-1": 0})
    assert node.read("readlink", "/opt/skylens/current").removeprefix("releases/") in said
    assert "ready: yes" in said
