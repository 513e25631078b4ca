"""The predicted wait, and how many images may wait."""

import pytest
from fleets import report

from skylens.messages import Demand
from web_openstack.outlook import RECENT, outlook


def demand(outstanding, *services):
    seconds = {"at": 0, "started": 0, "arrivals": (), "completions": (), "oldest": 0}
    return Demand(node="web-1", outstanding=outstanding, service_times=services, **seconds)


@pytest.mark.parametrize(
    ("outstanding", "service", "fleet", "expected"),
    [
        (99, 0.5, report([]), 120 + 100 * 0.5 / (4 * 20)),
        (99, 0.5, report(["ready"] * 5), 100 * 0.5 / (4 * 5)),
        (9999, 0.5, report(["busy"]), 120 + (10_000 - 120 * 8) / (20 * 8)),
        (0, 0.25, None, 120 + 0.25 / 4),
        (99, 0.5, report(["pending", "draining"]), 120 + 100 * 0.5 / (4 * 20)),
        (9, 0.5, report(["ready"] * 5, outstanding=99), 100 * 0.5 / (4 * 5)),
        (0, 0.5, report([], ceiling=0, closed=3600), 3720 + 0.5 / 4),
    ],
)
def test_the_predicted_wait(outstanding, service, fleet, expected):
    assert outlook(demand(outstanding, service), fleet).wait == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fleet", "expected"),
    [
        (None, 0),
        (report([]), 120),
        (report(["booting", "pending"]), 119),
        (report(["ready", "booting"]), 0),
        (report(["booting"], boot_seconds=0.5), 0),
        (report([], closed=3600), 3720),
    ],
)
def test_nothing_is_answered_before_a_boot_is_over(fleet, expected):
    assert outlook(demand(9, 0.5), fleet).starts == expected


@pytest.mark.parametrize(
    ("service", "fleet", "expected"),
    [
        (0.5, report(["busy"], maximum=1), 8 * 10),
        (0.5, report(["busy"] * 2, maximum=2), 16 * 10),
        (0.5, report([], maximum=2), 16 * 10),
        (0.5, report(["busy"] * 2, maximum=20, ceiling=2), 16 * 10),
        (0.5, report(["busy"] * 2, maximum=20, ceiling=0), 16 * 10),
        (0.5, report([], maximum=20, ceiling=0), 8 * 10),
        (0.5, report([], maximum=20, ceiling=0, closed=11), 0),
        (0.5, report([], maximum=20, ceiling=0, closed=9), 8 * 10),
        (1000.0, report(["busy"], maximum=1), 4),
        (0.25, None, 16 * 10),
    ],
)
def test_the_room_is_what_the_fleet_at_its_largest_answers_within_the_limit_a_boot_not_counted(
    service, fleet, expected
):
    assert outlook(demand(3, service), fleet).room(10, 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("own", "everywhere", "expected"), [(30, 50, 80 - 20), (80, 80, 80), (0, 80, 80 / 2), (10, 500, 80 / 2), (9, 0, 80)]
)
def test_what_other_nodes_have_is_theirs_but_an_equal_part_is_always_this_ones(own, everywhere, expected):
    fleet = report(["busy"], maximum=1, outstanding=everywhere, nodes=2)
    assert outlook(demand(own, 0.5), fleet).room(10, own) == pytest.approx(expected)


def test_only_the_last_answers_tell_how_long_an_image_takes():
    seen = outlook(demand(0, *[9.0] * 100, *[0.5] * RECENT), report(["busy"], maximum=1))
    assert seen.rate == pytest.approx(8)
