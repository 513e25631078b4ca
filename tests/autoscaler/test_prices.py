import re

import pytest

from autoscaler import prices
from autoscaler.prices import Prices
from skylens.errors import SettingsError
from skylens.settings import ScalerSettings, load


@pytest.mark.parametrize(
    ("kind", "dollars"),
    [("t3.micro", 0.0104), ("c7i.large", 0.08925), ("c7i-flex.2xlarge", 0.33915), ("r6i.4xlarge", 1.008)],
)
def test_the_table_knows_common_types(kind, dollars):
    assert Prices().per_hour(kind) == dollars


def test_a_type_that_nobody_priced_is_unknown_and_not_free():
    assert Prices().per_hour("c99.large") is None


def test_what_the_operator_says_comes_before_the_table():
    table = Prices(("c7i.large=0.1", "c99.large=7"))
    assert (table.per_hour("c7i.large"), table.per_hour("c99.large"), table.per_hour("t3.nano")) == (0.1, 7, 0.0052)


def test_within_a_family_the_price_follows_the_size():
    sizes = ["medium", "large", "xlarge", "2xlarge", "4xlarge"]
    table = prices._table()
    families = {kind.partition(".")[0] for kind in table}
    assert len(families) > 15
    for family in families:
        known = [
            (2**place, table[f"{family}.{size}"]) for place, size in enumerate(sizes) if f"{family}.{size}" in table
        ]
        each = [dollars / units for units, dollars in known]
        assert max(each) == pytest.approx(min(each), rel=0.002), family


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"instance_types": "c99.large"},
        {"budget_per_hour": 2.5, "instance_types": "c7i.large,m7i.large"},
        {"budget_per_day": 20, "instance_types": "c99.large", "prices": "c99.large=0.3"},
    ],
)
def test_without_a_budget_or_with_every_price_it_starts(given):
    prices.of(load(ScalerSettings, **given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"budget_per_hour": 2.5, "instance_types": "c7i.large,c99.large,c98.large"},
            "SKYLENS_BUDGET_PER_HOUR=2.5: SKYLENS_PRICES lacks the dollars an hour of c99.large, c98.large",
        ),
        ({"budget_per_day": 20}, "SKYLENS_BUDGET_PER_DAY=20: say in SKYLENS_INSTANCE_TYPES what is launched"),
    ],
)
def test_a_budget_without_a_price_refuses_to_start(given, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        prices.of(load(ScalerSettings, **given))
