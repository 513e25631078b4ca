"""One image's way: answered exactly once as far as its client can see, whatever happens between two steps."""

import hashlib

import pytest
from parts import Bench

from skylens.errors import DeletedError
from skylens.fakes import aws_error
from skylens.messages import Failure, Label, Reply, encode


@pytest.fixture
def bench():
    return Bench()


def deliver(bench):
    """Receive one message and handle it."""
    (received,) = bench.requests.receive(1, wait=0)
    return bench.recogniser().handle(received)


def test_an_image_is_stored_replied_and_then_deleted(bench):
    request = bench.ask(b"cat", top=2)
    bench.time.sleep(1)
    assert deliver(bench)
    reply = bench.stored()
    assert bench.answers() == [reply]
    assert (reply.id, reply.tenant, reply.name, reply.worker, reply.failure) == ("one", "t", "one.png", "i-1", None)
    assert reply.result.labels == (Label(label="cat", score=1.0), Label(label="dog", score=0.0))
    assert (reply.result.digest, reply.result.model) == (request.digest, bench.engine.model)
    assert bench.requests.messages == {}
    assert ("put_if", ("t/one.json", "application/json", None)) in bench.outputs.script.calls


def test_the_timings_are_those_of_door_queue_and_worker(bench):
    request = bench.ask()
    sent = bench.clock.now()
    bench.time.sleep(3)
    deliver(bench)
    timings = bench.stored().result.timings
    assert timings.received.timestamp() == request.received
    assert timings.queued.timestamp() == sent
    assert timings.started.timestamp() == sent + 3
    assert timings.finished >= timings.started


@pytest.mark.parametrize(
    ("data", "changes", "code"),
    [
        (b"bad", {}, "undecodable-image"),
        (b"cat", {"digest": "0" * 64}, "undecodable-image"),
        (b"cat", {"key": "t/nowhere"}, "not-found"),
        (b"cat", {"deadline": 1.0}, "overdue"),
    ],
)
def test_what_its_client_must_be_told_is_an_answer_too(bench, data, changes, code):
    bench.ask(data, **changes)
    assert deliver(bench)
    assert bench.stored().failure.code == code
    assert bench.answers() == [bench.stored()]
    assert bench.requests.messages == {}


def test_an_overdue_image_is_not_even_fetched(bench):
    bench.ask(deadline=1.0)
    deliver(bench)
    assert not [call for call in bench.inputs.script.calls if call[0] == "get"]


def test_a_digest_may_be_in_capitals(bench):
    request = bench.ask(b"cat")
    bench.requests.messages.clear()
    bench.ask(b"cat", digest=request.digest.upper())
    deliver(bench)
    assert bench.stored().failure is None


CRASHES = [("inputs", "get"), ("outputs", "put_if"), ("replies", "send"), ("requests", "delete")]


@pytest.mark.parametrize(
    ("port", "method", "rides"),
    [(*crash, rides) for crash in CRASHES for rides in (False, True) if not (rides and crash[0] == "inputs")],
)
@pytest.mark.parametrize("error", [aws_error("SlowDown", 503), SystemExit("killed")])
def test_a_crash_between_two_steps_leaves_one_outcome_after_redelivery(bench, port, method, error, rides):
    bench.ask(b"cat", rides=rides)
    getattr(bench, port).script.fail(method, error)
    with pytest.raises(type(error)):
        deliver(bench)
    assert bench.requests.messages, "the request must still be on its queue"
    assert bench.requests.receive(1, wait=0) == []
    bench.time.sleep(31)
    assert deliver(bench)
    assert bench.requests.messages == {}
    assert list(bench.outputs.objects) == ["t/one.json"]
    assert bench.answers()[-1] == bench.stored()
    assert {reply.result.labels for reply in bench.answers()} == {bench.stored().result.labels}
    assert rides or set(bench.answers()) == {bench.stored()}
    assert bench.stored().result.labels[0].label == "cat"


def test_an_image_that_rides_along_is_not_fetched_and_answered_while_its_outcome_is_stored(bench):
    bench.ask(b"cat", rides=True)
    bench.inputs.objects.clear()
    bench.submit = lambda call, *arguments: Later(call, arguments)
    (received,) = bench.requests.receive(1, wait=0)
    assert bench.recogniser().handle(received)
    assert not [call for call in bench.inputs.script.calls if call[0] == "get"]
    assert bench.answers() == [bench.stored()]
    assert bench.requests.messages == {}


class Later:
    """What is stored only when somebody waits for it: after the reply."""

    def __init__(self, call, arguments):
        self.call, self.arguments = call, arguments

    def result(self):
        return self.call(*self.arguments)


@pytest.mark.parametrize("changes", [{"suspect": True}, {}])
def test_a_suspect_or_repeated_one_is_stored_before_its_reply(bench, changes):
    bench.ask(b"cat", rides=True, **changes)
    if not changes:
        bench.requests.receive(1, wait=0)
        bench.time.sleep(31)
    bench.submit = None  # beside the reply nothing may be stored
    assert deliver(bench)
    assert bench.answers() == [bench.stored()]


