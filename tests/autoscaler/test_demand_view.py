import structlog

from autoscaler.demand import DOUBT, LAG, DemandView
from skylens.messages import Demand
from skylens.queues import Counts


def demand(outstanding=0, *, up=3600.0, started=None, arrivals=(0, 0), oldest=0.0, service=()):
    return Demand(
        node="web",
        at=5000.0,
        started=5000.0 - up if started is None else started,
        arrivals=arrivals,
        completions=tuple(0 for _ in arrivals),
        outstanding=outstanding,
        oldest=oldest,
        service_times=service,
    )


def test_outstanding_is_the_sum_over_the_nodes_and_not_what_sqs_says():
    view = DemandView()
    view.fold({"a": demand(3, oldest=2.0), "b": demand(4, oldest=7.0)}, 0)
    view.count(Counts(50, 10), 0)
    counted = view.counted(0)
    assert (counted.outstanding, counted.oldest, counted.trusted) == (7, 7.0, True)


def test_a_silent_node_keeps_its_last_value_and_sqs_may_raise_the_sum():
    view = DemandView()
    view.fold({"a": demand(3), "b": demand(4)}, 0)
    view.fold({"a": demand(1), "b": None}, 1)
    assert (view.counted(1).outstanding, view.counted(1).trusted) == (5, False)
    view.count(Counts(6, 3), 1)
    assert view.counted(1).outstanding == 9
    assert view.age(11) == 11


def test_before_any_node_answered_sqs_is_believed():
    view = DemandView()
    view.fold({"a": None}, 0)
    view.count(Counts(6, 3), 0)
    assert (view.counted(0).outstanding, view.counted(0).trusted, view.age(0)) == (9, False, None)


def test_a_restarted_node_is_doubted_until_sqs_agrees_after_its_lag():
    view = DemandView()
    view.fold({"a": demand(5)}, 0)
    view.fold({"a": demand(0, up=1)}, 10)
    view.count(Counts(0, 0), 20)
    assert not view.counted(20).trusted
    view.count(Counts(4, 0), 75)
    assert (view.counted(75).outstanding, view.counted(75).trusted) == (4, False)
    view.count(Counts(0, 0), 80)
    assert view.counted(80).trusted


def test_a_restarted_node_is_doubted_for_minutes_only_though_sqs_never_agrees():
    view = DemandView()
    view.fold({"a": demand(5)}, 0)
    view.fold({"a": demand(0, up=1)}, 10)
    for now in range(15, 500, 5):
        view.count(Counts(1, 0), now)
        assert view.counted(now).trusted is (now >= 10 + LAG - 1 + DOUBT)
    assert view.counted(500).outstanding == 1


def test_a_young_node_seen_for_the_first_time_is_doubted_until_sqs_agrees():
    view = DemandView()
    view.fold({"a": demand(0, up=2)}, 0)
    view.count(Counts(12, 0), 1)
    assert (view.counted(1).outstanding, view.counted(1).trusted) == (12, False)
    view.count(Counts(0, 0), 6)
    assert view.counted(6).trusted


def test_a_node_that_is_gone_counts_no_more_and_the_rest_is_doubted_until_sqs_agrees_after_its_lag():
    view = DemandView()
    view.fold({"a": demand(3), "b": demand(4)}, 0)
    view.count(Counts(7, 0), 0)
    view.fold({"a": demand(3)}, 10)
    assert (view.counted(10).outstanding, view.counted(10).trusted) == (7, False)
    view.count(Counts(3, 0), 69)
    assert not view.counted(69).trusted
    view.count(Counts(3, 0), 70)
    assert (view.counted(70).outstanding, view.counted(70).trusted) == (3, True)


def test_no_nodes_at_all_are_no_answer():
    view = DemandView()
    view.count(Counts(6, 3), 0)
    view.fold({}, 0)
    assert (view.counted(0).outstanding, view.counted(0).trusted, view.age(0)) == (9, False, None)


def test_sqs_above_the_web_count_is_believed_after_ninety_seconds_and_said_once():
    view = DemandView()
    view.fold({"a": demand(2)}, 0)
    with structlog.testing.capture_logs() as lines:
        view.count(Counts(30, 0), 0)
        assert view.counted(90).outstanding == 2
        assert view.counted(91).outstanding == 30
        view.counted(92)
        view.count(Counts(2, 0), 95)
        assert view.counted(95).outstanding == 2
    assert [line["event"] for line in lines] == ["demand.queue_believed", "demand.web_believed"]


def test_sqs_above_the_web_count_now_and_then_is_lag():
    view = DemandView()
    view.fold({"a": demand(2)}, 0)
    for at in range(0, 300, 50):
        view.count(Counts(30, 0), at)
        view.count(Counts(0, 0), at + 25)
        assert view.counted(at + 49).outstanding == 2


def test_seconds_are_summed_over_the_nodes_and_the_unfinished_one_is_left_out():
    view = DemandView()
    view.fold({"a": demand(arrivals=(1, 2, 3, 99)), "b": demand(arrivals=(10, 20, 99))}, 0)
    assert view.counted(0).arrivals == (12, 23)


def test_the_mean_service_time_is_over_all_nodes():
    view = DemandView()
    view.fold({"a": demand(service=(0.1, 0.2)), "b": demand(service=(0.6,))}, 0)
    assert round(view.counted(0).service_seconds, 6) == 0.3
