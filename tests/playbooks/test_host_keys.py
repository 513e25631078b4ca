"""Host keys out of a console: what cloud-init writes there, and how the two clouds' modules ask for it."""

import base64
import importlib.util
import json
import subprocess

import pytest
from consoles import INSTANCE, ROLE, Ec2, answering, console, environment
from playbook import run

SPEC = importlib.util.spec_from_file_location("host_keys", ROLE / "module_utils" / "host_keys.py")
host_keys = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(host_keys)

PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - aws_host_keys: {instance: i-0123456789abcdef0, timeout: 0, region: us-east-1}
      register: said
    - copy: {content: "{{ said | to_json }}", dest: "{{ inventory_dir }}/said.json"}
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A public key of each type that sshd makes: the type and the key, with a comment behind."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in ("ecdsa", "ed25519", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", kind, "-C", "root@web-1", "-f", folder / kind], check=True)
    return [(folder / f"{kind}.pub").read_text().strip() for kind in ("ecdsa", "ed25519", "rsa")]


def bare(key):
    return key.rpartition(" ")[0]


def test_every_key_is_found_and_nothing_else(keys):
    assert host_keys.found(console(*keys)) == [bare(key) for key in keys]
    assert host_keys.found("") == host_keys.found("\n".join(keys)) == []


def test_a_block_that_is_not_whole_yet_is_waited_for(keys):
    whole = console(*keys)
    assert host_keys.found(whole[: whole.index("-----END SSH HOST KEY KEYS")]) == []


def test_of_two_boots_the_last_counts(keys):
    assert host_keys.found(console(keys[0]) + console(keys[1])) == [bare(keys[1])]


@pytest.mark.parametrize(
    "harm",
    [
        lambda key: key[:60] + "[  3.1] a message of the kernel" + key[60:],
        lambda key: key[:50],
        lambda key: key.replace("ssh-ed25519 ", "ssh-rsa "),
        lambda key: "ssh-ed25519 AAAA root@web-1",
        lambda key: "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519").decode(),
        lambda key: key.replace("AAAA", "AAA"),
    ],
)
def test_a_damaged_key_is_left_out_and_the_others_stay(harm, keys):
    assert host_keys.found(console(harm(keys[1]), keys[2])) == [bare(keys[2])]


class Time:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    time = Time()
    monkeypatch.setattr(host_keys, "time", time)
    return time


def test_it_waits_through_trouble_until_there_are_keys(clock, keys):
    texts = iter([OSError("not booting yet"), "", console(keys[1])])

    def read():
        text = next(texts)
        if isinstance(text, Exception):
            raise text
        return text

    told = host_keys.look(read, OSError, 60)
    assert told == {"changed": False, "host_keys": [bare(keys[1])], "trouble": ""}
    assert clock.now == 2 * host_keys.PAUSE


def test_when_time_is_up_it_says_what_kept_it(clock):
    def read():
        raise OSError("no console here")

    assert host_keys.look(read, OSError, 12) == {"changed": False, "host_keys": [], "trouble": "no console here"}
    assert clock.now == 15


def test_another_error_is_not_waited_out(clock):
    with pytest.raises(ZeroDivisionError):
        host_keys.look(lambda: str(1 / 0), OSError, 12)


def test_ec2_is_asked_for_the_latest_output_of_the_instance(keys, tmp_path):
    (tmp_path / "play.yml").write_text(PLAY)
    with answering(Ec2, console(*keys)) as server:
        done = run(tmp_path / "play.yml", {}, environment(server), folder=tmp_path)
    assert done.rc == 0, done.output
    said = json.loads((tmp_path / "said.json").read_text())
    assert (said["host_keys"], said["trouble"]) == ([bare(key) for key in keys], "")
    assert server.asked["Action"] == ["GetConsoleOutput"]
    assert (server.asked["InstanceId"], server.asked["Latest"]) == ([INSTANCE], ["true"])
