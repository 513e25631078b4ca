"""`skylens simulate`."""

import csv

import numpy as np
import pytest
from msgspec.structs import replace
from observations import observation

from autoscaler import simulate
from autoscaler.metrics import Metrics
from autoscaler.observation import Decision
from autoscaler.record import Recorder
from autoscaler.simulator.compare import compare
from autoscaler.simulator.contenders import NAMES
from autoscaler.simulator.distributions import Fixed, Lognormal
from autoscaler.simulator.trace import Trace, TraceError
from autoscaler.trouble import Troubles
from skylens.cli import main, parser


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture
def day(tmp_path):
    """A minute of every ten seconds' requests, from 2015-02-26 12:00 UTC on."""
    path = tmp_path / "day.csv"
    lines = [f"2015-02-26 12:00:{10 * place:02},{count}" for place, count in enumerate([20, 100, 400, 50, 0, 200])]
    path.write_text("\n".join(["timestamp,count", *lines]))
    return path


def asked(*arguments):
    return parser("simulate").parse_args(["simulate", "--trace", "x.csv", *arguments])


def test_a_table_of_the_policies_asked_for_is_printed(day, capsys):
    assert main(["simulate", "--trace", str(day), "--policy", "keda", "greedy"]) == 0
    out, err = capsys.readouterr()
    rows = [line.replace("★", "").split() for line in out.splitlines()]
    assert [row[0] for row in rows if len(row) == 14] == ["keda", "greedy"]
    assert out.startswith("day: ")
    assert "up to 40 a second in a bin of 10 s, which keep 2.0 instances busy" in out
    assert "…" not in out
    assert err == ""


def test_by_default_all_policies_are_compared_and_the_best_six_drawn(day, tmp_path, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(simulate.plot, "save", lambda path, picture: drawn.append(picture))
    assert main(["simulate", "--trace", str(day), "--plot", str(tmp_path / "day.png")]) == 0
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in NAMES)
    assert len(drawn[0].runs) == 6
    best = next(line.split()[1] for line in out.splitlines() if line.startswith((" ★", "★")) and len(line.split()) > 13)
    assert best in [run.policy for run in drawn[0].runs]


def test_the_numbers_go_to_a_csv_file_and_the_picture_to_its_own(day, tmp_path):
    out = {suffix: tmp_path / f"out.{suffix}" for suffix in ("csv", "svg")}
    arguments = ["--trace", str(day), "--policy", "greedy", "--csv", str(out["csv"]), "--plot", str(out["svg"])]
    assert main(["simulate", *arguments]) == 0
    with out["csv"].open(newline="") as file:
        assert [row["policy"] for row in csv.DictReader(file)] == ["greedy"]
    assert "greedy" in out["svg"].read_text()


def test_the_oracle_can_be_left_out(day, capsys):
    main(["simulate", "--trace", str(day), "--policy", "keda", "--no-oracle"])
    assert "knows all arrivals" not in capsys.readouterr().out


def test_a_policy_named_twice_is_run_once(day, capsys):
    main(["simulate", "--trace", str(day), "--policy", "keda", "keda", "--policy", "keda"])
    assert sum(" keda " in line for line in capsys.readouterr().out.splitlines()) == 1


def test_a_recording_of_production_can_be_replayed(tmp_path, capsys):
    path = tmp_path / "arrivals.csv"
    recorder, hold = Recorder(path, Troubles(Metrics())), Decision(desired=0, reason="")
    for second in range(1_700_000_000, 1_700_000_060):
        seen = replace(observation(at=second + 0.5), arrivals=(7,) * 10)
        recorder.saw(seen, hold, hold)
    assert main(["simulate", "--trace", str(path), "--policy", "static_peak"]) == 0
    assert "in 1.15 m, up to 7 a second in a bin of 1 s" in capsys.readouterr().out


TRACE = Trace("day", 1_424_952_000.0, 60.0, np.arange(1440.0))
UNDATED = Trace("day", 0.0, 60.0, np.arange(1440.0))


@pytest.mark.parametrize(
    ("arguments", "first", "bins"),
    [
        ([], 0, 1440),
        (["--start", "6h"], 360, 1080),
        (["--start", "0", "--duration", "90m"], 0, 90),
        (["--start", "61", "--duration", "1"], 1, 1),
        (["--start", "23h", "--duration", "7d"], 1380, 60),
        (["--start", "2015-02-26T13:00"], 60, 1380),
        (["--start", "2015-02-26 14:00+01:00", "--duration", "1h"], 60, 60),
    ],
)
def test_a_part_of_the_trace_can_be_chosen(arguments, first, bins, monkeypatch):
    monkeypatch.setattr(simulate, "read", lambda path, column: TRACE)
    found = simulate._trace(asked(*arguments))
    assert found.counts.tolist() == list(range(first, first + bins))


