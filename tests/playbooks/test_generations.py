"""A certificate for IAM Roles Anywhere says its key's generation, and the role asks for the newest alone."""

import json

import pytest
from cryptography import x509
from playbook import PLAYBOOKS, run

CERTIFICATES = {"aws_access_tier": "web", "aws_access_caller": {"account": "1", "arn": "arn:aws:iam::1:user/operator"}}
AUTHORITY = {"file": "aws-ca", "name": "skylens", "days": 3650, "renew_days": 400}
WEB = {"file": "aws-web", "name": "skylens-web", "days": 365, "renew_days": 30, "authority": "aws-ca"}
TRUST = PLAYBOOKS / "roles" / "aws_access" / "templates" / "trust_anywhere.json.j2"


def certificate(which, **variables):
    role = {"name": "aws_access", "tasks_from": "certificate", "public": True}
    return {"ansible.builtin.include_role": role, "vars": {"aws_access_certificate": which, **variables}}


def kept(name):
    """Keep the certificate, and what the role would ask for, as they are now."""
    source, to = "{{ skylens_secrets }}/aws-web.pem", f"{{{{ inventory_dir }}}}/{name}"
    return [
        {"ansible.builtin.copy": {"src": source, "dest": f"{to}.pem"}},
        {"ansible.builtin.template": {"src": str(TRUST), "dest": f"{to}.json"}},
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """First, after a renewal, after a rotation."""
    folder = tmp_path_factory.mktemp("generations")
    (folder / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    tasks = [
        {"ansible.builtin.file": {"path": "{{ inventory_dir }}/secrets", "state": "directory"}},
        *[certificate(AUTHORITY), certificate(WEB), *kept("first")],
        *[certificate(WEB | {"renew_days": 400}), *kept("renewed")],
        *[certificate(WEB, aws_access_rotate=True), *kept("rotated")],
    ]
    (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    extra = {"skylens_checked": True, "skylens_source": str(PLAYBOOKS.parent), **CERTIFICATES}
    done = run(folder / "play.json", {}, {}, "-e", json.dumps(extra), folder=folder)
    assert done.rc == 0, done.output
    return folder


def said(folder, name):
    found = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()).subject
    return {f"aws:PrincipalTag/x509Subject/{part.rfc4514_attribute_name}": part.value for part in found}


def asked(folder, name):
    (statement,) = json.loads((folder / f"{name}.json").read_text())["Statement"]
    return statement["Condition"]["StringEquals"]


@pytest.mark.parametrize("name", ["first", "renewed", "rotated"])
def test_the_newest_certificate_is_what_the_role_asks_for(folder, name):
    assert said(folder, name) == asked(folder, name)
    assert said(folder, name).keys() == {f"aws:PrincipalTag/x509Subject/{part}" for part in ("CN", "OU")}


def test_a_renewal_keeps_nobody_out(folder):
    assert (folder / "first.pem").read_bytes() != (folder / "renewed.pem").read_bytes()
    assert said(folder, "first") == asked(folder, "renewed")


def test_a_rotation_keeps_out_who_has_a_certificate_of_before(folder):
    assert said(folder, "first") != asked(folder, "rotated")
