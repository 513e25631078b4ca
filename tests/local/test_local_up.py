import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from harness import UP
from PIL import Image

import skylens
from skylens.cli import main, parser
from skylens.local import sample
from skylens.local.narrator import LogLines, sentence
from skylens.messages import Label, Model, Result, Timings

STAMP = "2030-01-01T12:00:01Z"


def decision(**fields):
    return {"event": "scaler.decision", "timestamp": STAMP, "old": 0, "new": 2, "reason": "7 outstanding"} | fields


def test_a_change_of_the_fleet_is_one_line_with_its_reason():
    local = datetime.fromisoformat(STAMP).astimezone().strftime("%H:%M:%S")
    assert sentence(decision()) == f"{local} fleet 0 -> 2: 7 outstanding"


@pytest.mark.parametrize("record", [decision(new=0), {"event": "scaler.leading"}, {}])
def test_what_changes_nothing_is_not_told(record):
    assert sentence(record) is None


def test_each_whole_line_of_a_growing_log_is_read_once(tmp_path):
    log = tmp_path / "scaler.log"
    lines = LogLines(log)
    assert lines.new() == []
    with log.open("w") as file:
        file.write('{"event": "a"}\nTraceback ...\n[1]\n{"event": ')
        file.flush()
        assert lines.new() == [{"event": "a"}]
        file.write('"b"}\n')
        file.flush()
        assert lines.new() == [{"event": "b"}]
        assert lines.new() == []


def test_the_stages_of_the_sample_add_up_to_its_whole_time():
    start = datetime(2030, 1, 1, tzinfo=UTC)
    times = Timings(
        received=start + timedelta(seconds=0.1),
        queued=start + timedelta(seconds=0.2),
        started=start + timedelta(seconds=3.2),
        finished=start + timedelta(seconds=3.5),
    )
    labels = (Label(label="ship", score=0.914), Label(label="frog", score=0.01))
    result = Result(
        id="1", name="ship.png", model=Model(name="m", version="1"), labels=labels, timings=times, digest=""
    )
    first, second = sample.Seen(result, start.timestamp(), start.timestamp() + 4).lines()
    assert first == "ship.png: ship, score 0.91"
    assert [float(word) for word in second.split() if word[0].isdigit()] == [0.2, 3.0, 0.3, 0.5]


def test_without_the_checkouts_samples_a_picture_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(skylens, "__file__", str(tmp_path / "site-packages" / "skylens" / "__init__.py"))
    drawn = sample.picture(tmp_path)
    with Image.open(drawn) as image:
        assert (image.format, image.size) == ("PNG", (256, 256))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "70000 is not from 0 to 65535"),
        (["--max", "0"], "0 is not from 1 to 64"),
        (["--boot", "-1"], "-1 is not from"),
        (["--boot", "long"], "invalid number value: 'long'"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_right(arguments, words, capsys):
    with pytest.raises(SystemExit):
        parser("up").parse_args(["up", *arguments])
    assert words in capsys.readouterr().err


def test_a_wrong_setting_is_refused_before_anything_starts(capsys):
    assert main(["up", "--set", "web.max_wait=1"]) == 2
    captured = capsys.readouterr()
    assert "web has no setting 'max_wait'" in captured.err
    assert captured.out == ""


def test_missing_emulators_are_said_with_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["up"]) == 2
    assert "pip install 'skylens[local]'" in capsys.readouterr().err


def test_the_command_runs_without_its_console_script():
    done = subprocess.run(
        [sys.executable, "-m", "skylens.cli", "up", "--help"], capture_output=True, text=True, check=True
    )
    assert "Ctrl-C drains and stops everything" in done.stdout


def test_a_sample_that_fails_says_why(tmp_path, monkeypatch):
    picture = tmp_path / "a.png"
    monkeypatch.setattr(sample, "Client", lambda *_, **__: SimpleNamespace(classify=lambda _: json.loads("no")))
    sent = sample.Sample("http://127.0.0.1:1", picture)
    sent.thread.join(20)
    assert "JSONDecodeError" in sent.outcome.detail


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--model", "nosuch"], "there is no model 'nosuch'"), (["--policy", "nosuch"], "'resident', 'deficit'")],
)
def test_what_no_tier_could_start_with_is_refused_before_anything_starts(arguments, said):
    ended = subprocess.run([*UP, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, said in ended.stderr) == (2, True)
    assert "AWS emulators" not in ended.stdout


@pytest.mark.parametrize("option", ["--keep-logs", "--state"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_starts(option, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*UP, "--port", "0", option, "/dev/null/file"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert ended.returncode == 2
    assert f"{option}: cannot write in /dev/null" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "AWS emulators" not in ended.stdout
    assert list(tmp_path.iterdir()) == []
