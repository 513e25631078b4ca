from observations import workers

from autoscaler.victims import choose
from skylens.messages import Worker


def worker(instance, state, *, age=100.0, in_flight=0):
    return Worker(instance=instance, state=state, age=age, in_flight=in_flight)


def test_idle_workers_leave_first_then_those_coming_up_then_busy_ones_and_silent_ones_last():
    fleet = workers(ready=1, busy=1, booting=1, pending=1, idle=1)
    assert [one.partition("-")[0] for one in choose(fleet, 5)] == ["idle", "booting", "pending", "busy", "ready"]


def test_the_oldest_idle_worker_leaves_first():
    fleet = [worker("young", "idle", age=5), worker("old", "idle", age=50)]
    assert choose(fleet, 1) == ["old"]


def test_the_youngest_of_those_coming_up_leaves_first():
    fleet = [worker("soon-up", "booting", age=50), worker("just-launched", "pending", age=1)]
    assert choose(fleet, 1) == ["just-launched"]


def test_of_busy_workers_the_one_with_least_in_flight_leaves_first():
    fleet = [worker("much", "busy", in_flight=4), worker("little", "busy", in_flight=1)]
    assert choose(fleet, 1) == ["little"]


def test_those_already_leaving_are_not_chosen_again():
    assert choose(workers(draining=2, stopping=2), 4) == []