@pytest.mark.parametrize(
    ("trace", "arguments", "said"),
    [
        (TRACE, ["--start", "1d"], "--start is 86400 s after the start of day, which lasts 1 d"),
        (TRACE, ["--start", "2015-02-26T11:00"], "--start is -3600 s after the start of day"),
        (UNDATED, ["--start", "2015-02-26"], "has no dates; --start takes a time such as 6h"),
        (TRACE, ["--peak", "1e6"], r"has 43,\d\d\d,\d\d\d,\d\d\d requests; at most 50,000,000 are replayed"),
    ],
)
def test_a_part_that_there_is_not_is_refused(trace, arguments, said, monkeypatch):
    monkeypatch.setattr(simulate, "read", lambda path, column: trace)
    with pytest.raises(TraceError, match=said):
        simulate._trace(asked(*arguments))


def test_the_peak_scales_the_whole_trace(monkeypatch):
    monkeypatch.setattr(simulate, "read", lambda path, column: TRACE)
    assert simulate._trace(asked("--peak", "300")).rates.max() == pytest.approx(300)


def test_every_number_of_the_model_can_be_set():
    text = "--service 50:90 --boot 2m --concurrency 3 --min 1 --max 9 --goal 1.5m --price .5 --seed 7"
    model = simulate._model(asked(*text.split()))
    assert model.service == Lognormal.through(p50=50, p90=90)
    assert model.boot == Fixed(120)
    assert (model.concurrency, model.minimum, model.maximum, model.goal) == (3, 1, 9, 90)
    assert (model.price, model.seed) == (0.5, 7)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--goal", "soon", "'soon' is no time; 90, 1.5m, 6h or 2d would be one"),
        ("--goal", "0", "'0' is no time"),
        ("--duration", "-5", "'-5' is no time"),
        ("--service", "0.2:0.1", "nine of ten take longer than half"),
        ("--boot", "30:", "'' is no time"),
        ("--start", "yesterday", "'yesterday' is no time"),
        ("--concurrency", "0", "'0' is no whole number from 1 on"),
        ("--max", "many", "'many' is no whole number from 1 on"),
        ("--seed", "1.5", "'1.5' is no whole number from 0 on"),
        ("--price", "nan", "'nan' is no number above 0"),
        ("--peak", "0", "'0' is no number above 0"),
        ("--policy", "magic", "invalid choice: 'magic' (choose from"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(option, value, said, capsys):
    with pytest.raises(SystemExit) as end:
        asked(option, value)
    assert end.value.code == 2
    assert f"argument {option}: " in (err := capsys.readouterr().err)
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min", "5", "--max", "4"], "--min 5 is above --max 4"),
        (["--plot", "out.gif"], "out.gif: a picture is a file ending in .png, .svg, .pdf"),
        (["--policy", *NAMES[:7], "--plot", "out.png"], "7 policies are too many for one picture"),
        (["--trace", "nowhere.csv"], "nowhere.csv: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(arguments, said, day, capsys):
    assert main(["simulate", "--trace", str(day), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("skylens simulate: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_csv_file_that_cannot_be_written_is_named(day, tmp_path, capsys):
    assert main(["simulate", "--trace", str(day), "--policy", "keda", "--csv", str(tmp_path)]) == 2
    assert f"--csv {tmp_path} cannot be written" in capsys.readouterr().err


def test_the_help_shows_how_it_is_used(capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    out = capsys.readouterr().out
    assert "skylens simulate --trace arrivals.csv" in out
    assert all(name in out.replace("\n" + " " * 24, " ") for name in NAMES)


def test_progress_is_told_for_each_policy_and_the_oracle(day, monkeypatch):
    told = []

    def counting(*arguments, done, **named):
        return compare(*arguments, done=lambda name: (told.append(name), done(name)), **named)

    monkeypatch.setattr(simulate, "compare", counting)
    main(["simulate", "--trace", str(day), "--policy", "keda", "greedy"])
    assert sorted(told) == ["greedy", "keda", "oracle"]


def refused(capsys, *arguments):
    """What standard error says of a command that was refused."""
    assert main(["simulate", *map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_it_never_overwrites_the_trace_that_it_reads(day, tmp_path, capsys, option):
    link = tmp_path / "again.png"
    link.symlink_to(day)
    assert "is the trace itself" in refused(capsys, "--trace", day, option, link)
    assert day.read_text().startswith("timestamp")


def test_a_file_that_cannot_be_written_is_refused_before_the_work(day, tmp_path, capsys):
    assert "cannot be written" in refused(capsys, "--trace", day, "--csv", tmp_path / "missing" / "out.csv")


@pytest.mark.parametrize(("most", "right"), [("1001", "1000"), ("101", "--no-oracle")])
def test_a_fleet_too_large_to_simulate_is_refused(day, capsys, most, right):
    assert right in refused(capsys, "--trace", day, "--max", most)


def test_bins_that_the_file_lacks_are_told(tmp_path, capsys):
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp,count\n" + "".join(f"{second},5\n" for second in range(200) if not 50 <= second < 60))
    assert main(["simulate", "--trace", str(trace), "--policy", "greedy", "--no-oracle"]) == 0
    assert "10 bins are missing in the file, and count as silence" in " ".join(capsys.readouterr().out.split())
