"""The live view of the autoscaler."""

import io
import logging

import pytest
import structlog
from msgspec.structs import replace
from observations import observation, workers
from rich.console import Console
from scaler_world import World

from autoscaler.observation import Decision, Spending
from autoscaler.screen import Moment, State, Turn, render
from autoscaler.watch import Watch, showing
from skylens import logs
from skylens.cli import main
from skylens.clock import FakeClock
from skylens.errors import SettingsError
from skylens.settings import ScalerSettings

AT = 1_700_000_000.0
STATE = State(policy="foresight", fleet="asg", now=AT, role="leading", lease="lease held for 5 s")


def state(seen=None, **fields):
    shown = replace(seen or observation(), at=AT)
    return STATE._replace(**{"seen": shown, "history": (Moment(1, 2, 3),), **fields})


def drawn(shown, width=100, height=40):
    """What is on the terminal, each line with its styles as ANSI codes."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(render(shown, width, height))
    return console.file.getvalue()


def text(shown, width=100, height=40):
    console = Console(width=width, height=height, file=io.StringIO())
    console.print(render(shown, width, height))
    return console.file.getvalue()


def line(shown, label, **size):
    """The line that begins with ``label``, without it."""
    return next(row for row in text(shown, **size).splitlines() if row.startswith(label)).removeprefix(label).strip()


def test_the_header_tells_policy_fleet_role_and_lease():
    assert text(state()).splitlines()[0].split("  ") == [
        "skylens scaler",
        "policy foresight",
        "fleet asg",
        "leading",
        "lease held for 5 s",
    ]


@pytest.mark.parametrize(
    ("instances", "maximum", "bar"),
    [
        (workers(busy=2, idle=1), 5, "█" * 34 + "▓" * 17 + "·" * 34),
        (workers(booting=1, pending=1, draining=2), 4, "▒" * 22 + "░" * 22 + "▚" * 44),
        ((), 1, "·" * 88),
        (workers(busy=3), 2, "█" * 87),
        (workers(busy=499, draining=1), 1000, "█" * 43 + "▚" + "·" * 44),
        (workers(busy=999, draining=1), 1000, "█" * 87 + "▚"),
    ],
)
def test_the_bar_is_the_fleet_by_state_against_the_maximum(instances, maximum, bar):
    seen = replace(observation(maximum=maximum), workers=instances)
    assert line(state(seen), "fleet") == bar


def test_the_legend_counts_each_state():
    seen = observation(busy=7, idle=2, booting=4, pending=2, draining=1)
    assert line(state(seen), "16 of 20") == "█ 7 busy  ▓ 2 idle  ▒ 4 booting  ░ 2 pending  ▚ 1 draining  · 4 free"


def test_the_numbers_behind_a_decision_are_shown():
    seen = replace(
        observation(outstanding=1234),
        oldest=4.26,
        arrivals=(25,) * 20,
        cpu=63.4,
        spending=Spending(hourly=1.785, today=12.4, next_hourly=0.09),
    )
    assert line(state(seen), "demand") == "1,234 outstanding, the oldest for 4.3 s; 25.0/s arrive"
    assert line(state(seen), "service") == "100 ms an image, 4 at once; boot 30 s; CPU 63 %"
    assert line(state(seen), "cost") == "$1.78 an hour, $12.40 today"


def test_what_is_not_known_is_called_so():
    seen = replace(observation(), service_seconds=0.0)
    assert line(state(seen), "service") == "not measured, 4 at once; boot 30 s; CPU unknown"
    assert line(state(seen), "cost") == "no price known"


@pytest.mark.parametrize(
    ("seen", "now", "warning"),
    [
        (replace(observation(stale={"queue"}), ages={"queue": 14.2}), AT, "queue is stale: silent for 14 s"),
        (observation(stale={"events"}), AT, "events is stale: it never answered"),
        (replace(observation(), no_capacity=25.0), AT, "no capacity: EC2 is asked again in 25 s"),
        (observation(), AT + 8, "the last tick was 8 s ago"),
    ],
)
def test_what_should_worry_an_operator_is_red(seen, now, warning):
    assert f"\x1b[1;31m! {warning}\x1b[0m" in drawn(state(seen, now=now))


def test_a_healthy_system_shows_nothing_red():
    assert "\x1b[1;31m" not in drawn(state())


def test_trends_keep_the_peak_of_each_stretch():
    history = tuple(Moment(90 if tick == 300 else 1, tick, 5) for tick in range(600))
    shown = state(history=history)
    assert line(shown, "arrivals").count("█") == 1
    assert line(shown, "arrivals").endswith("1/s, most 90")
    assert line(shown, "outstanding").endswith("▇████████ 599, most 599")
    assert line(shown, "instances").endswith("█ 5, most 5")


def test_the_last_ten_decisions_are_shown_latest_first():
    turns = tuple(Turn(AT + number, 3, 25, 18 if number % 2 else 3, f"because of {number}") for number in range(15))
    rows = [row.split() for row in text(state(turns=turns)).splitlines() if "because of" in row]
    assert [row[-1] for row in rows] == [f"{number}" for number in range(14, 4, -1)]
    assert rows[0][:3] == ["22:13:34Z", "3", "25"]
    assert rows[1][:5] == ["22:13:33Z", "3", "→", "18", "25"]


def test_a_reason_is_no_markup():
    turns = (Turn(AT, 1, 2, 2, "[red]2 wanted[/red]"),)
    assert "[red]2 wanted[/red]" in text(state(turns=turns))


@pytest.mark.parametrize("size", [(80, 24), (100, 40), (200, 60)])
def test_it_fits_the_terminal(size):
    turns = tuple(Turn(AT + number, 3, 25, 18, "97 outstanding, 4 per instance") for number in range(50))
    seen = replace(observation(busy=15, idle=2, draining=3, stale={"queue", "demand"}), no_capacity=5)
    shown = state(seen, turns=turns, history=(Moment(1, 1, 1),) * 600, log=("x" * 300,) * 50)
    rows = text(shown, *size).splitlines()
    assert len(rows) <= size[1]
    assert max(map(len, rows)) <= size[0]


def test_before_the_first_observation_it_says_what_it_waits_for():
    assert "waiting for the first observation" in text(STATE)
    assert "waiting to lead" in text(STATE._replace(role="standby"))


def test_a_decision_that_stands_keeps_its_time_and_gets_its_latest_reason():
    watch = Watch(ScalerSettings(), None, FakeClock().clock())
    for at, desired, reason in [(1.0, 0, "a"), (2.0, 3, "b"), (3.0, 3, "c"), (4.0, 0, "d")]:
        decision = Decision(desired=desired, reason=reason)
        watch.saw(observation(at=at), decision, decision)
    assert [(turn.at, turn.new, turn.reason) for turn in watch.state().turns] == [
        (1.0, 0, "a"),
        (2.0, 3, "c"),
        (4.0, 0, "d"),
    ]


def watched(world, **settings):
    """An autoscaler of the world and the watch of its loop."""
    scaler = world.autoscaler(**settings)
    watch = Watch(ScalerSettings(**settings), scaler.lease, world.clock.clock())
    scaler.loop._parts = scaler.loop._parts._replace(watchers=(watch,))
    return watch


def test_the_acting_autoscaler_the_standby_and_a_dry_run_are_told_apart():
    world = World()
    acting, standby, dry = watched(world), watched(world), watched(world, dry_run=True)
    world.web.outstanding = 9
    world.seconds(3)
    assert [watch.state().role for watch in (acting, standby, dry)] == ["leading", "standby", "dry run"]
    assert acting.state().lease == "lease held for 2 s"
    assert [watch.state().seen is not None for watch in (acting, standby, dry)] == [True, False, True]
    assert acting.state().history[-1].active == world.alive > 0


@pytest.fixture
def usual():
    """Where the log goes when nobody watches, configured as the tier does it."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:]
    logs.configure("INFO", "json", "scaler")
    root.handlers[0].setStream(stream)
    yield stream
    root.handlers[:] = before
    structlog.reset_defaults()


