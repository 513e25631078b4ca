"""Web nodes come and go in Nova: who is asked, and what the fleet may do meanwhile."""

import threading
from dataclasses import dataclass

import pytest
import structlog
from msgspec.structs import replace
from openstack_cloud import ScriptedNova, server
from scaler_world import Web, World
from web_node import Node, serving

from autoscaler.assembly import find_peers
from autoscaler.metrics import Metrics
from autoscaler.nodes import WebNodes
from autoscaler.peers import OLD, NovaPeers
from autoscaler.trouble import Troubles
from skylens.clock import Clock, FakeClock
from skylens.messages import Demand, encode
from skylens.nova import Server
from skylens.queues import Counts
from skylens.settings import ScalerSettings

ONE, TWO = server("web-1", "10.0.0.4"), server("web-2", "10.0.0.5")
FIRST, SECOND = "http://10.0.0.4:8081", "http://10.0.0.5:8081"


def finding(*servers, given=(), clock=None):
    nova = ScriptedNova(list(servers))
    return nova, NovaPeers(nova, "skylens", given, Troubles(Metrics()), (clock or FakeClock()).clock())


def test_the_nodes_are_novas():
    _, peers = finding(ONE, TWO, server("db", "10.0.0.6", metadata={}))
    peers.look()
    assert peers.addresses() == (FIRST, SECOND)


def test_until_nova_answers_the_nodes_are_those_given():
    nova, peers = finding(ONE, given=("http://web:8081",))
    nova.down = True
    peers.look()
    assert (peers.addresses(), peers.age, peers.stale) == (("http://web:8081",), None, True)
    nova.down = False
    peers.look()
    assert (peers.addresses(), peers.age, peers.stale) == ((FIRST,), 0, False)


@pytest.mark.parametrize("outage", ["down", "a cell out of reach"])
def test_an_outage_keeps_the_nodes_and_their_age_grows_until_they_are_stale(outage):
    clock = FakeClock()
    nova, peers = finding(ONE, TWO, clock=clock)
    peers.look()
    nova.down, nova.shown = outage == "down", [ONE, Server(id=TWO.id, status="UNKNOWN")]
    clock.sleep(OLD)
    peers.look()
    assert (peers.addresses(), peers.age, peers.stale) == ((FIRST, SECOND), OLD, False)
    clock.sleep(1)
    assert peers.stale


def test_a_change_an_outage_and_its_end_are_each_said_once():
    nova, peers = finding(ONE)
    with structlog.testing.capture_logs() as lines:
        for shown, down in (([ONE], False), ([ONE, TWO], False), ([ONE, TWO], True), ([TWO, ONE], False), ([], False)):
            nova.shown, nova.down = shown, down
            peers.look()
            peers.look()
    assert [(line["event"], line.get("kind")) for line in lines] == [
        ("nodes.changed", None),
        ("nodes.changed", None),
        ("scaler.trouble", "unavailable"),
        ("scaler.recovered", None),
        ("scaler.trouble", "none"),
        ("nodes.changed", None),
    ]
    assert lines[1]["nodes"] == {FIRST: "web-1", SECOND: "web-2"}


def test_the_thread_looks_at_once_and_outlives_a_look_that_breaks(until):
    class Breaks(ScriptedNova):
        def servers(self):
            if not self.asked:
                self.asked += 1
                raise RuntimeError("what nobody thought of")
            return super().servers()

    nova = Breaks([ONE])
    peers = NovaPeers(nova, "skylens", (), Troubles(Metrics()), Clock())
    peers.start()
    try:
        until(lambda: peers.addresses() == (FIRST,))
    finally:
        peers.stop()


@pytest.fixture
def until(monkeypatch):
    """Waits for a condition; looks follow each other quickly."""
    monkeypatch.setattr("autoscaler.peers.RETRY", 0.01)

    def wait(condition):
        for _ in range(3000):
            if condition():
                return
            threading.Event().wait(0.01)
        raise AssertionError("it did not come to pass")

    return wait


def demand(outstanding):
    return Demand(
        node="web",
        at=5000.0,
        started=1400.0,
        arrivals=(0, 0),
        completions=(0, 0),
        outstanding=outstanding,
        oldest=0.0,
        service_times=(),
    )


