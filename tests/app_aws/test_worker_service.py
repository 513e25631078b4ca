"""How a worker is started and ended from outside."""

import os
import signal

import pytest

from app_aws import metadata, service
from app_aws.metadata import Metadata
from skylens import systemd
from skylens.clock import Clock
from skylens.errors import SettingsError, UnavailableError
from skylens.fakes import FakeQueue


@pytest.fixture
def environment(monkeypatch):
    """A copy of the environment that the code under test may write to."""
    changed = {name: value for name, value in os.environ.items() if not name.startswith("SKYLENS_")}
    monkeypatch.setattr(os, "environ", changed)
    return changed


def test_user_data_count_where_the_environment_says_nothing(environment):
    environment["SKYLENS_SLOTS"] = "3"
    settings = service._settings({"SKYLENS_SLOTS": "5", "SKYLENS_BATCH_SIZE": "2"})
    assert (settings.slots, settings.batch_size) == (3, 2)


def test_user_data_that_no_tier_knows_refuse_to_start(environment):
    with pytest.raises(SettingsError, match="did you mean SKYLENS_SLOTS"):
        service._settings({"SKYLENS_SLOT": "5"})


NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def no_cloud(environment, monkeypatch):
    """A machine on which nothing of AWS answers."""
    environment |= {"AWS_ENDPOINT_URL_SQS": NOWHERE, "AWS_ENDPOINT_URL_S3": NOWHERE}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    monkeypatch.setattr(service.logs, "configure", lambda *_: None)
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
        def __init__(self, *clients):
            pass

        def named(self, name, visibility=None):
            asked[name] = visibility
            return FakeQueue()

    monkeypatch.setattr(service, "SqsQueues", Queues)
    no_cloud["SKYLENS_VISIBILITY_TIMEOUT"] = "77"
    worker = service._build(service._settings({}), Metadata(NOWHERE, Clock()), None, Clock(), systemd.NOBODY)
    worker._parts.events.close("test", 10)
    assert asked == {"skylens-events": None, "skylens-requests": 77, "skylens-requests-dead": None}


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
