"""What the playbooks do on a web node beside writing files; what a killed play left undone, the next one does."""

import os
import re
import subprocess

import pytest
from rendered import ROLES, need

SCRIPT = ROLES / "web_host" / "files" / "skylens-node"
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> "$STANDIN/log"
case "$*" in
    *is-active*) [ ! -e "$STANDIN/down" ] ;;
    "restart $(cat "$STANDIN/refuses-alone" 2>/dev/null)") false ;;
    restart*) [ ! -e "$STANDIN/refuses" ] ;;
esac
"""
LAUNCHER = """\
#!/bin/sh
[ -z "$SKYLENS_NEW_SETTING" ] || { echo "SKYLENS_NEW_SETTING is not a setting" >&2; exit 2; }
"""


class Node:
    """A web node's files in a folder, and a systemctl that writes down what it was told."""

    def __init__(self, folder):
        self.root, self.standin = folder / "root", folder / "standin"
        self.standin.mkdir()
        (self.standin / "systemctl").write_text(SYSTEMCTL)
        (self.standin / "systemctl").chmod(0o755)
        for name in ("shared.env", "web.env", "scaler.env", "credentials/aws-web", "credentials/aws-scaler"):
            self.write(f"etc/skylens/{name}", "")
        for name in (
            "skylens-web.socket",
            "skylens-web-internal.socket",
            "skylens-web.service",
            "skylens-scaler.service",
        ):
            self.write(f"etc/systemd/system/{name}", "")
        self.write("etc/systemd/system/haproxy.service.d/skylens.conf", "")
        self.write("etc/haproxy/haproxy.cfg", "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def install(self, release, age=0):
        self.write(f"opt/skylens/releases/{release}/bin/skylens", LAUNCHER)
        (self.root / f"opt/skylens/releases/{release}/bin/skylens").chmod(0o755)
        os.utime(self.root / "opt/skylens/releases" / release, (1e9 - age, 1e9 - age))

    def run(self, *words, rc=0):
        """Its output, and what systemctl was told to do."""
        (self.standin / "log").write_text("")
        environ = {
            "PATH": f"{self.standin}:{os.environ['PATH']}",
            "STANDIN": str(self.standin),
            "SKYLENS_NODE_ROOT": str(self.root),
        }
        done = subprocess.run(["sh", SCRIPT, *words], env=environ, text=True, capture_output=True, check=False)
        assert done.returncode == rc, (done.stdout, done.stderr)
        told = (self.standin / "log").read_text().splitlines()
        return done.stdout + done.stderr, [line for line in told if line.split()[0] in {"restart", "reload", "stop"}]

    def link(self, name):
        return str((self.root / "opt/skylens" / name).readlink())

    def releases(self):
        return sorted(path.name for path in (self.root / "opt/skylens/releases").iterdir())

    def deploy(self, release):
        """As deploy.yml does, when all goes well."""
        self.run("start", release)
        self.run("apply", "proxy")
        self.run("finish", "3")


ALL = ("sockets", "web", "proxy", "scaler")
WEB = "restart skylens-web.service"
SCALER = "restart skylens-scaler.service"


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    made.install("r1")
    made.install("r2")
    return made


def test_a_second_run_changes_nothing(node):
    node.deploy("r1")
    assert node.run("would", "r1") == ("", [])
    assert node.run("start", "r1") == ("", [])
    assert node.run("apply", *ALL) == ("", [])
    assert node.run("finish", "3") == ("", [])


def test_what_would_change_is_said_and_not_done(node):
    node.deploy("r1")
    node.write("etc/skylens/web.env", "changed")
    said, told = node.run("would", "r2")
    assert (said.splitlines(), told) == (["changed: release r1 -> r2", "changed: web"], [])
    assert node.link("current") == "releases/r1"


def test_time_servers_are_read_only_where_there_are_some(node):
    node.deploy("r1")
    node.write("etc/chrony/sources.d/skylens.sources", "server 192.0.2.1 iburst")
    assert node.run("start", "r1")[1] == ["restart chrony.service"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("etc/skylens/web.env", [WEB]),
        ("etc/skylens/scaler.env", [SCALER]),
        ("etc/skylens/shared.env", [WEB, SCALER]),
        ("etc/skylens/credentials/aws-web", [WEB]),
        ("etc/skylens/credentials/keys.json", [WEB]),
        ("etc/skylens/credentials/webhook-secrets", [WEB]),
        ("etc/skylens/credentials/aws-web-key.pem", [WEB]),
        ("etc/skylens/credentials/aws-scaler.pem", [SCALER]),
        ("etc/skylens/openstack-ca.pem", [WEB, SCALER]),
        ("etc/skylens/credentials/clouds.yaml", [WEB, SCALER]),
        ("etc/systemd/system/skylens-scaler.service", [SCALER]),
        ("etc/haproxy/haproxy.cfg", ["reload haproxy.service"]),
        ("etc/haproxy/tls/own.pem", ["reload haproxy.service"]),
        ("etc/systemd/system/haproxy.service.d/skylens.conf", ["restart haproxy.service"]),
    ],
)
def test_a_change_restarts_only_what_reads_it(node, changed, told):
    node.deploy("r1")
    node.write(changed, "changed")
    assert node.run("stale", *ALL)[1] == []
    assert node.run("apply", *ALL)[1] == told
    assert node.run("apply", *ALL)[1] == []


