"""How a worker is started and ended from outside."""

import os
import signal

import pytest

from app_aws import service
from skylens.errors import SettingsError, UnavailableError


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


def test_a_plain_machine_without_its_cloud_says_so(environment, monkeypatch):
    nowhere = "http://127.0.0.1:1"
    for name in ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, nowhere)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(service.logs, "configure", lambda *_: None)
    with pytest.raises(UnavailableError, match="deployment skylens cannot be reached: unreachable"):
        service.run()


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
