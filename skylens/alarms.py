"""How AWS is to scale the group of the fleet ``alarms``: read from ``alarms.json``, filled in, checked.

That file is the one declaration of the CloudWatch alarms, the step-scaling policies and the termination hook. Its
names and fields are the options of the Ansible modules ``amazon.aws.cloudwatch_metric_alarm``,
``community.aws.autoscaling_policy`` and ``community.aws.autoscaling_lifecycle_hook``, its placeholders are Jinja's, so
a playbook includes it as variables. An alarm's ``policy`` names the policy whose ARN is its action.
"""

import re
from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from typing import Any, Literal

import msgspec

from skylens.errors import SettingsError

FILE = "alarms.json"
_PLACEHOLDER = re.compile(r"\{\{ (?:(-?[\d.]+) \* )?(\w+) \}\}")
_HIGH_RESOLUTION = (10, 20, 30)
"""Periods in seconds that metrics stored by the second allow; all others are multiples of 60."""
_MOST_STEPS = 20
_DAY = 86400

Parameter = str | int | float


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Step(_Strict, frozen=True, kw_only=True):
    """Applies from ``threshold + lower_bound`` to ``threshold + upper_bound`` of the alarm's metric; None: no end."""

    lower_bound: float | None = None
    upper_bound: float | None = None
    scaling_adjustment: int
    """Instances, or percent of the capacity, as ``adjustment_type`` says."""


class Policy(_Strict, frozen=True, kw_only=True):
    name: str
    policy_type: Literal["StepScaling"]
    adjustment_type: Literal["ChangeInCapacity", "PercentChangeInCapacity"]
    min_adjustment_step: int = 0
    """Least change of capacity in instances, of a change in percent."""
    metric_aggregation: Literal["Minimum", "Maximum", "Average"]
    estimated_instance_warmup: int
    """Seconds for which AWS does not count a launched instance as capacity. The metrics count it at once."""
    step_adjustments: tuple[Step, ...]

    @property
    def shrinks(self) -> bool:
        return any(step.scaling_adjustment < 0 for step in self.step_adjustments)


class Alarm(_Strict, frozen=True, kw_only=True):
    name: str
    description: str
    policy: str
    namespace: str
    metric_name: str
    dimensions: dict[str, str]
    statistic: Literal["Minimum", "Maximum", "Average"]
    comparison: Literal["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"]
    threshold: float
    period: int
    """Seconds that one data point covers."""
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: Literal["notBreaching"]

    @property
    def above(self) -> bool:
        """Whether it alarms above its threshold, not below."""
        return self.comparison.startswith("Greater")


class Hook(_Strict, frozen=True, kw_only=True):
    lifecycle_hook_name: str
    transition: Literal["autoscaling:EC2_INSTANCE_TERMINATING"]
    heartbeat_timeout: int
    """Seconds after which AWS terminates an instance that nobody let go."""
    default_result: Literal["CONTINUE", "ABANDON"]


class Scaling(_Strict, frozen=True, kw_only=True):
    """The whole declaration, for one deployment."""

    suspended_processes: tuple[str, ...]
    lifecycle_hook: Hook
    policies: tuple[Policy, ...]
    alarms: tuple[Alarm, ...]

    def policy(self, alarm: Alarm) -> Policy:
        return next(policy for policy in self.policies if policy.name == alarm.policy)


def declared(**parameters: Parameter) -> Scaling:
    """The declaration that comes with the product; see ``render``."""
    return render(msgspec.json.decode(resources.files("skylens").joinpath(FILE).read_bytes()), parameters)


def render(document: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> Scaling:
    """``document`` with its placeholders filled in: by ``parameters``, else by the defaults that it declares.

    Raises SettingsError naming the parameter that is unknown or missing, or what AWS would refuse.
    """
    rest = dict(document)
    known = rest.pop("parameters")
    if unknown := parameters.keys() - known.keys():
        raise SettingsError(f"{FILE} has no parameter {min(unknown)!r}; it has {', '.join(known)}")
    values = {name: spec["default"] for name, spec in known.items() if "default" in spec} | dict(parameters)
    rest.pop("description", None)
    try:
        scaling = msgspec.convert(_filled(rest, values), Scaling)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{FILE}: {error}") from None
    if faults := [fault for alarm in scaling.alarms for fault in _faults(scaling, alarm)]:
        raise SettingsError(f"{FILE}: {'; '.join(faults)}")
    return scaling


def _filled(value: Any, values: Mapping[str, Parameter]) -> Any:
    """``value`` with every placeholder in it replaced; a string that is one placeholder becomes its number."""
    if isinstance(value, dict):
        return {name: _filled(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    if not isinstance(value, str):
        return value
    if whole := _PLACEHOLDER.fullmatch(value):
        return _value(whole, values)
    return _PLACEHOLDER.sub(lambda found: str(_value(found, values)), value)


def _value(found: re.Match[str], values: Mapping[str, Parameter]) -> Parameter:
    factor, name = found.groups()
    if name not in values:
        raise SettingsError(f"{FILE}: {found[0]} needs the parameter {name!r}")
    value = values[name]
    if factor is None:
        return value
    if isinstance(value, str):
        raise SettingsError(f"{FILE}: {name} is {value!r}; {found[0]} needs a number")
    return float(factor) * value


def _faults(scaling: Scaling, alarm: Alarm) -> list[str]:
    """What AWS, or Ansible's module, would refuse or misread of an alarm and its policy; a sentence each."""
    if alarm.policy not in [policy.name for policy in scaling.policies]:
        return [f"alarm {alarm.name} names the policy {alarm.policy!r}, which is not declared"]
    rules = {
        f"period {alarm.period} should be 10, 20, 30 or a multiple of 60 seconds": not (
            alarm.period in _HIGH_RESOLUTION or (alarm.period > 0 and alarm.period % 60 == 0)
        ),
        f"datapoints_to_alarm {alarm.datapoints_to_alarm} should be from 1 to evaluation_periods": not (
            1 <= alarm.datapoints_to_alarm <= alarm.evaluation_periods
        ),
        "period * evaluation_periods should be a day at most": alarm.period * alarm.evaluation_periods > _DAY,
    }
    said = [f"alarm {alarm.name}: {rule}" for rule, broken in rules.items() if broken]
    policy = scaling.policy(alarm)
    return said + [f"policy {policy.name}: {fault}" for fault in _step_faults(policy, above=alarm.above)]


def _step_faults(policy: Policy, *, above: bool) -> list[str]:
    steps = policy.step_adjustments
    rules = {
        f"it has {len(steps)} steps; it should have 1 to {_MOST_STEPS}": not 1 <= len(steps) <= _MOST_STEPS,
        "a step needs a bound": any(step.lower_bound is None and step.upper_bound is None for step in steps),
        "a bound of 0 should be left out, Ansible's module drops it": any(
            0 in {step.lower_bound, step.upper_bound} for step in steps
        ),
        "a step's lower bound should be below its upper one": any(
            step.lower_bound is not None and step.upper_bound is not None and step.lower_bound >= step.upper_bound
            for step in steps
        ),
        "each step should begin where the one before ends": any(
            one.upper_bound is None or one.upper_bound != other.lower_bound for one, other in pairwise(steps)
        ),
        "the step farthest from the threshold should have no end": bool(steps)
        and (steps[-1].upper_bound if above else steps[0].lower_bound) is not None,
        "estimated_instance_warmup should be 1 or more, Ansible's module drops 0": policy.estimated_instance_warmup < 1,
        "an alarm above its threshold should add instances, one below should take some": policy.shrinks == above,
    }
    return [rule for rule, broken in rules.items() if broken]
