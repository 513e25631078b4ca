"""The recording of production's arrivals."""

import pytest
import structlog
from msgspec.structs import replace
from observations import observation

from autoscaler.metrics import Metrics
from autoscaler.observation import DEMAND, Decision
from autoscaler.record import Recorder
from autoscaler.trouble import Troubles
from skylens.cli import main

START = 1_700_000_000
HOLD = Decision(desired=0, reason="")


def stamp(second):
    return f"2023-11-14T22:{13 + (20 + second) // 60}:{(20 + second) % 60:02}Z"


class Web:
    """A web node whose every second has its own count, seen by a recorder at the times that a test says."""

    def __init__(self, path, history=10):
        self.path, self.history = path, history
        self.restart()

    def restart(self):
        self.recorder = Recorder(self.path, Troubles(Metrics()))

    def tick(self, at, *, seconds=None, stale=(), age=0.0):
        """``seconds``: how many whole ones the node counted by then, if its own clock says another number."""
        whole = int(at) if seconds is None else seconds
        arrivals = tuple(100 + second for second in range(whole - self.history, whole))
        seen = replace(observation(at=START + at, stale=stale), arrivals=arrivals, ages={DEMAND: age})
        self.recorder.saw(seen, HOLD, HOLD)

    @property
    def lines(self):
        return self.path.read_text().splitlines()

    @property
    def counts(self):
        return [int(line.partition(",")[2]) for line in self.lines[1:]]


@pytest.fixture
def web(tmp_path):
    return Web(tmp_path / "arrivals.csv")


def test_each_line_is_a_second_in_utc_and_its_count(web):
    web.tick(2.3)
    assert web.lines[0] == "timestamp,count"
    assert web.lines[-2:] == [f"{stamp(0)},100", f"{stamp(1)},101"]


@pytest.mark.parametrize(
    "ticks",
    [
        pytest.param([20.1, 21.1, 22.1, 23.1], id="on time"),
        pytest.param([20.1, 20.3, 20.9, 21.2, 21.8, 22.0, 23.5], id="several in a second"),
        pytest.param([20.1, 23.9], id="some skipped"),
        pytest.param([20.9, 22.0, 23.0], id="late"),
        pytest.param([20.1, 22.1, 21.9, 23.1], id="the clock was set back"),
    ],
)
def test_each_second_is_written_once(web, ticks):
    for at in ticks:
        web.tick(at)
    assert web.counts == list(range(110, 123))


@pytest.mark.parametrize(
    "ticks",
    [
        pytest.param([(20.2, 20), (20.99, 20), (22.0, 21), (23.0, 22), (23.9, 23)], id="ahead and back"),
        pytest.param([(20.2, 20), (20.9, 21), (21.9, 22), (22.95, 23), (23.5, 23)], id="behind and back"),
        pytest.param([(20.2, 20), (22.1, 21), (23.1, 23)], id="ahead after a late tick"),
    ],
)
def test_each_second_is_written_once_whatever_the_nodes_clock_says(web, ticks):
    for at, seconds in ticks:
        web.tick(at, seconds=seconds)
    assert web.counts == list(range(110, 123))
    assert [line.partition(",")[0] for line in web.lines[1:]] == [stamp(second) for second in range(10, 23)]


def test_an_answer_that_is_old_is_of_its_own_time(web):
    web.tick(22.5, seconds=20, age=2.2)
    assert web.lines[-1] == f"{stamp(19)},119"


def test_a_gap_longer_than_the_history_stays_a_gap(web):
    web.tick(20)
    web.tick(35)
    assert web.counts == [*range(110, 120), *range(125, 135)]
    assert web.lines[10:12] == [f"{stamp(19)},119", f"{stamp(25)},125"]


def test_a_stale_second_waits_for_demand_to_be_known_again(web):
    web.tick(20)
    web.tick(21, stale={DEMAND})
    assert web.counts[-1] == 119
    web.tick(22)
    assert web.counts == list(range(110, 122))


def test_a_restart_goes_on_where_the_file_ends(web):
    web.tick(20)
    web.restart()
    web.tick(23)
    assert web.lines.count("timestamp,count") == 1
    assert web.counts == list(range(110, 123))


@pytest.mark.parametrize("lost", [1, 4, 10, 23])
def test_a_torn_last_line_is_written_anew(web, lost):
    web.tick(20)
    whole = web.path.read_bytes()
    web.path.write_bytes(whole[:-lost])
    web.restart()
    web.tick(20)
    assert web.path.read_bytes() == whole


@pytest.mark.parametrize("left", range(17))
def test_a_torn_header_is_written_anew(web, left):
    web.path.write_text("timestamp,count\n"[:left])
    web.tick(20)
    assert web.lines[:2] == ["timestamp,count", f"{stamp(10)},110"]


def test_a_file_that_was_moved_away_is_begun_anew_without_repeating_a_second(web, tmp_path):
    web.tick(20)
    web.path.rename(tmp_path / "yesterday.csv")
    web.tick(22)
    assert web.lines == ["timestamp,count", f"{stamp(20)},120", f"{stamp(21)},121"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("policy;cost\n1;2\n", "not a recording: it begins with b'policy;cost"),
        ("timestamp,count\nyesterday,many\n", "damaged: it ends with b'yesterday,many'"),
        ("timestamp,count\n" + "\0" * 5000, "damaged"),
    ],
)
def test_a_file_that_is_no_recording_is_left_alone_and_said_once(web, content, said):
    web.path.write_text(content)
    with structlog.testing.capture_logs() as logs:
        web.tick(20)
        web.tick(21)
    assert web.path.read_text() == content
    assert [entry["event"] for entry in logs] == ["scaler.trouble"]
    assert said in logs[0]["detail"]
    assert str(web.path) in logs[0]["detail"]


def test_trouble_with_the_file_is_outlived_and_what_was_missed_is_filled_in(tmp_path):
    web = Web(tmp_path / "later" / "arrivals.csv")
    with structlog.testing.capture_logs() as logs:
        web.tick(20)
        web.tick(21)
        web.path.parent.mkdir()
        web.tick(22)
    assert [entry["event"] for entry in logs] == ["scaler.trouble", "scaler.recovered"]
    assert web.counts == list(range(112, 122))


def test_what_a_full_disk_tore_is_repaired(web, monkeypatch):
    web.tick(20)
    monkeypatch.setattr("autoscaler.record._write", lambda path, lines: tear(path, b"".join(lines)))
    web.tick(22)
    monkeypatch.undo()
    web.tick(23)
    assert web.counts == list(range(110, 123))


def tear(path, data):
    with path.open("ab") as file:
        file.write(data[:-5])
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["missing/arrivals.csv", "."])
def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path, capsys, place):
    assert main(["scaler", "--record", str(tmp_path / place)]) == 2
    assert "--record" in capsys.readouterr().err