def test_another_release_restarts_both_tiers_and_no_socket(node):
    node.deploy("r1")
    assert node.run("switch", "r2")[0] == "changed: release r1 -> r2\n"
    assert node.run("apply", *ALL)[1] == [WEB, SCALER]
    assert (node.link("current"), node.link("previous")) == ("releases/r2", "releases/r1")


def test_what_is_down_is_started(node):
    node.deploy("r1")
    (node.standin / "down").touch()
    assert WEB in node.run("apply", "web")[1]


def test_a_restart_that_failed_is_tried_again_by_the_next_run(node):
    node.deploy("r1")
    node.write("etc/skylens/web.env", "changed")
    (node.standin / "refuses").touch()
    assert "web did not start" in node.run("apply", "web", rc=1)[0]
    (node.standin / "refuses").unlink()
    assert node.run("apply", "web")[1] == [WEB]


def test_a_node_goes_back_to_the_release_and_the_settings_that_worked(node):
    node.deploy("r1")
    node.install("r3")
    node.deploy("r3")
    node.run("switch", "r2")
    node.write("etc/skylens/web.env", "SKYLENS_NEW_SETTING=1")
    node.run("apply", "sockets", "web")
    said, told = node.run("restore")
    assert "back on release r3" in said
    assert told == [WEB]
    assert (node.root / "etc/skylens/web.env").read_text() == ""
    assert (node.link("current"), node.link("previous")) == ("releases/r3", "releases/r1")
    assert node.run("apply", *ALL)[1] == []


def test_a_part_that_does_not_start_keeps_no_other_from_going_back(node):
    node.deploy("r1")
    for name in ("skylens/web.env", "haproxy/haproxy.cfg", "skylens/scaler.env"):
        node.write(f"etc/{name}", "brought by a play that failed later")
    node.run("apply", *ALL)
    (node.standin / "refuses-alone").write_text("skylens-web.service")
    said, told = node.run("restore", rc=1)
    assert "web did not start" in said
    assert "not every part is back" in said
    assert told == [WEB, "reload haproxy.service", SCALER]
    (node.standin / "refuses-alone").unlink()
    assert node.run("apply", *ALL)[1] == [WEB]


def test_what_cannot_be_noted_keeps_no_part_from_going_back(node):
    node.deploy("r1")
    for name in ("web.env", "scaler.env"):
        node.write(f"etc/skylens/{name}", "brought by a play that failed later")
    node.run("apply", *ALL)
    note = node.root / "var/lib/skylens/applied/web"
    note.unlink()
    note.mkdir()
    assert node.run("restore")[1] == [WEB, SCALER]


def test_a_node_that_never_worked_has_nothing_to_go_back_to(node):
    node.run("switch", "r1")
    assert "nothing to go back to" in node.run("restore")[0]
    assert node.link("current") == "releases/r1"


def test_the_kept_state_is_for_root_alone(node):
    node.deploy("r1")
    assert (node.root / "var/lib/skylens/good.tar").stat().st_mode & 0o077 == 0


def test_old_releases_go_and_those_in_use_stay(node):
    for number in range(3, 8):
        node.install(f"r{number}", age=-number)
    node.deploy("r1")
    assert node.releases() == ["r1", "r5", "r6", "r7"]
    node.install("r8", age=-8)
    node.deploy("r8")
    assert node.releases() == ["r1", "r6", "r7", "r8"]


