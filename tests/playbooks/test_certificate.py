"""The endpoint's own certificate: made once, for every name that clients use, and anew when those change."""

import json
import ssl
import subprocess

import pytest
from playbook import PLAYBOOKS, run
from rendered import need


class Certified:
    def __init__(self, folder):
        self.folder = folder
        (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
        tasks = [{"ansible.builtin.import_role": {"name": "certificate"}}]
        (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))

    def play(self, *words, **settings):
        """Run the role; how much it changed."""
        variables = {"skylens_open_door": True, "skylens_sides": ["aws"], "skylens_aws_credentials": "key", **settings}
        extra = {
            "skylens_source": str(PLAYBOOKS.parent),
            "skylens_endpoint": "https://192.0.2.7",
            "skylens_checked": True,
        }
        done = run(self.folder / "play.json", variables, {}, "-e", json.dumps(extra), *words, folder=self.folder)
        assert done.rc == 0, done.output
        return done.stats["localhost"]["changed"]

    def path(self, name):
        return self.folder / "secrets" / f"{name}.pem"

    def said(self):
        return subprocess.check_output([need("openssl"), "x509", "-in", self.path("tls"), "-noout", "-text"], text=True)


@pytest.fixture
def certified(tmp_path):
    return Certified(tmp_path)


def test_it_is_made_once_and_clients_can_check_it(certified):
    assert certified.play("--check") > 0
    assert not certified.path("ca").exists()
    assert certified.play(skylens_hostname="sky.example") > 0
    assert certified.play(skylens_hostname="sky.example") == 0
    assert certified.play("--check", skylens_hostname="sky.example") == 0
    said = certified.said()
    assert "DNS:sky.example, IP Address:192.0.2.7" in said
    verify = [need("openssl"), "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", certified.path("ca")]
    subprocess.run([*verify, "-verify_hostname", "sky.example", certified.path("tls")], check=True)
    subprocess.run([*verify, "-verify_ip", "192.0.2.7", certified.path("tls")], check=True)
    ssl.create_default_context(cafile=certified.path("ca"))
    for key in ("ca-key", "tls-key"):
        assert certified.path(key).stat().st_mode & 0o077 == 0


def test_another_name_gets_another_certificate_of_the_same_authority(certified):
    certified.play()
    authority, first = certified.path("ca").read_bytes(), certified.path("tls").read_bytes()
    assert certified.play(skylens_hostname="sky.example") > 0
    assert certified.path("ca").read_bytes() == authority
    assert certified.path("tls").read_bytes() != first


def test_one_that_ends_soon_is_renewed(certified):
    certified.play()
    first = certified.path("tls").read_bytes()
    assert certified.play("-e", "certificate_renew_days=398") > 0
    assert certified.path("tls").read_bytes() != first
