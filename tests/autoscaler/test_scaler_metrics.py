import socket
import urllib.request

import pytest
from prometheus_client import generate_latest
from scaler_world import World

from autoscaler.metrics import Metrics
from skylens.errors import SettingsError


def test_a_run_is_counted():
    world = World(boot=2)
    scaler = world.autoscaler(scale_in_seconds=1, maximum=3)
    world.web.outstanding = 12
    world.seconds(30)

    def value(name, **labels):
        return scaler.metrics.registry.get_sample_value(f"skylens_scaler_{name}", labels)

    assert (value("launches_total"), value("drains_total"), value("desired"), value("leading")) == (3, 3, 0, 1)
    assert value("decisions_total", direction="out") >= 1
    assert value("decisions_total", direction="in") >= 1
    assert value("boot_seconds") < 60


def test_every_label_is_there_from_the_start():
    text = generate_latest(Metrics().registry).decode()
    for label in ('state="draining"', 'direction="in"', 'why="lost"', 'kind="capacity"'):
        assert label in text


def test_metrics_are_served():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    Metrics().serve(address)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        assert b"skylens_scaler_overruns_total" in answer.read()


def test_an_address_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"SKYLENS_METRICS_LISTEN='127.0.0.1:{port}'"):
            Metrics().serve(f"127.0.0.1:{port}")
