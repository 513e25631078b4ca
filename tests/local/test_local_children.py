import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from harness import alive

from skylens.clock import Clock
from skylens.local import child
from skylens.local.children import Child, stop
from skylens.local.service import RESTART_SECONDS, Service

ENVIRONMENT = {"PATH": os.environ["PATH"]}
STUBBORN = "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
WAIT = "import threading; threading.Event().wait()"


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(program, name="one"):
        started.append(Child.start(name, [sys.executable, "-c", program], ENVIRONMENT, tmp_path / f"{name}.log"))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.process.wait()


def eventually(wanted, claim, timeout=20):
    pause, tries = threading.Event(), 0
    while not wanted():
        assert tries < timeout * 50, f"never so: {claim}"
        pause.wait(0.02)
        tries += 1


def test_a_child_sees_exactly_the_environment_it_was_given(start, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    one = start("import os; print(sorted(os.environ))")
    one.process.wait()
    assert "AWS_PROFILE" not in one.tail()
    assert "PATH" in one.tail()


def test_only_the_main_thread_may_start_children(start):
    caught = []

    def begin():
        try:
            start("")
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_child_is_no_part_of_the_terminal_that_ctrl_c_goes_to(start):
    one = start(WAIT)
    assert os.getsid(one.pid) == one.pid != os.getsid(0)


def test_a_child_that_will_not_leave_is_killed_with_what_it_started_and_named(start):
    program = f"{STUBBORN}import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WAIT!r}])"
    one = start(program)
    eventually(lambda: psutil.Process(one.pid).children(), "it has a child of its own")
    grandchild = psutil.Process(one.pid).children()[0]
    said = []
    stop([one], 0.2, said.append)
    assert not one.running
    eventually(lambda: not alive(grandchild), "the grandchild is gone")
    assert "did not leave within 0.2 s" in said[0]


def test_someone_in_a_hurry_waits_for_no_grace(start):
    one = start(f"{STUBBORN}{WAIT}")
    eventually(lambda: "up" in one.tail(), "it ignores SIGTERM")
    slept = []
    stop([one], 3600, lambda _: None, clock=Clock(sleep=slept.append), hurried=lambda: True)
    assert not one.running
    assert slept == []


def test_children_that_leave_are_not_killed(start):
    said = []
    some = [start(WAIT, "one"), start(WAIT, "two")]
    stop(some, 20, said.append)
    assert said == []
    assert [one.ending() for one in some] == ["signal 15", "signal 15"]


def test_a_child_whose_parent_is_already_another_does_not_start():
    done = subprocess.run(
        [sys.executable, child.__file__, "1", sys.executable, "-c", "print('started')"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"parent 1 is gone" in done.stderr


def test_a_child_dies_with_its_killed_parent(tmp_path):
    program = f"""
from pathlib import Path
import os, sys, threading
from skylens.local.children import Child
one = Child.start("one", [sys.executable, "-c", {WAIT!r}], os.environ, Path({str(tmp_path / "log")!r}))
print(one.pid, flush=True)
threading.Event().wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    grandchild = psutil.Process(int(parent.stdout.readline()))
    eventually(lambda: WAIT in grandchild.cmdline(), "it has become its command")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not alive(grandchild), "it is gone")


def test_a_service_is_started_again_after_a_pause_and_says_so(start):
    time, said = [0.0], []
    service = Service(lambda: start("import sys; sys.exit(3)"), said.append, Clock(ticks=lambda: time[0]))
    first = service.child
    first.process.wait()
    service.tick()
    service.tick()
    assert service.child is first
    assert "ended with status 3" in said[0]
    time[0] += RESTART_SECONDS
    service.tick()
    assert service.child is not first
    assert (service.restarts, len(said)) == (1, 1)