def test_a_node_that_nova_shows_is_asked_at_the_next_tick_and_one_that_left_is_not_asked_again():
    with serving(Node(encode(demand(3)))) as one, serving(Node(encode(demand(4)))) as two:
        first, second = (server(name, "127.0.0.1", port=web.server_port) for name, web in (("a", one), ("b", two)))
        nova, peers = finding(first)
        nodes = WebNodes(peers.addresses)
        counts = []
        for shown in ([first], [first, second], [second], []):
            nova.shown = shown
            peers.look()
            counts.append({url: told.outstanding for url, told in nodes.demands().items()})
        nodes.close()
    assert counts == [{one.url: 3}, {one.url: 3, two.url: 4}, {two.url: 4}, {}]


@dataclass
class Webs(Web):
    """As many nodes as Nova shows. The first counts; ``mute``: they do not answer."""

    peers: NovaPeers | None = None
    mute: frozenset[str] = frozenset()

    def demands(self):
        own = {FIRST: self._demand(), SECOND: replace(self._demand(), outstanding=0)}
        return {url: None if url in self.mute else own[url] for url in self.peers.addresses()}

    def tell(self, report):
        return dict.fromkeys(self.peers.addresses(), True)


def world(*servers, **settings):
    """Work for two workers, which is done after some ten seconds, so that the fleet would shrink."""
    made = World()
    nova, peers = finding(*servers, clock=made.clock)
    made.web = Webs(made.clock, outstanding=8, started=made.clock.now() - 3600, peers=peers)
    scaler = made.autoscaler(**settings)
    scaler.signals._from = scaler.signals._from._replace(peers=peers)
    peers.look()
    return made, nova, scaler


def test_a_node_that_falls_silent_forbids_scale_in_until_nova_shows_it_no_more():
    made, nova, scaler = world(ONE, TWO)
    made.seconds(8)
    made.web.mute = frozenset({SECOND})
    made.seconds(300)
    assert (made.alive, scaler.signals.observe().stale) == (2, {"demand", "nodes"})
    nova.shown = [ONE]
    made.web.peers.look()
    made.seconds(120)
    assert (made.alive, scaler.signals.observe().stale) == (0, {"nodes"})


def test_what_a_node_took_in_before_it_was_deleted_holds_the_fleet_as_long_as_sqs_shows_it():
    made, nova, _ = world(ONE, TWO)
    made.requests.shown = Counts(0, 8)
    made.seconds(8)
    nova.shown = [ONE]
    made.web.peers.look()
    made.seconds(80)
    assert made.alive == 2
    made.seconds(200)
    made.requests.shown = Counts(0, 0)
    made.seconds(30)
    assert (made.alive, made.launches) == (0, 2)


def test_an_outage_of_nova_neither_forbids_scale_in_nor_hides_itself():
    made, nova, scaler = world(ONE)
    nova.down = True
    made.seconds(200)
    made.web.peers.look()
    seen = scaler.signals.observe()
    assert (made.alive, seen.stale, seen.ages["nodes"]) == (0, {"nodes"}, 200)


@pytest.mark.parametrize("down", [True, False])
def test_as_long_as_no_node_is_known_nothing_is_scaled_in_and_sqs_is_believed(down):
    made, nova, scaler = world()
    nova.down = down
    made.requests.shown = Counts(6, 2)
    made.seconds(8)
    made.requests.shown = Counts(0, 0)
    made.seconds(300)
    assert (made.alive, "demand" in scaler.signals.observe().stale) == (2, True)


def test_the_settings_list_goes_on_only_when_somebody_wrote_it(monkeypatch):
    monkeypatch.setattr("autoscaler.assembly.SdkNova", lambda cloud: ScriptedNova(down=cloud != "private"))

    def addresses(**settings):
        return find_peers(ScalerSettings(nova_cloud="private", **settings), Troubles(Metrics()), Clock()).addresses()

    assert addresses() == ()
    assert addresses(web_nodes="http://127.0.0.1:8081") == ("http://127.0.0.1:8081",)
    assert find_peers(ScalerSettings(), Troubles(Metrics()), Clock()) is None
