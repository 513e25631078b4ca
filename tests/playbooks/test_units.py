"""The web node's units are what systemd takes, and leave their processes little to do harm with."""

import json
import re
import subprocess

import pytest
from rendered import ROLES, need, render

TIERS = ("web", "scaler")
SOCKETS = {"skylens-web": ("public", "127.0.0.1:8080"), "skylens-web-internal": ("internal", "0.0.0.0:8081")}
MOST = 2.0


@pytest.fixture(scope="module", params=["key", "roles_anywhere"])
def units(request, tmp_path_factory):
    """The folder of the rendered units, with AWS credentials of either kind."""
    folder = tmp_path_factory.mktemp("units")
    launcher = folder / "opt" / "current" / "bin" / "skylens"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    files = {f"skylens-{tier}.service": ("tier.service.j2", tier) for tier in TIERS}
    for unit, (name, listen) in SOCKETS.items():
        item = {"name": name, "listen": listen, "description": "a socket"}
        files[f"{unit}.socket"] = ("web.socket.j2", {**item, "networks": ["192.0.2.0/24", "2001:db8::/32"]})
    settings = {"skylens_root": str(folder / "opt"), "skylens_aws_credentials": request.param}
    render(folder, "web_node", files, skylens_web_settings={"drain_seconds": 90}, **settings)
    return folder


def test_systemd_takes_every_unit(units):
    paths = [str(path) for path in sorted(units.glob("skylens-*"))]
    assert len(paths) == len(TIERS) + len(SOCKETS)
    done = subprocess.run([need("systemd-analyze"), "verify", *paths], text=True, capture_output=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "skylens" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize(
    ("settings", "listen", "allowed"),
    [
        ({}, "127.0.0.1:8081", None),
        ({"skylens_internal_networks": ["192.0.2.7/32"]}, "0.0.0.0:8081", "localhost 192.0.2.7/32"),
        ({"web_hosts_private_address": "10.76.0.5"}, "0.0.0.0:8081", None),  # has a security group
    ],
)
def test_the_internal_address_is_open_only_where_something_guards_it(tmp_path, settings, listen, allowed):
    files = {name: ("web.socket.j2", f"{{{{ web_node_sockets.{name} }}}}") for name in ("internal", "public")}
    render(tmp_path, "web_node", files, skylens_aws_credentials="key", **settings)
    texts = [(tmp_path / name).read_text() for name in files]
    internal, public = (dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)) for text in texts)
    assert (internal["ListenStream"], internal.get("IPAddressAllow")) == (listen, allowed)
    assert internal.get("IPAddressDeny") == ("any" if allowed else None)
    assert (public["ListenStream"], public.get("IPAddressDeny")) == ("127.0.0.1:8080", None)


@pytest.mark.parametrize("tier", TIERS)
def test_a_tiers_exposure_is_low(units, tier):
    said = subprocess.check_output(
        [need("systemd-analyze"), "security", "--offline=true", "--no-pager", units / f"skylens-{tier}.service"],
        text=True,
    )
    (exposure,) = re.findall(r"Overall exposure level for .*: ([\d.]+)", said)
    assert float(exposure) < MOST, said


