"""Turns each emulated EC2 instance into a real worker process, and each death of either into the death of the other."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from skylens.aws_errors import AWS_ERRORS, explain, is_passing
from skylens.clock import Clock
from skylens.local.children import Child, Say
from skylens.local.metadata import Registry

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

STOP_SECONDS = 10
"""How long the worker of a terminated instance may take to leave before it is killed."""

LAST_WORDS = 200
"""Characters shown of the last line of a failed worker's log."""

StartWorker = Callable[[str], Child]
"""Starts the worker of that instance."""


class Seen(NamedTuple):
    """An instance that EC2 says is on."""

    id: str
    tags: Mapping[str, str]


@dataclass
class Machine:
    """One instance as the runner keeps it. ``boots_at``: the tick at which its worker starts."""

    id: str
    boots_at: float
    worker: Child | None = None


class Leaving(NamedTuple):
    """A worker whose instance EC2 has ended; its metadata answer until it is gone. ``until``: the tick of its kill."""

    instance: str
    worker: Child
    until: float


class Runner:
    """Each ``tick`` makes processes follow instances and instances follow processes.

    Used by the main thread alone (it starts children). When the runner's process dies, the workers die with it.
    """

    def __init__(
        self,
        client: "EC2Client",
        start: StartWorker,
        registry: Registry,
        say: Say,
        *,
        boot_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        self._client, self._start, self._registry, self._say = client, start, registry, say
        self._boot_seconds, self._clock = boot_seconds, clock or Clock()
        self._machines: dict[str, Machine] = {}
        self._leaving: list[Leaving] = []

    def tick(self) -> None:
        """Look at EC2 once and act. An EC2 that does not answer in time is looked at again at the next tick."""
        try:
            seen = self._seen()
            for instance in seen:
                self._appear(instance)
            for gone in self._machines.keys() - {instance.id for instance in seen}:
                self._vanish(self._machines.pop(gone))
            for machine in list(self._machines.values()):
                self._advance(machine)
        except AWS_ERRORS as error:
            if not is_passing(error):
                raise
            self._say(f"the EC2 emulator did not answer ({explain(error)}); looking again")
        self._reap()

    def workers(self) -> dict[str, int]:
        """The process id of each instance's worker, those on their way out not counted."""
        return {one.id: one.worker.pid for one in self._machines.values() if one.worker}

    def children(self) -> list[Child]:
        """Every worker that may still run."""
        staying = [machine.worker for machine in self._machines.values() if machine.worker]
        return staying + [one.worker for one in self._leaving]

    def _seen(self) -> list[Seen]:
        pages = self._client.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )
        return [
            Seen(found["InstanceId"], {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])})
            for page in pages
            for reservation in page["Reservations"]
            for found in reservation["Instances"]
        ]

    def _appear(self, instance: Seen) -> None:
        if instance.id in self._machines:
            self._registry.tag(instance.id, instance.tags)
            return
        self._registry.add(instance.id, self._user_data(instance.id), instance.tags)
        self._machines[instance.id] = Machine(instance.id, self._clock.ticks() + self._boot_seconds)

    def _user_data(self, instance: str) -> str:
        answer = self._client.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return base64.b64decode(answer["UserData"].get("Value", "")).decode()

    def _vanish(self, machine: Machine) -> None:
        """EC2 ended the instance: its worker gets the signal that a shutting-down machine sends, then time to leave."""
        if machine.worker is None:
            self._registry.remove(machine.id)
            return
        machine.worker.terminate()
        self._leaving.append(Leaving(machine.id, machine.worker, self._clock.ticks() + STOP_SECONDS))

    def _advance(self, machine: Machine) -> None:
        if machine.worker is None:
            if self._clock.ticks() >= machine.boots_at:
                machine.worker = self._start(machine.id)
        elif not machine.worker.running:
            if machine.worker.process.returncode != 0:
                ending = f"worker of {machine.id} ended with {machine.worker.ending()}; its instance is terminated"
                self._say(f"{ending}; it said last: {machine.worker.tail(1)[:LAST_WORDS]}")
            self._client.terminate_instances(InstanceIds=[machine.id])
            self._registry.remove(machine.id)
            del self._machines[machine.id]

    def _reap(self) -> None:
        now = self._clock.ticks()
        for one in self._leaving:
            if not one.worker.running:
                if one.instance not in self._machines:  # else it was stopped and started again under the same id
                    self._registry.remove(one.instance)
            elif now >= one.until:
                self._say(f"{one.worker.name} did not leave within {STOP_SECONDS} s and was killed")
                one.worker.kill()
        self._leaving = [one for one in self._leaving if one.worker.process.returncode is None]