def test_a_repeat_sends_the_stored_outcome_without_working_again(bench):
    bench.ask(b"cat")
    bench.replies.script.fail("send", aws_error("InternalError", 500))
    with pytest.raises(type(aws_error(""))):
        deliver(bench)
    before = bench.stored()
    bench.inputs.objects.clear()
    bench.time.sleep(31)
    deliver(bench)
    assert bench.answers() == [before]


def test_a_double_delivery_gives_the_same_answer_twice_and_one_object(bench):
    bench.requests.twice = True
    bench.ask(b"cat")
    deliveries = [*bench.requests.receive(1, wait=0), *bench.requests.receive(1, wait=0)]
    assert len(deliveries) == 2
    for received in deliveries:
        bench.recogniser().handle(received)
    assert list(bench.outputs.objects) == ["t/one.json"]
    assert bench.answers() == [bench.stored()] * 2
    assert bench.requests.messages == {}


def test_a_reply_queue_that_is_gone_is_fine(bench):
    bench.ask(b"dog", reply_to="replies-gone")
    assert deliver(bench)
    assert bench.stored().result.labels[0].label == "dog"
    assert bench.requests.messages == {}


@pytest.mark.parametrize("body", [b"not json", b'{"v": 99, "id": "future"}', b'{"v": 1}', b'{"v": 0}'])
def test_a_message_that_cannot_be_read_is_set_aside_as_it_came(bench, body):
    bench.requests.send(body)
    assert not deliver(bench)
    assert bench.requests.messages == {}
    assert [message.body.encode() for message in bench.dead.messages.values()] == [body]
    assert bench.answers() == []


def test_an_unreadable_message_that_cannot_be_set_aside_stays(bench):
    bench.requests.send(b"not json")
    bench.dead.script.fail("send", aws_error("Throttling"))
    with pytest.raises(type(aws_error(""))):
        deliver(bench)
    assert len(bench.requests.messages) == 1


def test_a_newer_minor_version_is_read(bench):
    bench.ask(b"cat")
    (message,) = bench.requests.messages.values()
    message.body = message.body.replace("{", '{"new_in_1_9": [1], ', 1)
    assert deliver(bench)
    assert bench.stored().result.labels[0].label == "cat"


def test_an_image_that_breaks_the_model_ends_in_the_dead_letter_queue(bench):
    bench.ask(b"bug")
    for _ in range(bench.requests.max_receives):
        with pytest.raises(RuntimeError, match="the model broke"):
            deliver(bench)
        bench.time.sleep(31)
    assert bench.requests.receive(1, wait=0) == []
    assert len(bench.dead.messages) == 1
    assert bench.outputs.objects == {}


def test_the_log_line_has_every_stage(bench, monkeypatch):
    from app_aws import task

    lines = []
    monkeypatch.setattr(task.log, "info", lambda event, **fields: lines.append((event, fields)))
    bench.ask(b"cat", trace="00-abc")
    deliver(bench)
    bench.ask(b"bad", name="two")
    deliver(bench)
    (event, good), (_, bad) = lines
    assert event == "image.done"
    assert {"fetch_ms", "decode_ms", "infer_ms", "store_ms", "reply_ms", "delete_ms"} <= set(good)
    assert (good["id"], good["tenant"], good["label"], good["receives"]) == ("one", "t", "cat", 1)
    assert (good["trace"], good["delivered"]) == ("00-abc", True)
    assert bad["failure"] == "undecodable-image"


def test_an_image_waits_for_the_model_as_one_of_its_tenants(bench):
    bench.ask(b"cat")
    bench.recogniser().handle(bench.requests.receive(1)[0])
    assert bench.inferred == ["t"]


def test_an_image_whose_bytes_the_door_never_saw_gets_its_digest_here(bench):
    bench.ask(b"cat", digest="")
    bench.recogniser().handle(bench.requests.receive(1)[0])
    assert bench.stored().result.digest == hashlib.sha256(b"cat").hexdigest()


@pytest.mark.parametrize("image", ["stored", "deleted"])
@pytest.mark.parametrize("is_repeat", [False, True])
def test_a_job_that_was_deleted_stays_deleted_and_its_door_is_told(bench, image, is_repeat):
    """What its client deleted has a tombstone for an outcome."""
    bench.ask(b"cat")
    stone = Reply(id="one", tenant="t", failure=Failure.of(DeletedError()))
    bench.outputs.put("t/one.json", encode(stone), "application/json")
    if image == "deleted":
        bench.inputs.objects.clear()
    if is_repeat:
        bench.requests.receive(1, wait=0)
        bench.time.sleep(31)
    assert deliver(bench)
    assert bench.stored() == stone
    assert bench.answers() == [stone]
    assert bench.requests.messages == {}


def test_on_the_fast_path_too_a_deleted_job_stays_deleted(bench):
    """Its reply may have gone out before; the door drops it."""
    bench.ask(b"cat", rides=True)
    stone = Reply(id="one", tenant="t", failure=Failure.of(DeletedError()))
    bench.outputs.put("t/one.json", encode(stone), "application/json")
    assert deliver(bench)
    assert bench.stored() == stone
    assert bench.requests.messages == {}
