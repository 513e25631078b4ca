"""What each version answers can be compared, and there are never more versions than a dashboard can hold."""

from prometheus_client import CollectorRegistry, generate_latest

from skylens.messages import Label, Model, Result, Timings, moment
from web_openstack.metrics import MODELS, ModelMetrics


def result(version, *, seconds=0.05, score=0.9):
    timings = Timings(received=moment(1), queued=moment(2), started=moment(3), finished=moment(3 + seconds))
    labels = (Label(label="cat", score=score),) if score is not None else ()
    model = Model(name="net", version=version)
    return Result(id="1", name="a.png", model=model, labels=labels, timings=timings, digest="")


def noted(*results):
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry)
    for one in results:
        metrics.note(one)
    return registry


def test_answers_times_and_scores_are_those_of_their_model():
    registry = noted(result("1"), result("1", seconds=0.15), result("2", score=0.35))
    for version, count, seconds in (("1", 2, 0.2), ("2", 1, 0.05)):
        model = {"model": f"net@{version}"}
        assert registry.get_sample_value("skylens_web_results_total", model) == count
        assert round(registry.get_sample_value("skylens_web_service_seconds_sum", model), 6) == seconds
        assert registry.get_sample_value("skylens_web_top_score_count", model) == count
    assert registry.get_sample_value("skylens_web_top_score_bucket", {"model": "net@2", "le": "0.4"}) == 1
    assert registry.get_sample_value("skylens_web_top_score_bucket", {"model": "net@1", "le": "0.8"}) == 0


def test_an_answer_without_labels_is_counted_all_the_same():
    registry = noted(result("1", score=None))
    assert registry.get_sample_value("skylens_web_results_total", {"model": "net@1"}) == 1


def test_the_version_that_was_not_seen_for_longest_gives_its_place_to_a_new_one():
    versions = [str(number) for number in range(MODELS)]
    registry = noted(*map(result, [*versions, "0", "new", "newer"]))
    shown = generate_latest(registry).decode()
    assert 'skylens_web_results_total{model="net@newer"} 1.0' in shown
    assert 'skylens_web_results_total{model="net@0"} 2.0' in shown
    assert 'net@1"' not in shown
    assert 'net@2"' not in shown
    assert shown.count("skylens_web_results_total{") == MODELS
