"""Host keys out of a console: what cloud-init writes there, and how the two clouds' modules ask for it."""

import base64
import importlib.util
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from playbook import PLAYBOOKS, run

ROLE = PLAYBOOKS / "roles" / "skylens"
SPEC = importlib.util.spec_from_file_location("host_keys", ROLE / "module_utils" / "host_keys.py")
host_keys = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(host_keys)

CONSOLE = """\
[    1.2] systemd[1]: Started ssh.service\r
<14>Nov 29 10:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r
<14>Nov 29 10:00:00 cloud-init: 256 SHA256:abc root@web-1 (ED25519)\r
<14>Nov 29 10:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r
-----BEGIN SSH HOST KEY KEYS-----\r
{keys}\r
-----END SSH HOST KEY KEYS-----\r
[   20.1] cloud-init[400]: finished\r
"""
PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - aws_host_keys: {instance: i-0123456789abcdef0, timeout: 0}
      register: said
    - copy: {content: "{{ said | to_json }}", dest: "{{ inventory_dir }}/said.json"}
"""
ANSWER = """\
<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<instanceId>i-0123456789abcdef0</instanceId><timestamp>2026-01-01T00:00:00.000Z</timestamp><output>%s</output>
</GetConsoleOutputResponse>"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A public key of each type that sshd makes: the type and the key, with a comment behind."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in ("ecdsa", "ed25519", "rsa"):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", kind, "-C", "root@web-1", "-f", folder / kind], check=True)
    return [(folder / f"{kind}.pub").read_text().strip() for kind in ("ecdsa", "ed25519", "rsa")]


def bare(key):
    return key.rpartition(" ")[0]


def console(*keys):
    return CONSOLE.format(keys="\r\n".join(keys))


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


class Ec2(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = (ANSWER % base64.b64encode(self.server.text.encode()).decode()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_ec2_is_asked_for_the_latest_output_of_the_instance(keys, tmp_path):
    """EC2's answer as its API reference has it."""
    (tmp_path / "play.yml").write_text(PLAY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Ec2) as server:
        server.text = console(*keys)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        env = {
            "ANSIBLE_LIBRARY": str(ROLE / "library"),
            "ANSIBLE_MODULE_UTILS": str(ROLE / "module_utils"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }
        done = run(tmp_path / "play.yml", {}, env, folder=tmp_path)
        server.shutdown()
        thread.join()
    assert done.rc == 0, done.output
    said = json.loads((tmp_path / "said.json").read_text())
    assert (said["host_keys"], said["trouble"]) == ([bare(key) for key in keys], "")
    assert server.asked["Action"] == ["GetConsoleOutput"]
    assert (server.asked["InstanceId"], server.asked["Latest"]) == (["i-0123456789abcdef0"], ["true"])
