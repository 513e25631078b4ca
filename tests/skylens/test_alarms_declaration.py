"""``skylens/alarms.json``: what it says for a deployment, and that nothing AWS or Ansible would refuse gets through."""

import json
from importlib import resources

import pytest

from skylens.alarms import declared, render
from skylens.cloudwatch import DIMENSION, NAMESPACE
from skylens.errors import SettingsError
from skylens.groups import HOOK

DOCUMENT = json.loads(resources.files("skylens").joinpath("alarms.json").read_text())
OPTIONS = {
    "alarms": {
        *("name", "description", "namespace", "metric_name", "dimensions", "statistic", "comparison", "threshold"),
        *("period", "evaluation_periods", "datapoints_to_alarm", "treat_missing_data"),
    },
    "policies": {
        *("name", "policy_type", "adjustment_type", "min_adjustment_step", "metric_aggregation"),
        *("estimated_instance_warmup", "step_adjustments"),
    },
}
"""Options of the Ansible modules that take these entries; an alarm's policy becomes its action."""


def changed(path, value):
    """The document with one entry replaced: ``changed("alarms.0.period", 15)``."""
    document = json.loads(json.dumps(DOCUMENT))
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    at = document
    for part in parents:
        at = at[part]
    at[last] = value
    return document


def bounds(policy):
    return [(step.lower_bound, step.upper_bound, step.scaling_adjustment) for step in policy.step_adjustments]


def test_the_parameters_make_the_thresholds_the_steps_and_the_names():
    made = declared(deployment="prod", slots=8, acceptable_backlog=100, scale_in_periods=12, drain_seconds=60)
    start, out, fewer, idle = made.alarms
    assert [alarm.name for alarm in made.alarms] == ["prod-start", "prod-out", "prod-in", "prod-idle"]
    assert [alarm.threshold for alarm in made.alarms] == [0, 100, 4, 1]
    assert (fewer.evaluation_periods, idle.datapoints_to_alarm, start.evaluation_periods) == (12, 12, 1)
    assert out.dimensions == {"Deployment": "prod"}
    assert made.lifecycle_hook.heartbeat_timeout == 60
    assert bounds(made.policy(out)) == [(None, 100, 100), (100, 300, 300), (300, None, 700)]
    assert bounds(made.policy(fewer)) == [(None, -2, -50), (-2, None, -25)]


def test_only_the_deployment_has_to_be_said_and_every_parameter_is_explained():
    assert [name for name, spec in DOCUMENT["parameters"].items() if "default" not in spec] == ["deployment"]
    assert all(spec["description"] for spec in DOCUMENT["parameters"].values())
    assert declared(deployment="d").alarms[2].evaluation_periods * 10 == 300


def test_every_alarm_looks_where_the_autoscaler_publishes_at_its_grain():
    made = declared(deployment="d")
    assert {alarm.namespace for alarm in made.alarms} == {NAMESPACE}
    assert {tuple(alarm.dimensions) for alarm in made.alarms} == {(DIMENSION,)}
    assert {alarm.period for alarm in made.alarms} == {10}


def test_the_hook_is_the_one_that_the_autoscaler_completes():
    assert declared(deployment="d").lifecycle_hook.lifecycle_hook_name == HOOK


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_entry_is_made_of_options_of_its_ansible_module(kind):
    for entry in DOCUMENT[kind]:
        assert entry.keys() - {"policy"} <= OPTIONS[kind]


def test_missing_data_never_scale_in():
    assert {alarm.treat_missing_data for alarm in declared(deployment="d").alarms} == {"notBreaching"}
    with pytest.raises(SettingsError, match="treat_missing_data"):
        render(changed("alarms.3.treat_missing_data", "breaching"), {"deployment": "d"})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "needs the parameter 'deployment'"),
        ({"deployment": "d", "slot": 3}, "no parameter 'slot'; it has deployment, slots, acceptable_backlog"),
        ({"deployment": "d", "slots": "many"}, "slots is 'many'; .* needs a number"),
        ({"deployment": "d", "scale_in_periods": 0}, "alarm d-in: datapoints_to_alarm 0"),
        ({"deployment": "d", "scale_in_periods": 8641}, "a day at most"),
        ({"deployment": "d", "acceptable_backlog": 0}, "policy d-start: a bound of 0 should be left out"),
        ({"deployment": "d", "acceptable_backlog": -5}, "policy d-out: a step's lower bound should be below"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters, words):
    with pytest.raises(SettingsError, match=words):
        render(DOCUMENT, parameters)


STEPS = "policies.1.step_adjustments"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("alarms.0.period", 15, "alarm d-start: period 15 should be 10, 20, 30 or a multiple of 60"),
        ("alarms.0.datapoints_to_alarm", 2, "datapoints_to_alarm 2 should be from 1 to evaluation_periods"),
        ("alarms.0.policy", "other", "names the policy 'other', which is not declared"),
        ("alarms.0.comparator", "x", "unknown field `comparator`"),
        ("alarms.0.comparison", "LessThanThreshold", "an alarm above its threshold should add instances"),
        ("policies.1.adjustment_type", "Percent", "Invalid enum value 'Percent'"),
        ("policies.1.estimated_instance_warmup", 0, "estimated_instance_warmup should be 1 or more"),
        (STEPS, [], "it has 0 steps; it should have 1 to 20"),
        (STEPS, [{"scaling_adjustment": 1}], "a step needs a bound"),
        (STEPS, [{"lower_bound": 0, "scaling_adjustment": 1}], "a bound of 0 should be left out"),
        (f"{STEPS}.1.lower_bound", 200, "each step should begin where the one before ends"),
        (f"{STEPS}.1.lower_bound", 100, "each step should begin where the one before ends"),
        (f"{STEPS}.1.upper_bound", 100, "a step's lower bound should be below its upper one"),
        (f"{STEPS}.2.upper_bound", 999, "the step farthest from the threshold should have no end"),
        ("policies.2.step_adjustments.0.lower_bound", -9, "the step farthest from the threshold should have no end"),
    ],
)
def test_what_aws_or_ansible_would_refuse_is_refused_with_its_place(path, value, words):
    with pytest.raises(SettingsError, match=words):
        render(changed(path, value), {"deployment": "d"})
