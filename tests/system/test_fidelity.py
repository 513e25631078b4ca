"""bench/fidelity.py: what it measures, and (`make soak`) that the simulator agrees with a real run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))
from fidelity import Replayed  # noqa: E402 - the folder is not installed
from real_run import Work, occupancies  # noqa: E402


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        pytest.param([("a", 0.0, 0.1, 1.1)], [1.0], id="its work alone"),
        pytest.param([("a", 0.0, 0.1, 1.1), ("a", 0.9, 1.4, 2.4)], [1.3, 1.0], id="the next one waited at its end"),
        pytest.param([("a", 0.0, 0.1, 1.1), ("a", 1.2, 1.4, 2.4)], [1.0, 1.0], id="the next one came later"),
        pytest.param([("a", 0.0, 0.1, 1.1), ("b", 0.9, 1.4, 2.4)], [1.0, 1.0], id="the next one went elsewhere"),
        pytest.param([("a", 0.9, 1.4, 2.4), ("a", 0.0, 0.1, 1.1)], [1.0, 1.3], id="in the order of the images"),
    ],
)
def test_an_image_keeps_its_slot_until_the_next_that_waits_is_started(works, expected):
    assert occupancies([Work(*one) for one in works], slots=1) == pytest.approx(expected)


def test_each_slot_of_an_instance_is_followed_by_itself():
    works = [Work("a", 0, 1, 3), Work("a", 0, 1, 5), Work("a", 0, 3.5, 9), Work("a", 0, 5.25, 9)]
    assert occupancies(works, slots=2) == [2.5, 4.25, 5.5, 3.75]


def test_measured_times_are_replayed_in_order_and_then_drawn():
    replayed, rng = Replayed([3.0, 1.0, 2.0]), np.random.default_rng(1)
    assert replayed.mean == 2.0
    assert replayed.draw(rng, 2).tolist() == [3.0, 1.0]
    beyond = replayed.draw(rng, 50).tolist()
    assert beyond[0] == 2.0
    assert set(beyond) == {1.0, 2.0, 3.0}


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["greedy", "foresight"])
def test_simulated_and_real_agree_in_instance_seconds_and_p95_wait(policy):
    """The table is shown with -s; the script ends with 1 when either differs by more than 15 %."""
    ended = subprocess.run(
        [sys.executable, BENCH / "fidelity.py", "--policy", policy], capture_output=True, text=True, check=False
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
