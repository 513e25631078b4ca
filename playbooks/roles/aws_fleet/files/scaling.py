"""Prints what AWS is to do with the group of the fleet ``alarms``: ``skylens/alarms.json`` for one deployment, as JSON.

Reads ``{"deployment", "instance_type", "scaler": {...}, "worker": {...}}`` as JSON, the last two being settings of the
tiers. How many images an instance takes and may have outstanding follows from them, as it does in ``skylens up``.
"""

import json
import math
import re
import sys
from typing import Any

import msgspec

from skylens import alarms
from skylens.settings import ScalerSettings

SLOTS_PER_CORE = 4
BOUNDS = ("lower_bound", "upper_bound")


def main() -> None:
    print(json.dumps(given(msgspec.to_builtins(scaling(**json.load(sys.stdin))))))


def scaling(deployment: str, instance_type: str, scaler: dict[str, Any], worker: dict[str, Any]) -> alarms.Scaling:
    slots = int(worker.get("slots", 0)) or SLOTS_PER_CORE * cores(instance_type)
    goal, service = (
        float(scaler.get(name, ScalerSettings.model_fields[name].default))
        for name in ("latency_goal", "expected_service_seconds")
    )
    return alarms.declared(deployment=deployment, slots=slots, acceptable_backlog=max(1, round(slots * goal / service)))


def cores(instance_type: str) -> int:
    """``large`` is two, ``xlarge`` four, ``3xlarge`` twelve, in every family; what has no such size counts as two."""
    found = re.fullmatch(r"(\d*)xlarge", instance_type.partition(".")[2])
    return 4 * int(found[1] or 1) if found else 2


def given(value: Any) -> Any:
    """``value`` as Ansible's modules want it: without what is None, and the bounds of steps in whole numbers.

    The lower whole number means the same to them: no alarm has a bound between 0 and 1, and images come whole.
    """
    if isinstance(value, dict):
        return {
            name: math.floor(part) if name in BOUNDS else given(part)
            for name, part in value.items()
            if part is not None
        }
    return [given(part) for part in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
