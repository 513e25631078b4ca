import csv

import numpy as np
import pytest

from autoscaler.simulator.arrivals import arrivals
from autoscaler.simulator.trace import Trace, TraceError
from autoscaler.simulator.trace_file import read

FEB = 1424986973.0
"""2015-02-26 21:42:53 UTC."""


@pytest.fixture
def write(tmp_path):
    def write(text, name="day.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "start", "width", "counts"),
    [
        ("timestamp,value\n2015-02-26 21:42:53,3\n2015-02-26 21:47:53,4\n", FEB, 300, [3, 4]),
        ("2015-02-26T21:42:53Z,3\n2015-02-26T21:43:53Z,4.5\n", FEB, 60, [3, 4.5]),
        ("2015-02-26T22:42:53+01:00,3\r\n2015-02-26T22:42:54.000+01:00,4\r\n", FEB, 1, [3, 4]),
        ("time,n\n1424986973,3\n1424987033,4\n", FEB, 60, [3, 4]),
        ("minute,count\n0,3\n1,4\n2,5\n", 0, 60, [3, 4, 5]),
        ("Minutes,count\n7,3\n8,4\n", 420, 60, [3, 4]),
        ("second,count\n0,3\n1,4\n", 0, 1, [3, 4]),
        ("0,3\n0.5,4\n", 0, 0.5, [3, 4]),
        ("\ufefftime,n\n\n0,1\n\n1,2\n\n", 0, 1, [1, 2]),
        (' 0 , 1 \n"1","2"\n', 0, 1, [1, 2]),
        ("0,1\n1,2\n2,3\n5,4\n", 0, 1, [1, 2, 3, 0, 0, 4]),
        ("0,1\n60,2\n125,3\n180,4\n236,5\n300,6\n360,7\n420,8\n", 0, 60, [1, 2, 3, 4, 5, 6, 7, 8]),
        ("0,0\n1,0\n", 0, 1, [0, 0]),
    ],
)
def test_a_trace_is_read_with_its_bins_and_times(write, text, start, width, counts):
    trace = read(write(text))
    assert (trace.name, trace.start, trace.bin_seconds, trace.counts.tolist()) == ("day", start, width, counts)


@pytest.mark.parametrize(("column", "counts"), [("a", [1, 2]), ("b", [10, 20]), ("sum", [11, 22])])
def test_a_column_is_chosen_by_its_name(write, column, counts):
    assert read(write("minute,a,b\n0,1,10\n1,2,20\n"), column).counts.tolist() == counts


