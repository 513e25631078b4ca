import importlib.util
from pathlib import Path

import pytest

JOBS, MOST = 10, 36


@pytest.fixture
def faro():
    script = Path(__file__).parents[2] / "bench" / "faro.py"
    spec = importlib.util.spec_from_file_location("faro", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
def test_two_hours_of_faros_ten_jobs_keep_below_its_share_with_no_more_replicas(shared, faro):
    path = shared / "traces" / "faro_eurosys25" / "faro_6h_per_minute.csv"
    hours = [trace.window(60, 120) for trace in faro.traces(path, JOBS)]
    found = faro.play(hours, MOST, initial=3)
    assert found.late < faro.PROMISE
    assert JOBS < found.mean < found.peak <= MOST
