"""The last answers are bounded by their number and by their bytes."""

from skylens.messages import Failure, Reply, encode
from web_openstack.deleted import Deleted
from web_openstack.recent import Recent


def answer(job, size=10):
    return Reply(id=job, tenant="acme", failure=Failure(code="x", detail="y" * size))


def held(recent, jobs):
    return [job for job in jobs if recent.get(job, "acme")]


def test_the_oldest_goes_first_when_there_are_too_many():
    recent, jobs = Recent(Deleted(), most=3), ["a", "b", "c", "d", "e"]
    for job in jobs:
        recent.add(answer(job))
    assert held(recent, jobs) == ["c", "d", "e"]


def test_the_oldest_goes_first_when_they_have_too_many_bytes():
    large = len(encode(answer("a", 1000)))
    recent, jobs = Recent(Deleted(), most_bytes=2 * large), ["a", "b", "c"]
    for job in jobs:
        recent.add(answer(job, 1000))
        recent.add(answer(job, 5))  # a repeat
    assert held(recent, jobs) == ["b", "c"]
    recent.drop("c", "acme")
    recent.drop("c", "acme")
    recent.add(answer("d", 1000))
    assert held(recent, [*jobs, "d"]) == ["b", "d"]