def test_a_unit_is_killed_only_after_the_drain(units):
    text = (units / "skylens-web.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0]) > 90


@pytest.mark.parametrize("tier", TIERS)
def test_no_credential_is_in_the_environment(units, tier):
    text = (units / f"skylens-{tier}.service").read_text()
    read = dict(re.findall(r"^LoadCredential=(\S+):/etc/skylens/credentials/(\S+)$", text, re.MULTILINE))
    assert read["clouds.yaml"] == "clouds.yaml"
    assert read["aws-config"] == f"aws-{tier}"
    assert all(path == "clouds.yaml" or path.startswith(f"aws-{tier}") for path in read.values())
    assert set(re.findall(r"^Environment=(\S+)$", text, re.MULTILINE)) == {
        "HOME=/nonexistent",
        "TMPDIR=/var/tmp",
        "AWS_CONFIG_FILE=%d/aws-config",
        "OS_CLIENT_CONFIG_FILE=%d/clouds.yaml",
    }


def test_a_keys_file_is_a_credential_of_the_web_tier_alone(tmp_path):
    files = {tier: ("tier.service.j2", tier) for tier in TIERS}
    render(
        tmp_path / "rendered", "web_node", files, skylens_keys_file="/home/me/keys.json", skylens_aws_credentials="key"
    )
    web, scaler = ((tmp_path / "rendered" / tier).read_text().splitlines() for tier in ("web", "scaler"))
    assert "LoadCredential=keys.json:/etc/skylens/credentials/keys.json" in web
    assert "Environment=SKYLENS_KEYS_FILE=%d/keys.json" in web
    assert not any("keys.json" in line for line in scaler)


def test_webhook_secrets_are_a_credential_of_the_web_tier_alone_and_not_in_its_environment(tmp_path):
    files = {tier: ("tier.service.j2", tier) for tier in TIERS}
    secret = "lab:whsec_" + "A" * 40
    given = {"skylens_webhook_secrets": [secret], "skylens_aws_credentials": "key"}
    render(tmp_path / "rendered", "web_node", files, **given)
    web, scaler = ((tmp_path / "rendered" / tier).read_text() for tier in ("web", "scaler"))
    assert "LoadCredential=skylens_webhook_secrets:/etc/skylens/credentials/webhook-secrets\n" in web
    assert secret not in web
    assert "webhook" not in scaler


@pytest.mark.parametrize("own", [True, False])
def test_the_clouds_own_authority_is_brought_to_the_node_where_its_credential_names_it(tmp_path, own):
    if own:
        (tmp_path / "openstack-ca.pem").write_text("a certificate\n")
    (tmp_path / "files.j2").write_text("{{ web_node_cloud_authority | to_json }}")
    files = {"files": (str(tmp_path / "files.j2"), None)}
    render(tmp_path / "rendered", "web_node", files, skylens_secrets=str(tmp_path))
    ours = [{"path": "/etc/skylens/openstack-ca.pem", "mode": "0644", "content": "a certificate\n"}]
    assert json.loads((tmp_path / "rendered" / "files").read_text()) == (ours if own else [])


@pytest.mark.parametrize("used", [True, False])
def test_credentials_that_a_deployment_has_no_longer_do_not_stay_on_its_nodes(tmp_path, used):
    (tmp_path / "unused.j2").write_text("{{ web_node_unused | to_json }}")
    given = {"skylens_keys_file": "/home/me/keys.json", "skylens_webhook_secrets": ["lab:whsec_" + "A" * 40]}
    settings = {"skylens_aws_credentials": "roles_anywhere" if used else "key", **(given if used else {})}
    render(tmp_path / "rendered", "web_node", {"unused": (str(tmp_path / "unused.j2"), None)}, **settings)
    certificates = {f"aws-{tier}{kind}.pem" for tier in TIERS for kind in ("", "-key")}
    expected = set() if used else {"keys.json", "webhook-secrets", *certificates}
    assert set(json.loads((tmp_path / "rendered" / "unused").read_text())) == expected


def test_settings_are_quoted_as_both_systemd_and_a_shell_read_them(tmp_path):
    hard = 'a "b" $c `d` \\e'
    files = {"web.env": ("tier.env.j2", {"settings": {"node": hard, "max_waits": 5}})}
    render(tmp_path / "rendered", "web_node", files)
    script = f'. {tmp_path}/rendered/web.env; printf "%s|%s" "$SKYLENS_NODE" "$SKYLENS_MAX_WAITS"'
    assert subprocess.check_output(["sh", "-c", script], text=True) == f"{hard}|5"


def test_the_proxys_restrictions_are_known_to_systemd(tmp_path):
    render(tmp_path / "rendered", "proxy", {"haproxy.conf": ("haproxy.conf.j2", None)})
    unit = tmp_path / "haproxy.service"
    unit.write_text("[Service]\nType=notify\nExecStart=/bin/true\nUser=root\n")
    (tmp_path / "haproxy.service.d").mkdir()
    (tmp_path / "rendered" / "haproxy.conf").rename(tmp_path / "haproxy.service.d" / "skylens.conf")
    done = subprocess.run([need("systemd-analyze"), "verify", unit], text=True, capture_output=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "haproxy" in line]) == (0, [])


def test_the_node_script_is_clean_for_a_shell():
    subprocess.run(["sh", "-n", ROLES / "web_host" / "files" / "skylens-node"], check=True)
