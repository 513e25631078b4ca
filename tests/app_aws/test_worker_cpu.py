"""A worker tells how busy its instance's processors are, and nothing where nobody counts that."""

import os
import threading
from pathlib import Path

import pytest
from parts import until

from app_aws.cpu import Cpu, undisturbed
from app_aws.cpu import cores as usable
from skylens.clock import Clock, FakeClock


class Machine:
    """The files of a Linux machine, and its clock."""

    def __init__(self, root):
        self.root, self.clock = root, FakeClock()

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stat(self, *, busy=0, idle=0, iowait=0, steal=0, guest=0):
        """``guest`` is part of ``busy``, as user time is."""
        total = f"cpu  {busy} 0 0 {idle} {iowait} 0 0 {steal} {guest} 0\n"
        self.write("proc/stat", total + "cpu0 1 0 0 1 0 0 0 0 0 0\nintr 5\n")

    def group(self, path, *, quota="max", used=0.0):
        self.write(f"sys/fs/cgroup/{path}/cpu.max", f"{quota} 100000\n")
        self.use(path, used)

    def use(self, path, seconds):
        self.write(f"sys/fs/cgroup/{path}/cpu.stat", f"usage_usec {round(seconds * 1e6)}\nuser_usec 1\n")

    def belongs_to(self, path):
        self.write("proc/self/cgroup", f"3:cpu:/old\n0::/{path}\n")

    def cpu(self):
        return Cpu(self.clock.clock(), self.root)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_it_is_the_share_of_time_used_since_the_last_call(machine):
    machine.stat(busy=1000, idle=1000)
    cpu = machine.cpu()
    machine.stat(busy=1030, idle=1070)
    assert cpu.percent() == 30
    machine.stat(busy=1120, idle=1080)
    assert cpu.percent() == 90


def test_waiting_for_a_disk_is_idle_and_stolen_time_is_busy(machine):
    machine.stat()
    cpu = machine.cpu()
    machine.stat(busy=20, idle=30, iowait=40, steal=10)
    assert cpu.percent() == 30


def test_time_of_guests_is_not_counted_twice(machine):
    machine.stat()
    cpu = machine.cpu()
    machine.stat(busy=50, idle=50, guest=50)
    assert cpu.percent() == 50


def test_a_limited_process_tells_the_share_of_its_limit(machine):
    machine.stat(busy=0, idle=0)
    machine.belongs_to("worker")
    machine.group("worker", quota=50000, used=7)
    cpu = machine.cpu()
    machine.clock.sleep(10)
    machine.use("worker", 11)
    assert cpu.percent() == 80


def test_the_tightest_limit_around_a_process_counts(machine):
    machine.belongs_to("slice/service")
    machine.group("", quota=400000)
    machine.group("slice", quota=100000)
    machine.group("slice/service", quota=200000)
    cpu = machine.cpu()
    machine.clock.sleep(1)
    machine.use("slice", 0.25)
    assert cpu.percent() == 25


def test_a_container_that_sees_its_own_group_as_the_top_is_limited_by_it(machine):
    machine.belongs_to("not/visible/inside")
    machine.group("", quota=100000)
    cpu = machine.cpu()
    machine.clock.sleep(2)
    machine.use("", 1)
    assert cpu.percent() == 50


def test_groups_without_a_limit_leave_it_to_the_machine(machine):
    machine.belongs_to("slice/service")
    machine.group("slice/service")
    machine.stat()
    cpu = machine.cpu()
    machine.stat(busy=1, idle=3)
    assert cpu.percent() == 25


def test_more_than_the_limit_is_all_of_it(machine):
    machine.belongs_to("worker")
    machine.group("worker", quota=50000)
    cpu = machine.cpu()
    machine.clock.sleep(1)
    machine.use("worker", 0.6)
    assert cpu.percent() == 100


def test_where_nobody_counts_it_is_unknown(machine):
    assert machine.cpu().percent() is None


@pytest.mark.parametrize("stat", ["", "cpu\n", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "btime 5\n"])
def test_a_file_of_another_form_means_unknown(machine, stat):
    machine.stat()
    cpu = machine.cpu()
    machine.write("proc/stat", stat)
    assert cpu.percent() is None


def test_no_time_passed_means_unknown_and_the_next_call_knows_again(machine):
    machine.stat(busy=5, idle=5)
    cpu = machine.cpu()
    assert cpu.percent() is None
    machine.stat(busy=6, idle=5)
    assert cpu.percent() == 100


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux counts it there")
def test_this_very_machine_is_seen_at_work():
    cpu = Cpu(Clock())

    def works():
        sum(range(200_000))
        return (cpu.percent() or 0) > 0

    until(works)


@pytest.mark.parametrize(("quota", "cores"), [("150000", 2), ("100000", 1), ("20000", 1), ("9900000", 4), ("max", 4)])
def test_the_cores_to_use_are_those_that_the_group_and_the_scheduler_allow(machine, monkeypatch, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5, 6})
    machine.group("a", quota=quota)
    machine.belongs_to("a/b")
    assert usable(machine.root) == cores


def test_without_control_groups_all_allowed_cores_are_used(machine, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {7})
    assert usable(machine.root) == 1


def policies(call):
    """What ``call`` makes of the policy of its own thread, and of one that is started after it."""
    found = []

    def look():
        found.append(os.sched_getscheduler(0))

    def run():
        call()
        look()
        after = threading.Thread(target=look)
        after.start()
        after.join(10)

    thread = threading.Thread(target=run)  # of its own, since the policy stays
    thread.start()
    thread.join(10)
    return found


def test_no_thread_of_a_worker_pushes_another_from_its_core():
    assert policies(undisturbed) == [os.SCHED_BATCH, os.SCHED_BATCH]


def test_a_system_that_forbids_it_leaves_the_policy_as_it_is(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    usual = os.sched_getscheduler(0)
    assert policies(undisturbed) == [usual, usual]