def test_lines_are_counted_where_each_is_one_request(write):
    trace = read(write("TIME,tokens\n2023-11-16 18:17:03.9799600,4\n2023-11-16 18:17:05.0319600,3\n"), "lines")
    assert (trace.start, trace.bin_seconds, trace.counts.tolist()) == (1700158623, 1, [1, 0, 1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no data; lines of a time and a count would be right"),
        ("time,count\n", "holds no data"),
        ("time,count\n0,1\n", "a single line of data"),
        ("time,count\n0,1\n1,x\n", "line 3: 'x' is not a number, 0 or more"),
        ("time,count\n0,1\n1,-2\n", "line 3: '-2' is not a number, 0 or more"),
        ("time,count\n0,1\n1,nan\n", "line 3: 'nan' is not a number, 0 or more"),
        ("time,count\n0,1\n1,\n", "line 3: '' is not a number, 0 or more"),
        ("time,count\n0,1\nnoon,2\n", "line 3: 'noon' is not a number as before"),
        ("time,count\n2015-02-26,1\n2015-02-31,2\n", "line 3: '2015-02-31' is not a time like 2015-02-26 21:42:53"),
        ("2015-02-31,1\n2015-03-01,2\n", "line 1: '2015-02-31' is not a time"),
        ("time,count\n0,1\n1,2\n\n2,3,4\n", "line 5: 3 cell(s), not 2 as before"),
        ("0\n1\n", "line 1: 1 cell(s), not at least a time and a count"),
        ("0,1\n2,2\n1,3\n", "line 3: its time is before that of the line above; sort the lines by time"),
        ("0,1\n1,2\n1,3\n2,4\n", "line 3: '1' falls into the bin of the line above; one line for each 1 s is right"),
        ("0,1\n60,1\n120,1\n130,1\n", "line 4: '130' falls into the bin of the line above"),
        ("0,1\n0,2\n0,3\n1,3\n", "most lines share their time with another"),
        ("1424986973000,1\n1424987033000,2\n", "line 1: time 1424986973000 is too large for Unix seconds"),
        ("0,1\n1,2\n1424986973,2\n", "spans 1424986973 s in bins of 1 s; at most 10000000 bins"),
        ("minute,a,b\n0,1,2\n1,1,2\n", "2 columns of counts; choose one of a, b, sum, lines"),
        (b"0,1\n1,\xff\n", "is no CSV text in UTF-8"),
        ("0,1\n1,2\x00\n", "line 2"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong_and_where(write, text, says):
    path = write(text)
    with pytest.raises(TraceError) as error:
        read(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_an_unknown_column_is_refused_with_those_there_are(write):
    with pytest.raises(TraceError, match="no column 'c'; choose one of a, b, sum, lines"):
        read(write("minute,a,b\n0,1,2\n1,1,2\n"), "c")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TraceError, match=r"none\.csv: cannot be read: No such file"):
        read(tmp_path / "none.csv")


def trace(*counts, width=60.0):
    return Trace("t", 1000.0, width, np.array(counts, float))


def test_a_trace_tells_its_length_and_rates():
    assert trace(30, 60, 0).seconds == 180
    assert trace(30, 60, 0).rates.tolist() == [0.5, 1.0, 0.0]


def test_scaling_sets_the_busiest_bin_and_keeps_the_shape():
    assert trace(30, 60, 0).scaled(400.0).rates.tolist() == [200, 400, 0]


def test_a_trace_without_requests_cannot_be_scaled():
    with pytest.raises(TraceError, match="no requests"):
        trace(0, 0).scaled(1.0)


def test_a_window_keeps_its_place_in_time():
    window = trace(1, 2, 3, 4).window(1, 2)
    assert (window.start, window.counts.tolist()) == (1060.0, [2, 3])


@pytest.mark.parametrize(("first", "bins"), [(-1, 1), (0, 0), (0, 5), (4, 1)])
def test_a_window_beyond_the_trace_is_refused(first, bins):
    with pytest.raises(TraceError, match="has the bins 0 to 3"):
        trace(1, 2, 3, 4).window(first, bins)


def test_arrivals_are_sorted_and_within_their_bins():
    times = arrivals(trace(500, 0, 100), np.random.default_rng(1), exact=True)
    assert bool(np.all(np.diff(times) >= 0))
    assert np.histogram(times, [0, 60, 120, 180])[0].tolist() == [500, 0, 100]


def test_arrivals_are_poisson_about_the_counts():
    """Over 4,000 bins of mean 9, mean and variance are both 9, give or take five standard errors."""
    rng = np.random.default_rng(1)
    times = arrivals(trace(*[9] * 4000, width=1.0), rng)
    counts = np.bincount(times.astype(int), minlength=4000)
    assert counts.mean() == pytest.approx(9, abs=5 * 3 / 4000**0.5)
    assert counts.var() == pytest.approx(9, abs=5 * 9 * (2.1 / 4000) ** 0.5)


def test_arrivals_are_spread_evenly_over_a_bin():
    times = arrivals(trace(40_000), np.random.default_rng(1), exact=True)
    expected = (np.arange(40_000) + 0.5) / 40_000 * 60
    assert np.abs(times - expected).max() < 60 * 2 / 40_000**0.5


def test_the_same_seed_gives_the_same_arrivals():
    one, same, other = (arrivals(trace(50, 60), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()


def test_no_arrival_is_at_the_very_end():
    class Late:
        def random(self, count):
            return np.full(count, np.nextafter(1.0, 0))

    times = arrivals(trace(*[1] * 100), Late(), exact=True)
    assert times.max() < 6000


def test_what_was_written_is_read_back(write, tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["time", "count"], *((second, second % 7) for second in range(1000, 2000))])
    assert read(path).counts.sum() == sum(second % 7 for second in range(1000, 2000))
