"""The picture of a comparison."""

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
from comparisons import run

from autoscaler.simulator.plot import MOST_POINTS, MOST_POLICIES, Picture, PlotError, _Unit, check, draw, save

NAMES = ("foresight", "target_tracking", "greedy", "keda", "knative", "static_peak")


def picture(count=2, seconds=100, **fields):
    runs = [run(name, seconds, billed_seconds=seconds * (2.0 + place)) for place, name in enumerate(NAMES[:count])]
    made = {"title": "a day", "start": 0.0, "price": 3600.0, "maximum": 4, "runs": runs}
    return Picture(**(made | fields))


def words(figure):
    """All that is written in it."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("count", range(1, MOST_POLICIES + 1))
def test_each_policy_has_a_fleet_and_a_backlog_and_is_named_beside_its_cost(count):
    figure = draw(picture(count))
    assert len(figure.axes) == 2 + 2 * count
    for place, name in enumerate(NAMES[:count]):
        assert words(figure).count(name) == 1
        assert f"{name} ${100 * (2 + place):,.2f}" in words(figure)


def test_all_fleets_have_one_scale_and_all_backlogs_too():
    high = run("keda", outstanding=np.full(100, 5000))
    figure = draw(picture(runs=[run("greedy"), high]))
    scales = [axes.get_ylim() for axes in figure.axes[2:]]
    assert scales[0] == scales[2]
    assert scales[1] == scales[3]
    assert scales[1][1] > 5000


@pytest.mark.parametrize("ends", [(2.0, 2.0, 2.0, 2.0), (1.0, 1.01, 50.0, 50.1), (0.0, 0.0, 0.0, 0.0)])
def test_labels_of_lines_that_end_close_to_each_other_do_not_overlap(ends):
    runs = [run(name, billed_seconds=100 * end) for name, end in zip(NAMES, ends, strict=False)]
    figure = draw(picture(runs=runs))
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in figure.axes[1].texts), key=lambda box: box.y0)
    assert len(boxes) == len(ends)
    assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))


def lines(axes):
    """The heights of each line, by its colour."""
    return {line.get_color(): np.asarray(line.get_ydata()) for line in axes.lines}


def test_the_requirement_and_the_oracle_are_drawn_where_they_are_known():
    bare, full = draw(picture()), draw(picture(required=np.full(100, 9), oracle=np.full(100, 3)))
    assert len(bare.axes[2].lines) == 1
    assert len(full.axes[2].lines) == 3
    assert [set(drawn) for drawn in lines(full.axes[2]).values()] == [{2.0}, {4.0}, {3.0}]
    assert "oracle" in full.axes[2].get_title(loc="right")
    assert "oracle" not in bare.axes[2].get_title(loc="right")


@pytest.mark.parametrize(("seconds", "step"), [(1, 1), (1500, 1), (1501, 2), (86400, 58), (7516800, 5012)])
def test_a_long_trace_is_drawn_with_few_points_that_keep_its_peak_and_its_mean(seconds, step):
    series = np.zeros(seconds, np.int64)
    series[seconds // 2] = 1000
    unit = _Unit.of(seconds)
    assert unit.step == step
    assert len(unit.largest(series)) <= MOST_POINTS
    assert unit.largest(series).max() == 1000
    assert unit.mean(np.full(seconds, 7)).tolist() == [7] * len(unit.largest(series))


@pytest.mark.parametrize(
    ("seconds", "start", "label"),
    [
        (90, 0.0, "seconds"),
        (600, 0.0, "minutes"),
        (86400, 60.0, "hours"),
        (864000, 0.0, "days"),
        (86400, 1_424_952_000.0, "hours since 2015-02-26 12:00:00 UTC"),
    ],
)
def test_the_time_axis_has_a_unit_that_fits_and_a_date_if_there_is_one(seconds, start, label):
    assert draw(picture(1, seconds, start=start)).axes[-1].get_xlabel() == label


def test_a_trace_without_any_request_is_drawn_without_a_warning(tmp_path):
    nothing = np.zeros(10, np.int64)
    quiet = run(arrivals=nothing, ready=nothing, fleet=nothing, outstanding=nothing, billed_seconds=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(tmp_path / "quiet.png", picture(runs=[quiet]))


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_the_suffix_says_what_kind_of_file_it_is(tmp_path, name, begins):
    save(tmp_path / name, picture())
    assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("name", "count", "said"),
    [
        ("a.gif", 1, r"a\.gif: a picture is a file ending in \.png, \.svg, \.pdf"),
        ("none/a.png", 1, "there is no directory"),
        ("a.png", 7, "7 policies are too many for one picture; choose up to 6"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(tmp_path, name, count, said):
    with pytest.raises(PlotError, match=said):
        check(tmp_path / name, count)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PlotError, match=r"a\.png: Is a directory"):
        save(tmp_path / "a.png", picture())


def test_without_matplotlib_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PlotError, match=r"pip install 'skylens\[plots\]'"):
        check(tmp_path / "a.png", 1)


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, autoscaler.simulator.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
