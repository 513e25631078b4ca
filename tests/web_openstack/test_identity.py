"""The name of a web process: Nova's for its server, the host's when Nova does not say."""

import pytest
import structlog
from openstack_cloud import ScriptedNova, raw, server, serving_openstack

from skylens.clock import FakeClock
from skylens.errors import SettingsError
from skylens.settings import WebSettings
from web_openstack.identity import PATIENCE, ask, identified, is_own

OWN, OTHER = server("web-1", "10.0.0.4"), server("web-2", "10.0.0.5")


def asked(nova, *, own="10.0.0.4", **settings):
    """The name, and what was logged."""
    with structlog.testing.capture_logs() as lines:
        name = ask(nova, WebSettings(**settings), FakeClock().clock(), own=lambda address: address == own)
    return name, [line["event"] for line in lines]


def test_the_node_is_the_server_that_has_this_machines_address():
    assert asked(ScriptedNova([OTHER, OWN])) == ("web-1", [])


@pytest.mark.parametrize(
    ("shown", "own"),
    [([OTHER], "10.0.0.4"), ([], "10.0.0.4"), ([OWN, server("other-net", "10.0.0.4")], "10.0.0.4")],
)
def test_when_nova_shows_no_such_server_or_two_the_host_name_stays_with_a_warning(shown, own):
    nova = ScriptedNova(shown)
    assert asked(nova, own=own) == ("", ["web.unidentified"])
    assert nova.asked == 1


def test_an_outage_holds_the_start_for_ten_seconds_at_most():
    nova, clock = ScriptedNova(down=True), FakeClock()
    began = clock.now()
    assert ask(nova, WebSettings(), clock.clock()) == ""
    assert (clock.now() - began, nova.asked) == (PATIENCE, 6)


def test_an_outage_that_ends_in_time_does_no_harm():
    class Recovers(ScriptedNova):
        def servers(self):
            self.down = self.asked < 2
            return super().servers()

    assert asked(Recovers([OWN])) == ("web-1", [])


def test_servers_of_one_name_have_nodes_of_different_names():
    settings = WebSettings()
    long = "a-deployment-with-quite-a-long-name-web"
    for pair in (("web", "web"), ("web.1", "web-1"), (f"{long}-1", f"{long}-2")):
        servers = [server(name, f"10.0.0.{at}", id=f"{at:08}-0000") for at, name in enumerate(pair)]
        names = {settings.node_name(asked(ScriptedNova(servers), own=f"10.0.0.{at}")[0]) for at in (0, 1)}
        assert len(names) == 2
        assert all(WebSettings(node=name) for name in names)


def test_only_this_machines_addresses_are_its_own():
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.7")
    assert not is_own("nonsense")


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    with serving_openstack() as made:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(made.clouds(tmp_path)))
        yield made


def test_a_process_has_its_servers_name_and_port_at_each_start(cloud):
    cloud.shown = [raw("there", "192.0.2.7"), raw("here", "127.0.0.1"), raw("here", "192.0.2.8", metadata={})]
    settings = WebSettings(nova_cloud="private", listen="127.0.0.1:9999")
    assert [identified(settings).node_name() for _ in range(2)] == ["here-9999"] * 2


def test_a_name_that_was_set_stays_and_nova_is_not_asked(cloud):
    assert identified(WebSettings(nova_cloud="private", node="mine")).node_name() == "mine"
    assert identified(WebSettings()) == WebSettings()
    assert cloud.calls == []


def test_a_cloud_that_clouds_yaml_lacks_refuses_to_start(cloud):
    with pytest.raises(SettingsError, match="SKYLENS_NOVA_CLOUD='public'"):
        identified(WebSettings(nova_cloud="public"))