def test_a_rollback_goes_to_the_release_before(node):
    node.deploy("r1")
    node.deploy("r2")
    assert node.run("previous")[0] == "r1\n"
    node.deploy("r1")
    assert node.run("previous")[0] == "r2\n"


def test_a_release_that_does_not_know_a_setting_is_refused_before_anything_changes(node):
    node.deploy("r1")
    node.run("check", "r2")
    node.write("etc/skylens/web.env", 'SKYLENS_NEW_SETTING="1"\n')
    said, told = node.run("check", "r2", rc=1)
    assert "SKYLENS_NEW_SETTING is not a setting" in said
    assert "r2 would not start" in said
    assert told == []


def test_a_release_that_is_not_there_is_named_with_those_that_are(node):
    said, _ = node.run("switch", "nope", rc=1)
    assert "nope is not installed here; these are: r1 r2" in said


@pytest.mark.parametrize("tier", ["web", "scaler"])
def test_every_credential_that_a_unit_loads_restarts_it_when_it_changes(node, tier):
    unit = (ROLES / "web_node" / "templates" / "tier.service.j2").read_text()
    loaded = re.findall(r"^LoadCredential=\S+:{{ skylens_etc }}/(\S+(?: item \S+)?)$", unit, re.MULTILINE)
    mine = [name.replace("{{ item }}", tier) for name in loaded if tier == "web" or "keys.json" not in name]
    mine = [name for name in mine if tier == "web" or "webhook" not in name]
    assert len(mine) == (6 if tier == "web" else 4)
    node.deploy("r1")
    for name in mine:
        node.write(f"etc/skylens/{name}", "changed")
        assert node.run("apply", tier)[1] == [f"restart skylens-{tier}.service"], name


HOOK = """\
#!/bin/sh
cat "$RENEWED_LINEAGE/fullchain.pem" > "$SKYLENS_NODE_ROOT/etc/haproxy/acme/endpoint.pem"
systemctl reload haproxy.service
"""
ACME = "etc/haproxy/acme/endpoint.pem"


def test_a_node_goes_back_to_no_authority(node):
    node.deploy("r1")
    node.write(ACME, "brought by a play that failed later")
    node.write("usr/local/sbin/skylens-certificate", HOOK)
    node.run("restore")
    assert not (node.root / ACME).exists()
    assert not (node.root / "usr/local/sbin/skylens-certificate").exists()


@pytest.mark.parametrize(("name", "shown"), [("old.example", "newest"), ("new.example", "the one before")])
def test_a_node_goes_back_to_its_authority_and_the_newest_certificate_of_its_name(node, name, shown):
    node.write("etc/haproxy/haproxy.cfg", "    http-request redirect prefix https://old.example code 308\n")
    node.write(ACME, "the one before")
    node.write("usr/local/sbin/skylens-certificate", HOOK)
    (node.root / "usr/local/sbin/skylens-certificate").chmod(0o755)
    node.deploy("r1")
    node.write("etc/haproxy/haproxy.cfg", f"    http-request redirect prefix https://{name} code 308\n")
    node.write(ACME, "brought by a play that failed later")
    live = node.root / "etc/letsencrypt/live/skylens"
    live.mkdir(parents=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", live / "privkey.pem"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made = [need("openssl"), "req", "-x509", *key, "-out", live / "fullchain.pem", *names]
    subprocess.run(made, check=True, capture_output=True)
    node.run("apply", "proxy")
    assert "reload haproxy.service" in node.run("restore")[1]
    brought = (live / "fullchain.pem").read_text()
    assert (node.root / ACME).read_text() == {"newest": brought}.get(shown, shown)


def test_a_node_of_before_haproxy_goes_back_to_caddy(node):
    configuration = node.root / "etc/haproxy/haproxy.cfg"
    text = configuration.read_text()
    configuration.unlink()
    node.write("etc/caddy/Caddyfile", "")
    node.deploy("r1")
    node.write("etc/haproxy/haproxy.cfg", text)
    node.run("apply", "proxy")
    node.run("restore")
    told = (node.standin / "log").read_text().splitlines()
    assert [line for line in told if "able" in line][-2:] == [
        "--quiet disable --now haproxy.service",
        "--quiet enable --now caddy.service",
    ]
