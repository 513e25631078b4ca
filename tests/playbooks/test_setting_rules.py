"""The rules for the variables: each refuses what it is for, and names the variable."""

import hashlib
import importlib.util
from typing import Any

import pytest
import yaml
from playbook import PLAYBOOKS
from wrong import RIGHT, Wrong, wrong

ROLE = PLAYBOOKS / "roles" / "skylens"
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
TEMPLATES = {  # the defaults that only Ansible can read
    "skylens_secrets": "/srv/lab/secrets",
    "skylens_build": "/srv/lab/build",
    "skylens_ssh_key": "/srv/lab/secrets/id_ed25519",
    "skylens_bucket_prefix": "skylens",
}
OWN = {
    "skylens_settings": {"deployment": "skylens"},
    "skylens_web_settings": {"trusted_proxy": "127.0.0.1"},
    "skylens_scaler_settings": {"maximum": 20},
    "skylens_worker_settings": {},
}


def plugin(name):
    spec = importlib.util.spec_from_file_location(name, ROLE / "filter_plugins" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = plugin("skylens_forms")
AGREEMENTS = plugin("skylens_agreements")


def problems(variables: dict[str, Any], web_hosts: tuple[str, ...] = ()) -> str:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    settings = {**defaults, **TEMPLATES, **RIGHT, **variables}
    given = {name: settings[name] for name in OPTIONS}
    found = FORMS.unknown(list(settings), list(OPTIONS), [])
    found += FORMS.mistyped(given, OPTIONS) or FORMS.forms(given) + AGREEMENTS.agreements(given, OWN, web_hosts)
    return "\n".join(found)


# Whatever the table's line, the message must name its (first) variable; ``told`` is what else it must say.
TABLE = [
    # values of their own
    wrong("'Lab' & a small letter", deployment="Lab"),
    wrong("up to 29", deployment="a" * 31),
    wrong("is empty", deployment=""),
    wrong("is empty", sides=[]),
    wrong("'2' & without quotes & on the command line", web_count="2"),
    wrong("from 1 to 20", web_count=0),
    wrong("from 1 to 20", web_count=21),
    wrong("true or false", open_door="yes"),
    wrong("a list", zones="us-east-1a,us-east-1b"),
    wrong("a whole number", maximum=True),
    wrong("a text", hostname=None),
    wrong("3.11 & in quotes", python=3.11),
    wrong("in quotes", base_ami_owner=136693071363),
    wrong("12 digits", base_ami_owner="debian"),
    wrong("each entry should be a text", instance_types=[5]),
    wrong("from 1 to 8760", retention_hours=0),
    wrong("from 1 to 8760", retention_hours=8761),
    wrong("from 2 to 100", releases_kept=1),
    wrong("tenant:sha256 & (hidden)", api_keys=["lab:geheim"]),
    wrong("(hidden)", api_keys="geheim"),
    wrong("tenant:whsec_ & (hidden)", webhook_secrets=["lab:whsec_geheim"]),
    wrong("such as eu-central-1", region="Frankfurt"),
    wrong("up to 56", bucket_prefix="Skylens_Bucket"),
    wrong("S3 keeps to itself", bucket_prefix="xn--lab"),
    wrong("within the network 10.77.0.0/16", vpc_cidr="10.77.1.0/16"),
    wrong("from /16 to /24", vpc_cidr="10.0.0.0/8"),
    wrong("it should be a network", vpc_cidr="10.77.0.0"[:-2] + "/16"),
    wrong("length is missing & 10.77.0.1/32", vpc_cidr="10.77.0.1"),
    wrong("from 0 to 1000", minimum=-1),
    wrong("from 1 to 1000", maximum=0),
    wrong("a family and a size", instance_types=["large"]),
    wrong("8 to 16384", worker_disk=4),
    wrong("ami-0123456789abcdef0", worker_ami="debian"),
    wrong("e-mail", budget_email="nobody"),
    wrong("name of a Linux login", web_user="Debian User"),
    wrong("a network", admin_networks=["everywhere"]),
    wrong("a network", client_networks=["10.0.0.0/33"]),
    wrong("within the network 10.9.0.0/16", metrics_networks=["10.9.1.1/16"]),
    wrong("IP address", dns_servers=["dns.example.org"]),
    wrong("IP address or a DNS name", ntp_servers=["ntp server"]),
    wrong("a DNS name", hostname="https://skylens.example.org"),
    wrong("a DNS name", hostname="192.0.2.7"),
    wrong("a whole path", secrets="secrets"),
    wrong("a whole path", build="build"),
    wrong("/nowhere/web.qcow2 & no such file", web_image_file="/nowhere/web.qcow2"),
    # what one of them asks of another
    wrong("is missing & clouds.yaml", cloud=""),
    wrong("is missing & openstack flavor list", web_flavor=""),
    wrong("is missing & openstack image list", web_image=""),
    wrong("is missing & SSH", admin_networks=[]),
    wrong("is missing & skylens_web_network", external_network=""),
    wrong("nobody could reach", client_networks=[]),
    wrong("is empty & skylens_open_door", api_keys=[]),
    wrong("SHA-256", smoke_key="geheim"),
    wrong("/nowhere/keys.json & no such file", keys_file="/nowhere/keys.json"),
    wrong("is none & skylens_web_count is 2 & octavia or haproxy", balancer="none", web_count=2),
    wrong("10.76.0.0/24 & everybody", metrics_networks=["192.0.2.0/24", "10.76.0.0/16"], balancer="octavia"),
    wrong("192.0.2.0/24 & leave it out", internal_networks=["192.0.2.0/24"]),
    wrong("is 30 & skylens_maximum, which is 20", minimum=30),
    wrong("is empty", instance_types=[]),
    wrong("c7g.large & x86_64", instance_types=["c7i.large", "c7g.large"]),
    wrong("two zones or more", zones=["us-east-1a"]),
    wrong("two zones or more", zones=["us-east-1a", "us-east-1a"]),
    wrong("eu-west-1a & us-east-1", zones=["us-east-1a", "eu-west-1a"]),
    wrong("dynamodb & s3, sqs, ec2", aws_endpoints={"dynamodb": "http://127.0.0.1:1"}),
    wrong("a URL", aws_endpoints={"s3": "127.0.0.1:1"}),
    wrong("skylens_budget_monthly is set", budget_email="", budget_monthly=50),
    wrong("model.onnx", model="/nowhere/at/all"),
    wrong("what to bake from", base_ami=""),
    wrong("skylens_aws_credentials is roles_anywhere", signing_helper="", aws_credentials="roles_anywhere"),
    wrong("sha256sum", signing_helper_sha256="", signing_helper="https://x/y", aws_credentials="roles_anywhere"),
    wrong("64 hexadecimal digits", signing_helper_sha256="0" * 63),
    wrong("a file on this machine", log_agent="/nowhere.deb", log_agent_sha256="0" * 64),
    wrong("sha256sum", log_agent_sha256="", log_agent="https://example.org/agent.deb"),
    wrong("64 hexadecimal digits", log_agent_sha256="x"),
    wrong("a file on this machine", signing_helper="/nowhere", aws_credentials="roles_anywhere"),
    wrong("is missing & skylens_tls is files", tls_certificate="", tls="files"),
    wrong("is missing & skylens_tls is files", tls_key="", tls="files"),
    wrong("no such file", tls_key="/nowhere/key.pem", tls="files"),
    wrong("is missing & acme", hostname="", tls="acme", acme_email="a@example.org"),
    wrong("is missing & acme", acme_email="", tls="acme", hostname="skylens.example.org"),
    wrong("any node", tls="acme", web_count=2, balancer="haproxy", hostname="a.b", acme_email="a@b.org"),
    wrong("ends at no balancer", tls="acme", balancer="haproxy", hostname="a.b", acme_email="a@b.org"),
    wrong("lacks 0.0.0.0/0", client_networks=["10.0.0.0/8"], tls="acme", hostname="a.b", acme_email="a@b.org"),
    wrong("boot loader", web_image_initrd="", web_image_kernel="/bin/sh", web_image_file="/bin/sh"),
    # settings of the tiers
    wrong("set skylens_maximum instead", scaler_settings={"maximum": 7}),
    wrong("leave it out", web_settings={"trusted_proxy": "10.0.0.1"}),
    wrong("set skylens_webhook_secrets instead", web_settings={"webhook_secrets": "acme:whsec_"}),
    wrong("small letters", web_settings={"SKYLENS_MAX_WAITS": 7}),
    wrong("one line of text", web_settings={"max_waits": [7]}),
    # names that nothing reads
    wrong("no variable of the playbooks & skylens_web_count?", web_coutn=1),
    wrong("no variable of the playbooks", xyzzy=1),
    Wrong({"skylen_maximum": 5}, ("did you mean skylens_maximum?",)),
]


@pytest.mark.parametrize("line", TABLE, ids=[f"{n:02}-{next(iter(line.variables))}" for n, line in enumerate(TABLE)])
def test_the_message_names_the_variable_and_says_why(line):
    message = problems(line.variables)
    assert next(iter(line.variables)) in message
    for words in line.told:
        assert words in message
    assert "geheim" not in message


def test_right_settings_have_no_problem():
    assert problems({}) == ""


def test_every_option_has_a_default_and_every_default_is_an_option():
    assert set(yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())) == set(OPTIONS)


