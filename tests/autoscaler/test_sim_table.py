"""The table of a comparison."""

import csv
import io
import math

import pytest
from comparisons import row
from rich.console import Console

from autoscaler.simulator.table import WIDE, Reference, ranked, render, write

ORACLE = Reference("exact", 0.71, 3, 0.02)


def text(rows, reference=None, width=WIDE):
    console = Console(width=width, file=io.StringIO())
    console.print(render(rows, reference, width))
    return console.file.getvalue()


def cells(shown, policy):
    return next(line.split() for line in shown.splitlines() if policy in line.split())


@pytest.mark.parametrize(
    ("rows", "unavoidable", "order"),
    [
        ([row("a", cost=3), row("b", cost=2)], 0.0, "ba"),
        ([row("a", cost=3, late=0.01), row("b", cost=2, late=0.011)], 0.0, "ab"),
        ([row("a", cost=3, late=0.0), row("b", cost=2, late=0.01)], 0.0, "ba"),
        ([row("a", cost=3, late=0.01), row("b", cost=2, late=0.05)], 0.04, "ba"),
        ([row("a", cost=1, late=0.5), row("b", cost=2, late=0.2), row("c", cost=9, late=0.2)], 0.0, "bca"),
    ],
)
def test_the_cheapest_that_keeps_the_goal_is_best_and_otherwise_the_one_nearest_to_it(rows, unavoidable, order):
    assert "".join(one.policy for one in ranked(rows, unavoidable)) == order


def test_only_the_best_has_a_star():
    shown = text([row("keda", cost=3), row("greedy", cost=2)])
    assert cells(shown, "greedy")[0] == "★"
    assert cells(shown, "keda")[0] == "keda"


def test_each_number_is_in_its_column():
    shown = cells(text([row("keda", mean_wait=0.123, p95_wait=math.inf, p99_wait=1234.5)]), "keda")
    assert " ".join(shown) == "★ keda 10.00 1.00 1.20 0 0.12 never 1,234 7 10 20 30 40 50"


@pytest.mark.parametrize(
    ("late", "told"),
    [(0.0, "0"), (0.00012, "0.012"), (0.0123, "1.2"), (0.0999, "10"), (0.123, "12"), (1.0, "100")],
)
def test_a_share_is_told_with_two_digits(late, told):
    assert cells(text([row("keda", late=late)]), "keda")[5] == told


def test_without_an_oracle_there_is_no_ratio():
    shown = text([row("keda", ratio=None)])
    assert cells(shown, "keda")[4] == "-"
    assert "knows all arrivals" not in shown


def test_the_oracle_has_its_line_and_is_named_for_what_it_is():
    shown = text([row()], ORACLE)
    assert "oracle 0.71 1.00 2 3" in " ".join(shown.split())
    assert "knows all arrivals (exact)" in shown


@pytest.mark.parametrize(
    ("late", "praise"),
    [
        (0.03, "★ cheapest with at most 1 % over the goal beyond the oracle's 2 %."),
        (0.04, "★ fewest over the goal; no policy has at most 1 % over the goal beyond the oracle's 2 %."),
    ],
)
def test_the_star_is_explained_for_what_it_is(late, praise):
    assert praise in text([row(late=late)], ORACLE)


def test_the_lowest_of_each_column_is_green():
    console = Console(width=WIDE, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(render([row("keda", cost=3.25), row("greedy", cost=2.5)], None, WIDE))
    assert "\x1b[32m2.50\x1b[0m" in console.file.getvalue()
    assert "\x1b[32m3.25\x1b[0m" not in console.file.getvalue()


HUGE = row(
    "target_tracking",
    instance_hours=43210.5,
    cost=12345.67,
    late=0.00012,
    mean_wait=98765.0,
    p95_wait=98765.0,
    p99_wait=98765.0,
    launches=123456,
    theta_u=0.012,
    theta_o=4321.0,
    tau_u=0.012,
    tau_o=0.012,
    instability=0.012,
)


@pytest.mark.parametrize("width", [80, WIDE - 1, WIDE, 200])
def test_nothing_is_cut_off_however_large_the_numbers(width):
    shown = text([HUGE], ORACLE._replace(cost=9876.5, launches=654321), width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for told in ("43,210", "12,346", "0.012", "98,765", "123,456", "4321", "654,321", "9,876"):
        assert told in shown


def test_the_csv_has_a_line_a_policy(tmp_path):
    write(tmp_path / "out.csv", [row("keda", ratio=None), row("greedy", late=0.25)])
    with (tmp_path / "out.csv").open(newline="") as file:
        keda, greedy = csv.DictReader(file)
    assert (keda["policy"], keda["ratio"], greedy["policy"], greedy["late"]) == ("keda", "", "greedy", "0.25")
    assert next(iter(keda)) == "policy"
    assert len(keda) == 14
