"""What systemd hands to the web tier, and what it is told: the addresses that count, and signs of life."""

import threading

import pytest
import structlog

from skylens.clock import FakeClock
from skylens.errors import SettingsError
from skylens.settings import WebSettings, load
from skylens.systemd import Notifier
from web_openstack import main


class Bound:
    """A socket of which only the address matters."""

    def __init__(self, *address):
        self.address = address

    def getsockname(self):
        return self.address


@pytest.mark.parametrize("bound", [("0.0.0.0", 8080), ("::", 8080, 0, 0), ("10.0.0.7", 443)])
def test_an_inherited_public_socket_without_keys_is_refused_whatever_the_settings_say(bound, monkeypatch):
    monkeypatch.setenv("SKYLENS_LISTEN", "127.0.0.1:8080")
    with pytest.raises(SettingsError, match="is not loopback: set api_keys"):
        load(WebSettings, **main.addresses({"public": Bound(*bound)}))


def test_an_inherited_loopback_socket_needs_no_keys_and_names_the_node(monkeypatch):
    monkeypatch.setenv("SKYLENS_LISTEN", "0.0.0.0:80")
    sockets = {"public": Bound("::1", 9443, 0, 0), "internal": Bound("127.0.0.1", 9444)}
    settings = load(WebSettings, **main.addresses(sockets))
    assert (settings.listen, settings.internal_listen) == ("[::1]:9443", "127.0.0.1:9444")
    assert settings.node_name().endswith("-9443")


def test_a_socket_that_nobody_serves_refuses_to_start():
    with pytest.raises(SettingsError, match=r"\['skylens-web\.socket'\]: FileDescriptorName= must be one of public"):
        main.addresses({"skylens-web.socket": Bound("127.0.0.1", 1)})


class Signs(Notifier):
    """Counts the signs of life."""

    def __init__(self):
        super().__init__({}, 0, FakeClock().clock())
        self.count = 0

    def alive(self):
        self.count += 1


def test_the_watchdog_is_fed_until_a_thread_is_dead_and_that_is_said_once():
    rest, signs = threading.Event(), Signs()
    threads = [threading.Thread(target=rest.wait, name=name, daemon=True) for name in ("replies", "housekeeping")]
    for thread in threads:
        thread.start()
    beat = main.pulse(threads, signs)
    beat()
    beat()
    assert signs.count == 2
    rest.set()
    for thread in threads:
        thread.join(30)
    with structlog.testing.capture_logs() as lines:
        beat()
        beat()
    assert signs.count == 2
    assert [(line["event"], line["dead"]) for line in lines] == [("web.broken", ["replies", "housekeeping"])]