@pytest.mark.parametrize("rules", ["PATTERNS", "RANGES", "NETWORKS", "FILES", "NEEDED", "SECRET"])
def test_the_rules_are_about_options_that_exist(rules):
    assert set(getattr(FORMS, rules)) <= set(OPTIONS)


@pytest.mark.parametrize(
    "variables",
    [
        {"skylens_sides": ["aws"], "skylens_cloud": "", "skylens_admin_networks": [], "skylens_api_keys": []},
        {"skylens_sides": ["openstack"], "skylens_minimum": 30, "skylens_instance_types": []},
        {"skylens_external_network": "", "skylens_web_network": "provider"},
        {"skylens_api_keys": [], "skylens_open_door": True},
        {"skylens_api_keys": [], "skylens_keys_file": __file__},
        {"skylens_api_keys": [], "skylens_web_settings": {"keystone_url": "https://keystone.example.org:5000/v3"}},
        {
            "skylens_api_keys": [],
            "skylens_web_settings": {"oidc_issuer": "https://idp.example.org/realms/lab", "oidc_audience": "skylens"},
        },
        {"skylens_api_keys": [f"lab:{hashlib.sha256(b'key').hexdigest()}"], "skylens_smoke_key": "key"},
        {"skylens_web_count": 3, "skylens_balancer": "haproxy"},
        {"skylens_balancer": "haproxy", "skylens_metrics_networks": ["10.77.0.0/24", "2001:db8::/32"]},
        {"skylens_balancer": "none", "skylens_metrics_networks": ["10.76.0.0/24"]},
        {"skylens_zones": ["us-east-1a", "us-east-1c"]},
        {"skylens_admin_networks": ["2001:db8::/32", "192.0.2.7/32"], "skylens_dns_servers": ["2001:db8::1"]},
        {"skylens_hostname": "label.example.org", "skylens_tls": "acme", "skylens_acme_email": "a@example.org"},
        {"skylens_ntp_servers": ["192.0.2.1", "ntp.example.org", "2001:db8::1"]},
        {"skylens_budget_monthly": 12.5, "skylens_budget_email": "a@example.org"},
        {"skylens_base_ami": "", "skylens_worker_ami": "ami-0123456789abcdef0"},
        {"skylens_instance_types": ["g4dn.xlarge", "c7i-flex.large", "g5.xlarge", "u-3tb1.56xlarge"]},
        {
            "skylens_aws_endpoints": {
                "s3": "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com",
                "sqs": "http://h:1/",
            }
        },
        {"skylens_web_settings": {"rate_limit": "100/second", "wait_seconds": 2.5, "plain_door": False}},
    ],
    ids=" ".join,
)
def test_what_is_right_in_an_unusual_way_is_not_refused(variables):
    assert problems(variables) == ""


