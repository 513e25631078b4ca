import os
from pathlib import Path

import pytest

from skylens.errors import SettingsError
from skylens.local import environment
from skylens.local.resources import user_data_lines
from skylens.local.tiers import KINDS, Options, parse, variables
from skylens.settings import load


@pytest.mark.parametrize("tier", KINDS)
def test_each_tier_takes_the_settings_that_it_gets_here(tier, monkeypatch):
    options = Options(boot_seconds=0, idle_seconds=0)
    made = {
        "web": options.web("web-1", "127.0.0.1:1", "127.0.0.1:2"),
        "scaler": options.scaler(["http://127.0.0.1:2", "http://127.0.0.1:3"]),
        "worker": options.worker(),
    }[tier]
    for name, value in variables(made).items():
        monkeypatch.setenv(name, value)
    assert load(KINDS[tier]).deployment == "local"


def test_names_of_queues_and_buckets_do_not_depend_on_our_own_environment(monkeypatch):
    monkeypatch.setenv("SKYLENS_INPUT_BUCKET", "production-images")
    shared = Options().shared()
    assert (shared.bucket("input"), shared.queue("requests")) == ("local-input", "local-requests")


def test_a_setting_for_all_reaches_every_tier_and_one_for_a_tier_that_tier_alone():
    options = Options(settings=parse(["all.visibility_timeout=7", "worker.slots=3"]))
    assert variables(options.scaler([]))["SKYLENS_VISIBILITY_TIMEOUT"] == "7"
    assert "SKYLENS_SLOTS=3\n" in user_data_lines(options.worker())
    assert "slots" not in options.web("w", "a", "b")


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("web.max_waits", "should be TIER.NAME=VALUE"),
        ("door.max_waits=1", "should be TIER.NAME=VALUE"),
        ("web.max_wait=1", "web has no setting 'max_wait'"),
        ("worker.maximum=1", "worker has no setting 'maximum'"),
    ],
)
def test_a_wrong_assignment_is_refused_by_name(assignment, words):
    with pytest.raises(SettingsError, match=words):
        parse([assignment])


def test_only_harmless_variables_of_the_user_are_kept():
    source = {"PATH": "/bin", "HOME": "/home/me", "AWS_PROFILE": "x", "SKYLENS_MODEL": "x", "https_proxy": "x"}
    made = environment.base(source, Path("/run"))
    assert {name: made[name] for name in source if name in made} == {"PATH": "/bin", "HOME": "/home/me"}


def test_every_service_of_aws_is_answered_by_an_emulator():
    made = environment.aws("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert {value for name, value in made.items() if name.startswith("AWS_ENDPOINT_URL")} == {
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
    }
    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert made["AWS_CONFIG_FILE"] == made["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
