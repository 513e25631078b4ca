"""The client's patience, on a clock that only waiting moves."""

import httpx2
import pytest

from skylens.client import Client, backoff
from skylens.errors import PoisonImageError, UnavailableError, UnknownJobError
from tests.cli.scripted import STATUS, result

URL = "http://sky.example:8080/prefix"


class World:
    """Answers as scripted; a pause moves the clock and is noted."""

    def __init__(self, tmp_path, *answers):
        self.now, self.pauses, self.requests, self.notices = 0.0, [], [], []
        self.answers = list(answers)
        self.path = tmp_path / "x.png"
        self.path.write_bytes(b"bytes")
        http = httpx2.Client(base_url=URL, transport=httpx2.MockTransport(self.respond))
        self.client = Client(http, timeout=60, ticks=lambda: self.now, pause=self.pause, notice=self.notices.append)

    def respond(self, request):
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        return False


def busy(seconds, status=503):
    return httpx2.Response(status, headers={"Retry-After": str(seconds)})


def fine():
    return httpx2.Response(200, json=result("x.png", "00" * 32))


def working():
    return httpx2.Response(202, headers={"Location": "/v1/images/7"})


def test_retry_after_is_waited_out_exactly(tmp_path):
    world = World(tmp_path, busy(7), busy(11, 429), fine())
    assert world.client.classify(world.path).name == "x.png"
    assert world.pauses == [7.0, 11.0]
    assert all("trying again in" in notice for notice in world.notices)


@pytest.mark.parametrize("wait", ["9" * 400, "9" * 5000, "-3", "soon", "7 "])
def test_a_retry_after_that_is_no_sensible_number_is_none(tmp_path, wait):
    world = World(tmp_path, busy(wait), fine())
    assert world.client.classify(world.path).name == "x.png"
    assert world.pauses[0] <= 20


def test_a_wait_beyond_the_timeout_is_not_begun(tmp_path):
    world = World(tmp_path, busy(40), busy(40))
    with pytest.raises(UnavailableError, match="gave up after 2 tries within 60 s"):
        world.client.classify(world.path)
    assert world.pauses == [40.0]


def test_a_service_that_is_away_is_tried_until_the_timeout_ever_more_slowly(tmp_path):
    world = World(tmp_path, httpx2.ConnectError("refused"))
    with pytest.raises(UnavailableError, match="refused"):
        world.client.classify(world.path)
    assert sum(world.pauses) <= 60
    assert 4 <= len(world.pauses) <= 20


def test_a_stop_ends_the_waiting(tmp_path):
    world = World(tmp_path, busy(7))
    client = Client(world.client.http, pause=lambda _: True)
    with pytest.raises(UnavailableError, match="stopped"):
        client.classify(world.path)
    assert len(world.requests) == 1


def test_polling_goes_on_through_refusals_and_keeps_the_prefix_of_the_address(tmp_path):
    world = World(tmp_path, working(), httpx2.ReadError("reset"), working(), busy(3), fine())
    world.client.classify(world.path)
    assert [request.method for request in world.requests] == ["POST", "GET", "GET", "GET", "GET"]
    assert {request.url.path for request in world.requests[1:]} == {"/prefix/v1/images/7"}


def test_a_job_that_outlasts_the_timeout_is_named(tmp_path):
    world = World(tmp_path, working())
    original = world.respond
    world.client.http._transport = httpx2.MockTransport(lambda request: (world.pause(25), original(request))[1])
    with pytest.raises(UnavailableError, match="the job goes on at /v1/images/7"):
        world.client.classify(world.path)
    assert [request.url.params.get("wait") for request in world.requests] == [None, "20", "10"]


def test_a_service_that_does_not_hold_a_poll_is_not_asked_in_a_rush(tmp_path):
    world = World(tmp_path, working(), working(), working(), fine())
    world.client.classify(world.path)
    assert world.pauses == [1.0, 1.0]


def test_a_stop_ends_the_polling(tmp_path):
    world = World(tmp_path, working())
    client = Client(world.client.http, pause=lambda _: True)
    with pytest.raises(UnavailableError, match="stopped; the job goes on at /v1/images/7"):
        client.classify(world.path)


def test_a_failed_job_raises_the_class_of_its_code(tmp_path):
    world = World(tmp_path, httpx2.Response(422, json={"code": "poison-image", "detail": "set aside"}))
    with pytest.raises(PoisonImageError, match="set aside"):
        world.client.classify(world.path)


def test_every_try_sends_the_whole_image(tmp_path):
    world = World(tmp_path, httpx2.WriteError("reset"), busy(1), fine())
    world.client.classify(world.path)
    assert all(b"bytes" in request.content for request in world.requests)
    assert len({request.headers["Idempotency-Key"] for request in world.requests}) == 1


def test_a_status_of_a_newer_release_is_understood(tmp_path):
    world = World(tmp_path, httpx2.Response(200, json={**STATUS, "more": 1}))
    assert world.client.status().fleet.workers[0].in_flight == 3


def test_the_wait_between_tries_grows_but_never_above_20_seconds():
    assert all(0.25 <= backoff(0) <= 0.5 and 10 <= backoff(50) <= 20 for _ in range(100))


def test_a_deletion_is_sent_until_it_is_done(tmp_path):
    world = World(tmp_path, busy(5), httpx2.ReadError("reset"), httpx2.Response(204))
    world.client.delete("018bcfe5-6800-7000-8000-000000000001")
    assert [(request.method, request.url.path) for request in world.requests] == [
        ("DELETE", "/prefix/v1/images/018bcfe5-6800-7000-8000-000000000001")
    ] * 3
    assert world.pauses[0] == 5.0


@pytest.mark.parametrize("job", ["", "../batches/7", "a/b", "a?b", "\n"])
def test_only_an_id_is_deleted(tmp_path, job):
    world = World(tmp_path, httpx2.Response(204))
    with pytest.raises(UnknownJobError, match="is not the id of a job"):
        world.client.delete(job)
    assert world.requests == []
