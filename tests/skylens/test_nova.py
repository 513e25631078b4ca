"""Which servers are web nodes, and what openstacksdk makes of Keystone's and Nova's answers."""

import socket
import subprocess
import sys
import threading

import pytest
from openstack_cloud import raw, server, serving_openstack

from skylens.errors import SettingsError, UnavailableError
from skylens.nova import NOT_RUNNING, SdkNova, Server, web_nodes

RUNNING = [
    "ACTIVE",
    "ERROR",
    "HARD_REBOOT",
    "MIGRATING",
    "PASSWORD",
    "PAUSED",
    "REBOOT",
    "REBUILD",
    "RESCUE",
    "RESIZE",
    "REVERT_RESIZE",
    "SUSPENDED",
    "VERIFY_RESIZE",
]


def urls(*servers, deployment="skylens"):
    return [node.url for node in web_nodes(servers, deployment)]


@pytest.mark.parametrize("status", RUNNING)
def test_a_server_that_runs_or_may_run_is_a_node(status):
    (node,) = web_nodes([server("web-1", status=status)], "skylens")
    assert (node.name, node.address, node.port, node.status) == ("web-1", "10.0.0.4", 8081, status)


@pytest.mark.parametrize("status", sorted(NOT_RUNNING))
def test_a_server_in_which_nothing_runs_is_no_node(status):
    assert urls(server(status=status)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {}},
        {"metadata": {"skylens:deployment": "skylens"}},
        {"metadata": {"skylens:tier": "web"}},
        {"metadata": {"skylens:deployment": "blue", "skylens:tier": "web"}},
        {"metadata": {"skylens:deployment": "skylens", "skylens:tier": "proxy"}},
        {"addresses": {}},
        {"addresses": {"public": [{"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating"}]}},
        {"addresses": {"private": [{"addr": "fd00::4", "version": 6, "OS-EXT-IPS:type": "fixed"}]}},
    ],
)
def test_a_server_without_our_metadata_or_a_fixed_ipv4_address_is_no_node(changes):
    assert urls(server(**changes)) == []


@pytest.mark.parametrize(("text", "port"), [("9000", 9000), ("0", 8081), ("65536", 8081), ("x", 8081), ("-1", 8081)])
def test_the_internal_port_is_the_metadatas_when_it_is_one(text, port):
    assert urls(server(port=text)) == [f"http://10.0.0.4:{port}"]


def test_nodes_are_in_the_same_order_whatever_novas_is():
    one, two = server("web-1", "10.0.0.4"), server("web-2", "10.0.0.5")
    assert urls(one, two) == urls(two, one) == ["http://10.0.0.4:8081", "http://10.0.0.5:8081"]


def test_while_a_cell_is_out_of_reach_nobody_can_say_which_the_nodes_are():
    lost = Server(id="5e0f3c1a-0000-4000-8000-00000000dead", status="UNKNOWN")
    with pytest.raises(UnavailableError, match="cell of 1 servers, such as 5e0f3c1a-0000-4000-8000-00000000dead"):
        web_nodes([server(), lost], "skylens")


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    with serving_openstack() as made:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(made.clouds(tmp_path)))
        yield made


def test_servers_are_listed_with_one_token_and_one_path_that_needs_it(cloud):
    cloud.shown = [raw("web-1"), raw("db", metadata={})]
    nova = SdkNova("private")
    for _ in range(3):
        assert [each.name for each in nova.servers()] == ["web-1", "db"]
    assert {urlpath for method, urlpath, token in cloud.calls if token} == {"/v2.1/servers/detail"}
    assert (cloud.issued, cloud.listed(), cloud.versions) == (1, 3, {"compute 2.69"})


def test_making_the_client_asks_nobody(cloud):
    SdkNova("private")
    assert cloud.calls == []


def test_pages_are_followed_by_marker_and_no_token_goes_where_a_link_points(cloud, monkeypatch):
    cloud.shown, cloud.page = [raw(f"web-{number}") for number in range(7)], 3
    asked, resolve = [], socket.getaddrinfo
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda host, *more, **named: asked.append(host) or resolve(host, *more, **named)
    )
    assert [each.name for each in SdkNova("private").servers()] == [f"web-{number}" for number in range(7)]
    assert cloud.listed() == 3
    assert set(asked) == {"127.0.0.1"}


