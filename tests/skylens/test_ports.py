"""One suite of behaviour for the AWS ports, run over the fakes and over the real adapters against an emulator.

What holds here for both is what the tiers may rely on; a fake that drifted from the real thing would fail.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import uuid

import httpx2
import pytest
from botocore.exceptions import ClientError

from skylens.aws import Aws
from skylens.aws_errors import is_gone
from skylens.fakes import FakeQueue, FakeQueues, FakeStore
from skylens.queues import Counts, SqsQueue, SqsQueues
from skylens.store import S3Store

DEADLINE = 30.0
MAX_RECEIVES = 3


def until(look):
    """The first true answer of ``look``."""
    end = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    """The address of an emulated S3 and SQS, in a child process on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3,sqs"}
    off = {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": "unix:///dev/null/no-docker"}
    folder = tmp_path_factory.mktemp("emulator")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=os.environ | quiet | off, cwd=folder, stdout=log, stderr=log
        )

    def healthy():
        assert child.poll() is None, (folder / "log").read_text()
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/_ministack/health", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    try:
        until(healthy)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.fixture
def aws(emulator, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL_S3": emulator,
        "AWS_ENDPOINT_URL_SQS": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    return Aws("us-east-1")


@pytest.fixture(params=["fake", "real"])
def kind(request):
    return request.param


@pytest.fixture
def queues(kind, request):
    if kind == "fake":
        return FakeQueues()
    aws = request.getfixturevalue("aws")
    return SqsQueues(aws.sqs(), aws.sqs_polling())


@pytest.fixture
def make_queue(kind, request):
    """A queue and its dead-letter queue."""

    def make(visibility=30):
        if kind == "fake":
            dead = FakeQueue()
            return FakeQueue(visibility=visibility, dead=dead, max_receives=MAX_RECEIVES), dead
        aws = request.getfixturevalue("aws")
        client, polling, name = aws.sqs(), aws.sqs_polling(), uuid.uuid4().hex
        dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{MAX_RECEIVES}"}}'
        url = client.create_queue(
            QueueName=name, Attributes={"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
        )["QueueUrl"]
        return SqsQueue(client, polling, url), SqsQueue(client, polling, dead)

    return make


@pytest.fixture
def queue(make_queue):
    return make_queue()[0]


@pytest.fixture
def store(kind, request):
    if kind == "fake":
        return FakeStore()
    client, bucket = request.getfixturevalue("aws").s3(), f"b-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    return S3Store(client, bucket)


def together(calls):
    """Start all calls at the same moment, each in a thread of its own that is joined here; their answers."""
    start, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def one(number, call):
        start.wait(DEADLINE)
        answers[number] = call()

    threads = [threading.Thread(target=one, args=(number, call)) for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return answers


# --- queue


def test_a_message_arrives_as_it_was_sent_with_its_time_and_its_count(queue):
    queue.send('{"name":"\N{GRINNING FACE} <&> \\n"}'.encode())
    ((body, receipt, receives, sent),) = queue.receive(10, wait=1)
    assert body == '{"name":"\N{GRINNING FACE} <&> \\n"}'
    assert receipt
    assert receives == 1
    assert abs(sent - time.time()) < DEADLINE


def test_no_more_are_received_than_asked_for_and_all_come_in_the_end(queue):
    for number in range(25):
        queue.send(str(number).encode())
    seen = []
    while len(seen) < 25:
        some = queue.receive(7, wait=1)
        assert 1 <= len(some) <= 7
        seen += [message.body for message in some]
    assert sorted(seen, key=int) == [str(number) for number in range(25)]


def test_an_empty_queue_gives_an_empty_list(queue):
    assert queue.receive(10, wait=0) == []


def test_a_waiting_receiver_gets_what_is_sent_meanwhile(queue):
    def receive():
        return until(lambda: queue.receive(1, wait=5))

    found, _ = together([receive, lambda: queue.send(b"late")])
    assert [message.body for message in found] == ["late"]


def test_a_received_message_is_hidden_until_deleted(queue):
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    assert queue.receive(1, wait=0) == []
    assert queue.counts() == Counts(visible=0, in_flight=1)
    queue.delete([first.receipt])
    assert queue.counts() == Counts(visible=0, in_flight=0)


def test_counts_tell_waiting_from_hidden(queue):
    for number in range(5):
        queue.send(str(number).encode())
    queue.receive(2, wait=1)
    assert queue.counts() == Counts(visible=3, in_flight=2)


def test_an_undeleted_message_comes_again_with_a_higher_count_and_another_receipt(make_queue):
    queue, _ = make_queue(visibility=1)
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    (second,) = until(lambda: queue.receive(1, wait=1))
    assert (first.receives, second.receives) == (1, 2)
    assert first.receipt != second.receipt
    assert first.sent == second.sent


def test_extending_by_nothing_gives_the_message_back_at_once(queue):
    queue.send(b"x")
    (first,) = queue.receive(1, wait=1)
    queue.extend([first.receipt], 0)
    (second,) = until(lambda: queue.receive(1, wait=1))
    assert second.receives == 2


def test_extending_hides_longer_than_the_queue_would(make_queue):
    queue, _ = make_queue(visibility=1)
    for body in (b"kept", b"let go"):
        queue.send(body)
    kept = until(lambda: [message for message in queue.receive(10, wait=1) if message.body == "kept"])
    queue.extend([kept[0].receipt], 60)
    assert [message.body for message in until(lambda: queue.receive(10, wait=1))] == ["let go"]
    assert queue.counts().in_flight >= 1


def test_more_receipts_than_one_call_takes_are_extended_and_deleted(queue):
    for number in range(23):
        queue.send(str(number).encode())
    held = []
    while len(held) < 23:
        held += queue.receive(10, wait=1)
    queue.extend([message.receipt for message in held], 0)
    until(lambda: queue.counts() == Counts(visible=23, in_flight=0))
    held = []
    while len(held) < 23:
        held += queue.receive(10, wait=1)
    queue.delete([message.receipt for message in held])
    assert queue.counts() == Counts(0, 0)


def test_deliveries_that_are_no_longer_valid_are_passed_over(queue):
    for body in (b"done", b"more"):
        queue.send(body)
    held = []
    while len(held) < 2:
        held += queue.receive(2, wait=1)
    gone, more = held
    queue.delete([gone.receipt])
    queue.delete([gone.receipt, more.receipt])
    queue.extend([gone.receipt], 5)
    assert queue.counts() == Counts(0, 0)


def test_no_receipts_are_no_call(queue):
    queue.delete([])
    queue.extend([], 5)


def test_after_three_receives_a_message_moves_to_the_dead_letters(make_queue):
    queue, dead = make_queue()
    queue.send(b"poison")
    for count in range(1, MAX_RECEIVES + 1):
        (held,) = until(lambda: queue.receive(1, wait=1))
        assert held.receives == count
        assert dead.counts() == Counts(0, 0)
        queue.extend([held.receipt], 0)
    assert queue.receive(1, wait=1) == []
    (found,) = until(lambda: dead.receive(1, wait=1))
    assert found.body == "poison"
    assert queue.counts() == Counts(0, 0)


def test_two_receivers_share_the_messages(queue):
    for number in range(30):
        queue.send(str(number).encode())

    def drain():
        mine = []
        while some := queue.receive(4, wait=0):
            mine += [message.body for message in some]
            queue.delete([message.receipt for message in some])
        return mine

    one, two = together([drain, drain])
    rest = drain()  # an empty answer is no proof of an empty queue
    assert sorted(one + two + rest, key=int) == [str(number) for number in range(30)]


# --- queues


def test_a_reply_queue_is_made_once_found_by_name_and_gone_once_removed(queues):
    name = f"x-{uuid.uuid4().hex}"
    assert queues.send(name, b"nobody") is False
    made = queues.ensure(name, {"skylens:node": "web-1"}, 3600)
    again = queues.ensure(name, {"skylens:node": "web-1"}, 3600)
    assert queues.send(name, b"hello") is True
    assert [message.body for message in until(lambda: made.receive(1, wait=1))] == ["hello"]
    again.send(b"same")
    assert [message.body for message in until(lambda: made.receive(1, wait=1))] == ["same"]
    queues.remove(made)
    assert until(lambda: queues.send(name, b"nobody") is False)


def test_tags_are_set_changed_and_found_by_prefix(queues):
    prefix = f"p{uuid.uuid4().hex}-"
    one = queues.ensure(f"{prefix}one", {"owner": "a", "beat": "1"}, 3600)
    queues.ensure(f"{prefix}two", {"owner": "b"}, 3600)
    queues.ensure(f"other-{uuid.uuid4().hex}", {"owner": "c"}, 3600)
    queues.tag(one, {"beat": "2"})
    found = [tags for _, tags in queues.tagged(prefix)]
    assert sorted(found, key=lambda tags: tags["owner"]) == [{"owner": "a", "beat": "2"}, {"owner": "b"}]
    for queue, _ in queues.tagged(prefix):
        queues.remove(queue)
    assert queues.tagged(prefix) == []


def test_a_queue_that_was_removed_by_another_is_gone_for_its_holder(aws):
    queues = SqsQueues(aws.sqs(), aws.sqs_polling())
    made = queues.ensure(f"x-{uuid.uuid4().hex}", {}, 3600)
    queues.remove(made)
    for call in (lambda: made.send(b"x"), lambda: made.receive(1, wait=0), made.counts):
        with pytest.raises(ClientError) as raised:
            call()
        assert is_gone(raised.value)
    with pytest.raises(ClientError) as raised:
        queues.named("never-made")
    assert is_gone(raised.value)


# --- store


def test_an_object_is_read_as_it_was_written_and_replaced_whole(store):
    assert store.get("a/b") is None
    assert store.exists("a/b") is False
    store.put("a/b", b"\x00first\xff" * 1000, "image/png")
    assert store.get("a/b").data == b"\x00first\xff" * 1000
    assert store.exists("a/b") is True
    before = store.get("a/b").etag
    store.put("a/b", b"", "image/png")
    assert store.get("a/b").data == b""
    assert store.get("a/b").etag != before


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(store):
    store.put("k", b"x", "text/plain")
    store.delete("k")
    store.delete("k")
    assert store.get("k") is None


def test_a_copy_has_the_same_bytes_and_of_nothing_there_is_none(store):
    store.put("from", b"x", "text/plain")
    assert store.copy("from", "to") is True
    assert store.get("to").data == b"x"
    assert store.copy("nothing", "to") is False
    assert store.get("to").data == b"x"


def test_keys_come_in_order_from_past_the_given_one_and_only_under_the_prefix(store):
    names = [f"in/{number:02}" for number in range(12)]
    for name in reversed(["im/1", *names, "in0", "jn/1"]):
        store.put(name, b"", "text/plain")
    assert list(store.keys("in/")) == names
    assert list(store.keys("in/", after="in/07")) == names[8:]
    assert list(store.keys("in/", after="in/11")) == []
    assert list(store.keys("nothing/")) == []


def test_writing_only_if_missing_succeeds_once(store):
    etag = store.put_if("lease", b"one", "text/plain", etag=None)
    assert etag == store.get("lease").etag
    assert store.put_if("lease", b"two", "text/plain", etag=None) is None
    assert store.get("lease").data == b"one"


def test_writing_only_if_unchanged_needs_the_current_version(store):
    old = store.put_if("lease", b"one", "text/plain", etag=None)
    new = store.put_if("lease", b"two", "text/plain", etag=old)
    assert new
    assert store.put_if("lease", b"three", "text/plain", etag=old) is None
    assert store.get("lease").data == b"two"
    store.delete("lease")
    assert store.put_if("lease", b"four", "text/plain", etag=new) is None
    assert store.get("lease") is None


@pytest.mark.parametrize("held", [False, True])
def test_of_many_conditional_writers_exactly_one_wins(store, held):
    etag = store.put_if("lease", b"old", "text/plain", etag=None) if held else None
    answers = together(
        [lambda n=number: store.put_if("lease", f"{n}".encode(), "text/plain", etag=etag) for number in range(8)]
    )
    (winner,) = [number for number, answer in enumerate(answers) if answer]
    assert store.get("lease").data == str(winner).encode()
    assert store.get("lease").etag == answers[winner]


def test_an_object_ages_by_the_stores_own_clock_and_is_young_again_when_rewritten(store):
    store.put("k", b"x", "text/plain")
    assert 0 <= store.get("k").age < DEADLINE
    old = until(lambda: (age := store.get("k").age) >= 2 and age)
    store.put("k", b"y", "text/plain")
    assert store.get("k").age < old
