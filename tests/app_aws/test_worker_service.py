"""How a worker is started and ended from outside."""

import os
import signal
import threading
from collections import defaultdict

import numpy as np
import pytest
from parts import FakeEngine, until

from app_aws import metadata, service
from app_aws.bucket import BucketRegistry
from app_aws.metadata import Metadata
from app_aws.tuning import Choice
from skylens import active, systemd
from skylens.active import Active, Canary
from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError
from skylens.fakes import FakeQueue, FakeStore
from skylens.messages import Model, WorkerEvent, read


@pytest.fixture
def environment(monkeypatch):
    """A copy of the environment that the code under test may write to."""
    changed = {name: value for name, value in os.environ.items() if not name.startswith("SKYLENS_")}
    monkeypatch.setattr(os, "environ", changed)
    return changed


def test_user_data_count_where_the_environment_says_nothing(environment):
    environment["SKYLENS_SLOTS"] = "3"
    settings = service._settings({"SKYLENS_SLOTS": "5", "SKYLENS_BATCH_SIZE": "7"})
    assert (settings.slots, settings.batch_size) == (3, 7)


def test_user_data_that_no_tier_knows_refuse_to_start(environment):
    with pytest.raises(SettingsError, match="did you mean SKYLENS_SLOTS"):
        service._settings({"SKYLENS_SLOT": "5"})


NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def no_cloud(environment, monkeypatch):
    """A machine on which nothing of AWS answers."""
    environment |= {"SKYLENS_MODEL_SECONDS": "0", "AWS_ENDPOINT_URL_SQS": NOWHERE, "AWS_ENDPOINT_URL_S3": NOWHERE}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    monkeypatch.setattr(service.logs, "configure", lambda *_: None)
    monkeypatch.setattr(service.cpu, "undisturbed", lambda: None)  # it would hold for the tests that follow
    return environment


def test_a_plain_machine_without_its_cloud_says_so(no_cloud, monkeypatch):
    monkeypatch.setattr(metadata, "ENDPOINT", NOWHERE)
    with pytest.raises(UnavailableError, match="deployment skylens cannot be reached: unreachable"):
        service.run()


def test_an_instance_without_its_metadata_refuses_to_start(no_cloud):
    no_cloud["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = NOWHERE
    with pytest.raises(UnavailableError, match=r"instance metadata at http://127\.0\.0\.1:1 cannot be read"):
        service.run()


def test_its_visibility_timeout_goes_with_each_receive(no_cloud, monkeypatch):
    asked = {}

    class Queues:
        def named(self, name, visibility=None):
            asked[name] = visibility
            return FakeQueue()

    monkeypatch.setattr(service, "quick_queues", lambda _: Queues())
    no_cloud["SKYLENS_VISIBILITY_TIMEOUT"] = "77"
    worker = service._build(service._settings({}), Metadata(NOWHERE, Clock()), None, Clock(), systemd.NOBODY)
    worker._parts.events.close("test", 10)
    assert asked == {"skylens-events": None, "skylens-requests": 77, "skylens-requests-dead": None}


@pytest.mark.parametrize("cores", [1, 64, 448])
def test_on_an_instance_of_any_size_its_events_can_be_read_and_nothing_is_taken_before_all_threads_run(
    no_cloud, monkeypatch, cores
):
    queues = defaultdict(FakeQueue)

    class Queues:
        def named(self, name, visibility=None):
            return queues[name]

    monkeypatch.setattr(service, "quick_queues", lambda _: Queues())
    monkeypatch.setattr(service.cpu, "cores", lambda: cores)
    worker = service._build(service._settings({}), Metadata(NOWHERE, Clock()), None, Clock(), systemd.NOBODY)
    worker._parts.events.close("test", 10)
    told = [read(WorkerEvent, message.body) for message in queues["skylens-events"].messages.values()]
    assert {event.slots for event in told} == {min(256, 4 * cores)}
    assert worker._parts.receiver.threads[-1].name == "receiver"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_first_signal_drains_and_the_second_would_end(name):
    number, reasons = getattr(signal, name), []

    class Listener:
        leave = reasons.append

    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        service._on_signals(Listener)
        os.kill(os.getpid(), number)
        assert reasons == [name]
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class Slow(FakeEngine):
    """Counts how many calls of all its kind run at once."""

    running = most = 0
    lock = threading.Lock()

    def __init__(self, version):
        self.model = Model(name="net", version=version)

    def infer(self, batch):
        with self.lock:
            Slow.running += 1
            Slow.most = max(Slow.most, Slow.running)
        threading.Event().wait(0.002)
        with self.lock:
            Slow.running -= 1
        return np.stack(batch)


@pytest.fixture
def net(environment, monkeypatch):
    """Every model that is asked for is a slow fake of its version; the settings' one is ``net@own``."""
    monkeypatch.setattr(service.registry, "load", lambda folder, **_: Slow("own"))
    monkeypatch.setattr(BucketRegistry, "load", lambda self, model_id, *_, **__: Slow(model_id.partition("@")[2]))
    Slow.most = 0
    return FakeStore()


def at_work(switch, request="r"):
    with switch.pick(request) as picked:
        return picked.id


def test_what_is_active_counts_and_not_the_setting(net):
    assert at_work(service._models(service._settings({}), net, 2, Clock())) == "net@own"
    active.write(net, Active(model="net@2", at=1.0), None)
    assert at_work(service._models(service._settings({}), net, 2, Clock())) == "net@2"


def test_a_worker_that_looks_for_no_model_uses_its_own(net):
    active.write(net, Active(model="net@2", at=1.0), None)
    switch = service._models(service._settings({"SKYLENS_MODEL_SECONDS": "0"}), net, 2, Clock())
    assert at_work(switch) == "net@own"
    assert net.script.calls == [("put_if", (active.KEY, "application/json", None))]


def test_a_model_that_is_best_run_by_one_call_is_called_once_at_a_time(net, monkeypatch):
    monkeypatch.setattr(service.tuning, "own_key", lambda *_: "key")
    monkeypatch.setattr(service.tuning, "kept", lambda *_: Choice(calls=1, threads=2, batch=1))
    switch = service._models(service._settings({"SKYLENS_MODEL_SECONDS": "0"}), net, 2, Clock())
    switch.start()
    with switch.pick("r") as picked:
        waiting = [picked.submit(lambda: np.zeros(3, np.float32)) for _ in range(20)]
        assert all(one.result(20) is not None for one in waiting)
    assert len(switch._main.batcher.threads) == 2, "the other one prepares meanwhile"
    switch.stop(10)
    assert Slow.most == 1


def test_the_models_at_work_together_make_no_more_calls_at_once_than_one_alone(net):
    active.write(net, Active(model="net@1", at=1.0, canary=Canary(model="net@2", share=0.5)), None)
    switch = service._models(service._settings({"SKYLENS_BATCH_SIZE": "1"}), net, 2, Clock())
    switch.start()
    until(lambda: {at_work(switch, f"r{number}") for number in range(20)} == {"net@1", "net@2"})
    waiting = []
    for number in range(60):
        with switch.pick(f"r{number}") as picked:
            waiting.append(picked.submit(lambda: np.zeros(3, np.float32)))
    assert all(one.result(20) is not None for one in waiting)
    switch.stop(10)
    assert Slow.most == 2
