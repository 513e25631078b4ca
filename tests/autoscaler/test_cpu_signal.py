"""The fleet's CPU: known with its age, unknown, or stale; never taken for zero."""

from botocore.exceptions import EndpointConnectionError

from autoscaler.cpu import MeasuredCpu, ToldCpu
from autoscaler.fleets import Look
from autoscaler.metrics import Metrics
from autoscaler.roster import Roster
from autoscaler.trouble import Troubles
from skylens.clock import FakeClock
from skylens.instances import Instance
from skylens.messages import WorkerEvent

UNREACHABLE = EndpointConnectionError(endpoint_url="https://monitoring")


class Telling:
    """Workers ``i-1`` .. that are up and tell their CPU when asked to."""

    def __init__(self, count):
        self.clock = FakeClock()
        self.roster = Roster(self.clock.clock())
        self.ids = [f"i-{number}" for number in range(1, count + 1)]
        self.look(self.ids)
        self.cpu = ToldCpu(self.roster, self.clock.clock())

    def look(self, ids):
        self.roster.look(Look([Instance(one, "running", self.clock.now(), draining=False) for one in ids]))

    def tell(self, one, percent, kind="heartbeat"):
        now = self.clock.now()
        self.roster.hear(WorkerEvent(kind=kind, instance=one, at=now, cpu=percent), now)

    def read(self):
        able = [each.instance for each in self.roster.workers() if each.state in {"ready", "busy", "idle"}]
        return self.cpu.read(able)


def test_the_workers_words_make_a_mean_as_old_as_the_oldest_of_them():
    stage = Telling(3)
    stage.tell("i-1", 20.0)
    stage.clock.sleep(4)
    stage.tell("i-2", 60.0)
    stage.tell("i-3", None)
    assert stage.read() == (40.0, 4, False)


def test_words_that_are_old_and_those_of_workers_that_leave_do_not_count():
    stage = Telling(3)
    stage.tell("i-1", 90.0)
    stage.clock.sleep(15)
    stage.tell("i-2", 30.0)
    stage.tell("i-3", 80.0)
    stage.clock.sleep(1)
    stage.tell("i-3", 80.0, "draining")
    stage.clock.sleep(5)
    assert stage.read() == (30.0, 6, False)
    assert [each.cpu for each in stage.roster.workers()] == [None, 30.0, 80.0]


def test_a_fleet_that_fell_silent_keeps_its_last_mean_and_goes_stale():
    stage = Telling(1)
    stage.tell("i-1", 30.0)
    seen = []
    for _ in range(6):
        seen.append(stage.read())
        stage.clock.sleep(10)
    assert [each.percent for each in seen] == [30.0] * 6
    assert [each.age for each in seen] == [0, 10, 20, 30, 40, 50]
    assert [each.stale for each in seen] == [False] * 3 + [True] * 3


def test_a_fleet_that_just_came_up_is_unknown_and_stale_only_when_it_stays_silent():
    stage = Telling(1)
    stage.tell("i-1", None, "ready")
    assert stage.read() == (None, None, False)
    stage.clock.sleep(21)
    assert stage.read() == (None, None, True)
    stage.tell("i-1", 50.0)
    assert stage.read() == (50.0, 0, False)


def test_no_fleet_has_no_cpu_and_the_next_one_does_not_inherit_it():
    stage = Telling(1)
    stage.tell("i-1", 95.0)
    stage.read()
    stage.clock.sleep(1)
    stage.tell("i-1", None, "stopped")
    assert stage.read() == (None, None, False)
    stage.look(["i-2"])
    stage.tell("i-2", None, "ready")
    assert stage.read() == (None, None, False)


class Metric:
    def __init__(self):
        self.answer, self.asked, self.error = (40.0, 70.0), [], None

    def cpu(self, instances):
        self.asked.append(list(instances))
        if self.error:
            raise self.error
        return self.answer


class Measuring:
    def __init__(self):
        self.clock, self.metric = FakeClock(), Metric()
        self.cpu = MeasuredCpu(self.metric, Troubles(Metrics()), self.clock.clock())

    def read(self, *able):
        return self.cpu.read(able or ("i-1", "i-2"))


def test_cloudwatch_is_asked_for_the_able_instances_once_a_minute_and_its_value_ages():
    stage = Measuring()
    ages = []
    for _ in range(7):
        ages.append(stage.read().age)
        stage.clock.sleep(20)
    assert ages == [70, 90, 110, 70, 90, 110, 70]
    assert stage.metric.asked == [["i-1", "i-2"]] * 3


def test_a_value_that_is_too_old_is_stale():
    stage = Measuring()
    stage.metric.answer = (40.0, 270.0)
    assert stage.read() == (40.0, 270, False)
    stage.clock.sleep(31)
    assert stage.read() == (40.0, 301, True)


def test_missing_data_is_stale_and_never_zero():
    stage = Measuring()
    stage.metric.answer = None
    assert stage.read() == (None, None, True)
    stage.metric.answer = (0.0, 10.0)
    stage.clock.sleep(60)
    assert stage.read() == (0.0, 10, False)
    stage.metric.answer = None
    stage.clock.sleep(60)
    assert stage.read() == (0.0, 70, True)


def test_cloudwatch_out_of_reach_keeps_the_last_value_stale():
    stage = Measuring()
    stage.read()
    stage.metric.error = UNREACHABLE
    stage.clock.sleep(60)
    assert stage.read() == (40.0, 130, True)
    stage.metric.error = None
    stage.clock.sleep(60)
    assert stage.read() == (40.0, 70, False)


def test_without_able_instances_cloudwatch_is_not_asked_and_its_last_value_forgotten():
    stage = Measuring()
    stage.read()
    assert stage.cpu.read(()) == (None, None, False)
    assert stage.read() == (None, None, True)
    assert len(stage.metric.asked) == 1
