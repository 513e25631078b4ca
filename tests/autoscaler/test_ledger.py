import pytest
from hypothesis import given
from hypothesis import strategies as st
from observations import workers

from autoscaler.ledger import DAY, TEMPLATES, Accounts, Ledger
from autoscaler.observation import Spending
from autoscaler.prices import Prices
from skylens.messages import Worker, decode, encode

MIDNIGHT = 19_700 * DAY
HOUR = 3600.0
PRICES = Prices(("a.large=1", "b.large=3"))


def worker(kind, state="busy"):
    return Worker(instance="i-1", state=state, age=1.0, type=kind)


def spent(*ticks):
    """``ticks``: hours after midnight and dollars an hour from then on."""
    ledger = Ledger()
    for hours, hourly in ticks:
        ledger = ledger.tick(MIDNIGHT + hours * HOUR, hourly)
    return ledger.spent


@pytest.mark.parametrize(
    ("ticks", "dollars"),
    [
        pytest.param([(1, 2)], 0, id="the first word charges nothing"),
        pytest.param([(1, 2), (2, 0)], 2, id="an hour at its rate"),
        pytest.param([(1, 2), (1.5, 6), (2, 0)], 4, id="each stretch at its own rate"),
        pytest.param([(1, 2), (5, 2)], 8, id="a gap is charged at the last known rate"),
        pytest.param([(22, 3), (25, 3)], 3, id="a new day begins at zero, and at midnight"),
        pytest.param([(22, 3), (24, 3)], 0, id="midnight itself is of the new day"),
        pytest.param([(1, 2), (60, 2)], 24, id="after days away only today counts"),
        pytest.param([(3, 2), (4, 2), (2, 2), (3, 0)], 4, id="a clock set back takes nothing away"),
    ],
)
def test_dollars_add_up_since_midnight(ticks, dollars):
    assert spent(*ticks) == pytest.approx(dollars)


@given(st.lists(st.tuples(st.floats(0, 23.9), st.floats(0, 100)), min_size=1, max_size=20))
def test_within_a_day_what_is_spent_never_falls_nor_exceeds_the_dearest_rate(ticks):
    ticks.sort()
    ledger, dearest, before = Ledger(), max(rate for _, rate in ticks), 0.0
    for hours, hourly in ticks:
        ledger = ledger.tick(MIDNIGHT + hours * HOUR, hourly)
        assert before <= ledger.spent <= dearest * (hours - ticks[0][0]) + 1e-6
        before = ledger.spent


def test_a_ledger_survives_as_json():
    ledger = Ledger(at=MIDNIGHT, hourly=0.1 + 0.2, spent=1 / 3)
    assert decode(Ledger, encode(ledger)) == ledger


@pytest.mark.parametrize(
    ("types", "fleet", "hourly", "following", "unpriced"),
    [
        pytest.param(("a.large",), [], 0, 1, (), id="nobody"),
        pytest.param(("a.large", "b.large"), [worker("a.large")], 1, 3, (), id="the dearest may be next"),
        pytest.param(("a.large",), [worker("b.large"), worker("a.large", "draining")], 4, 1, (), id="whoever is there"),
        pytest.param(("a.large", "b.large"), [worker("", "pending")], 3, 3, (), id="not shown yet"),
        pytest.param((), [worker("b.large")], 3, 3, (), id="the template's type, as shown"),
        pytest.param((), [], 0, 0, (TEMPLATES,), id="the template's type, unknown yet"),
        pytest.param(("a.large",), [worker("x.large"), worker("a.large")], 1, 1, ("x.large",), id="no price in use"),
        pytest.param(("a.large", "y.large"), [], 0, 1, ("y.large",), id="no price of what may be next"),
    ],
)
def test_spending_is_of_all_instances_and_names_what_has_no_price(types, fleet, hourly, following, unpriced):
    spending = Accounts(PRICES, types).spending(fleet, MIDNIGHT)
    assert spending == Spending(hourly=hourly, today=0, next_hourly=following, unpriced=unpriced)


def test_spending_goes_on_from_the_ledger_that_was_kept():
    accounts = Accounts(PRICES, ("a.large",))
    accounts.ledger = Ledger(at=MIDNIGHT + HOUR, hourly=4, spent=10)
    assert accounts.spending(workers(pending=2), MIDNIGHT + 2 * HOUR).today == pytest.approx(14)
    assert accounts.spending((), MIDNIGHT + 3 * HOUR).today == pytest.approx(16)
