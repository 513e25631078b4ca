"""Whatever a setting is set to, a tier starts with a right value or ends with one line that names the variable."""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from wrong_values import generated

from skylens.errors import SettingsError
from skylens.settings import PREFIX, ScalerSettings, WebSettings, load

SEED = 4
COMMANDS = {WebSettings: "web", ScalerSettings: "scaler"}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting from outside the test."""
    for name in list(os.environ):
        if name.startswith(PREFIX) or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


def test_every_wrong_value_is_refused_with_its_variable_and_what_is_right():
    values = list(generated(SEED))
    for tier, variable, value in values:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, value)
            try:
                load(tier)
            except SettingsError as error:
                said = error.detail
            else:
                pytest.fail(f"{variable}={value[:80]!r} is taken by {tier.__name__}")
        assert said.startswith(variable + "="), (variable, value[:80], said[:300])
        assert len(said.partition(": ")[2]) > 10
        assert len(said) < 400, (variable, len(value), len(said))
        if variable == "SKYLENS_API_KEYS" and value:
            assert value not in said
    print(f"{len(values)} wrong values of settings refused, seed {SEED}")


def test_a_process_ends_with_status_two_and_one_line():
    chance = random.Random(SEED)
    known = [one for one in generated(SEED) if one[0] in COMMANDS and "\n" not in one[2]]
    some = chance.sample(known, 12)

    def start(one):
        tier, variable, value = one
        environment = os.environ | {variable: value}
        command = [sys.executable, "-m", "skylens.cli", COMMANDS[tier]]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    with ThreadPoolExecutor(2) as starts:
        ended = list(starts.map(start, some))
    for (_, variable, value), done in zip(some, ended, strict=True):
        assert done.returncode == 2, (variable, value[:80], done.stderr[-2000:])
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), (variable, value[:80], done.stderr[-2000:])
        assert variable in done.stderr