def test_the_smoke_key_may_be_one_of_the_keys_file(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(f'{{"keys": [{{"sha256": "{hashlib.sha256(b"geheim").hexdigest()}"}}]}}')
    settings = {"skylens_keys_file": str(path), "skylens_smoke_key": "geheim"}
    assert problems(settings) == ""
    assert "skylens_smoke_key is none of the keys" in problems(settings | {"skylens_smoke_key": "other"})


def test_hosts_that_the_inventory_lists_need_keys_too():
    """Behind the proxy the web tier is on loopback, where it would serve anybody."""
    settings = {"skylens_sides": ["aws"], "skylens_api_keys": []}
    assert "skylens_api_keys" in problems(settings, web_hosts=("web-1",))
    assert problems(settings) == ""


def test_several_hosts_that_the_inventory_lists_are_told_of_each_other():
    settings = {"skylens_sides": ["aws"]}
    message = problems(settings, web_hosts=("web-1", "web-2"))
    assert "skylens_scaler_settings lacks web_nodes, and the inventory lists 2" in message
    assert "skylens_internal_networks is empty, and the inventory lists 2" in message
    assert problems(settings, web_hosts=("web-1",)) == ""
    settings["skylens_scaler_settings"] = {"web_nodes": "http://192.0.2.11:8081 http://192.0.2.12:8081"}
    settings["skylens_internal_networks"] = ["192.0.2.11/32", "192.0.2.12/32"]
    assert problems(settings, web_hosts=("web-1", "web-2")) == ""


def test_everything_that_is_wrong_is_said_at_once():
    message = problems({"skylens_region": "Frankfurt", "skylens_web_count": 99, "skylens_dns_servers": ["dns"]})
    assert [line.partition(" ")[0] for line in message.splitlines()] == [
        "skylens_region",
        "skylens_web_count",
        "skylens_dns_servers",
        "skylens_balancer",
    ]