def test_the_log_goes_into_the_view_and_the_file_instead_of_standard_output(usual, tmp_path):
    log = structlog.get_logger("autoscaler")
    watch = Watch(ScalerSettings(), None, FakeClock().clock())
    console, file = Console(file=io.StringIO(), force_terminal=True, width=100, height=30), tmp_path / "scaler.log"
    with showing(watch, console, file):
        log.info("scaler.decision", old=1)
        log.warning("scaler.trouble", what="queue")
        logging.getLogger("other").error("failed %s", "badly")
    log.info("scaler.stopped")
    shown = [row.split(" ", 1)[1] for row in watch.state().log]
    assert shown == ["warning scaler.trouble what=queue", "error failed badly"]
    assert [row.count("scaler.") for row in file.read_text().splitlines()] == [1, 1, 0]
    assert [row.count("scaler.stopped") for row in usual.getvalue().splitlines()] == [1]
    assert "scaler.trouble what=queue" in console.file.getvalue().rpartition("\x1b[?1049l")[2]


def test_a_fault_is_named_in_the_view(usual):
    log = structlog.get_logger("autoscaler")
    watch = Watch(ScalerSettings(), None, FakeClock().clock())
    with showing(watch, Console(file=io.StringIO(), force_terminal=True), None):
        try:
            1 / 0  # noqa: B018 - it raises
        except ZeroDivisionError:
            log.exception("scaler.tick_broke")
    assert watch.state().log[0].endswith("error scaler.tick_broke ZeroDivisionError('division by zero')")


def test_a_log_file_that_cannot_be_written_is_refused(usual, tmp_path):
    watch = Watch(ScalerSettings(), None, FakeClock().clock())
    with (
        pytest.raises(SettingsError, match=r"--log .*/none/scaler.log: No such file or directory"),
        showing(watch, Console(file=io.StringIO(), force_terminal=True), tmp_path / "none" / "scaler.log"),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch"], "--watch draws on a terminal, and standard output is none"),
        (["--log", "x.log"], "--log x.log goes with --watch"),
    ],
)
def test_a_wrong_way_to_watch_is_refused(arguments, said, capsys):
    assert main(["scaler", *arguments]) == 2
    assert said in capsys.readouterr().err