def test_a_list_that_never_ends_is_given_up(cloud, monkeypatch):
    monkeypatch.setattr("skylens.nova.PAGES", 3)
    cloud.shown, cloud.page = [raw(f"web-{number}") for number in range(7)], 2
    with pytest.raises(UnavailableError, match="does not end within 3 pages"):
        SdkNova("private").servers()


def test_an_expired_token_is_renewed_within_the_same_look(cloud):
    cloud.shown = [raw()]
    nova = SdkNova("private")
    nova.servers()
    cloud.tokens.clear()
    assert len(nova.servers()) == 1
    assert cloud.issued == 2


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500, 503])
def test_a_refusal_is_unavailable_and_the_next_look_may_succeed(cloud, status):
    cloud.shown, cloud.script = [raw()], [status]
    nova = SdkNova("private")
    with pytest.raises(UnavailableError, match=f"Nova did not list its servers: .*{status}"):
        nova.servers()
    assert len(nova.servers()) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>log in</html>", b"[]", b'{"servers": 3}', b'{"servers": [{}]}', b"\xff\xfe"]
)
def test_an_answer_that_is_no_list_of_servers_is_unavailable(cloud, body):
    cloud.script = [body]
    with pytest.raises(UnavailableError, match="Nova did not list its servers"):
        SdkNova("private").servers()


@pytest.mark.parametrize("token", [3, None, [], {}, {"expires_at": "soon"}, {"expires_at": "2126-01-01T00:00:00Z"}])
def test_a_token_that_is_none_is_unavailable(cloud, monkeypatch, token):
    monkeypatch.setattr("openstack_cloud.Handler.token", lambda _: token)
    with pytest.raises(UnavailableError, match="Nova did not list its servers"):
        SdkNova("private").servers()


def test_a_cloud_that_hangs_is_unavailable_after_the_timeout(cloud, monkeypatch):
    monkeypatch.setattr("skylens.nova.TIMEOUT", 0.3)
    release = threading.Event()
    cloud.shown, cloud.script = [raw()], [release]
    nova = SdkNova("private")
    try:
        with pytest.raises(UnavailableError, match=r"Timeout|timed out"):
            nova.servers()
    finally:
        release.set()
    assert len(nova.servers()) == 1


def test_a_cloud_that_is_not_there_is_unavailable(tmp_path, monkeypatch):
    with serving_openstack() as cloud:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds(tmp_path)))
    with pytest.raises(UnavailableError, match="Nova did not list its servers"):
        SdkNova("private").servers()


def test_a_wrong_secret_is_unavailable_and_never_shown(cloud, tmp_path):
    cloud.clouds(tmp_path, secret="not-the-secret")
    with pytest.raises(UnavailableError, match="401") as refused:
        SdkNova("private").servers()
    assert "not-the-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clouds: {}", "Cloud elsewhere was not found"),
        ("", "Cloud elsewhere was not found"),
        ("clouds: [", "Cloud elsewhere was not found"),
        (
            "clouds: {elsewhere: {auth_type: v3applicationcredential, auth: {auth_url: 'http://x'}}}",
            "application credential ID",
        ),
        ("clouds: {elsewhere: {auth_type: hope, auth: {auth_url: 'http://x'}}}", "hope"),
    ],
)
def test_a_wrong_clouds_yaml_refuses_to_start_and_names_the_setting(tmp_path, monkeypatch, text, said):
    file = tmp_path / "clouds.yaml"
    file.write_text(text)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    with pytest.raises(SettingsError, match=f"SKYLENS_NOVA_CLOUD='elsewhere': .*{said}"):
        SdkNova("elsewhere")


def test_without_openstacksdk_the_setting_refuses_to_start_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openstack", None)
    with pytest.raises(SettingsError, match=r"SKYLENS_NOVA_CLOUD='private' needs openstacksdk .*skylens\[openstack\]"):
        SdkNova("private")


def test_nobody_who_does_not_use_it_imports_openstacksdk():
    program = (
        "import sys, autoscaler.main, web_openstack.main; print({'openstack', 'keystoneauth1'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
