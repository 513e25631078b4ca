"""What crosses a queue is read as it was written, by this release and the ones around it."""

import json
from pathlib import Path

import msgspec
import pytest

from skylens import errors, messages
from skylens.errors import MessageError, SkylensError, by_code
from skylens.messages import (
    Failure,
    Label,
    Model,
    Reply,
    Request,
    Result,
    Timings,
    WorkerEvent,
    decode,
    encode,
    encode_request,
    moment,
    read,
)

GOLDEN = Path(__file__).parent / "golden"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RESULT = Result(
    id=ID,
    name="cat.png",
    model=Model(name="cifar10", version="1"),
    labels=(Label(label="cat", score=0.75), Label(label="dog", score=0.125)),
    timings=Timings(
        received=moment(1_700_000_000.0),
        queued=moment(1_700_000_000.25),
        started=moment(1_700_000_000.5),
        finished=moment(1_700_000_001.0),
    ),
    digest=DIGEST,
)
REQUEST = Request(
    id=ID,
    key=f"default/{ID}",
    digest=DIGEST,
    reply_to="skylens-replies-web-1",
    received=1_700_000_000.0,
    deadline=1_700_001_800.0,
    name="cat.png",
    tenant="acme",
    top=3,
    trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
MESSAGES = {
    "request-v1": REQUEST,
    "request-least-v1": Request(id=ID, key="k", digest=DIGEST, reply_to="q", received=1.0, deadline=2.0),
    "reply-result-v1": Reply(id=ID, tenant="acme", name="cat.png", worker="i-0abc", result=RESULT),
    "reply-failure-v1": Reply(
        id=ID, tenant="acme", name="cat.png", worker="i-0abc", failure=Failure(code="undecodable-image", detail="cut")
    ),
    "worker-event-v1": WorkerEvent(
        kind="draining",
        instance="i-0abc",
        at=1_700_000_000.0,
        in_flight=2,
        slots=8,
        done=40,
        service_times=(0.25, 0.5),
        reason="Spot notice",
    ),
    "worker-event-cpu-v1": WorkerEvent(
        kind="heartbeat", instance="i-0abc", at=1_700_000_000.0, in_flight=2, slots=8, done=40, cpu=62.5
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_and_read_as_the_golden_file_of_its_version_says(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_bytes())
    message = MESSAGES[name]
    assert json.loads(encode(message)) == golden
    assert golden["v"] == messages.VERSION
    assert read(type(message), json.dumps(golden)) == message


def test_every_golden_file_is_tested_and_every_message_has_one():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(MESSAGES)
    assert {type(message) for message in MESSAGES.values()} == set(messages.Message.__subclasses__())


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_of_a_newer_minor_version_are_ignored(name):
    message = MESSAGES[name]
    newer = json.loads(encode(message)) | {"colour": "blue", "v": 1}
    assert read(type(message), json.dumps(newer)) == message


@pytest.mark.parametrize("version", [0, -1, 2, 99])
@pytest.mark.parametrize("name", MESSAGES)
def test_another_major_version_is_refused_by_number_even_if_it_looks_different(name, version):
    with pytest.raises(MessageError, match=f"major version {version};.* reads 1 to 1"):
        read(type(MESSAGES[name]), json.dumps({"v": version, "everything": "else"}))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"v": "1"}', b'{"id": 7}', '{"v":1}', b"{}" * 2]
)
def test_a_damaged_message_is_a_message_error(data):
    with pytest.raises(MessageError, match="not a "):
        read(Request, data)


def test_a_wrong_field_is_named():
    broken = json.loads(encode(REQUEST)) | {"deadline": "soon"}
    with pytest.raises(MessageError, match="deadline"):
        read(Request, json.dumps(broken))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "../x"),
        ("tenant", ""),
        ("key", "default/../x"),
        ("reply_to", "https://elsewhere"),
        ("received", 1e300),
        ("name", "\uffff"),
        ("top", -1),
        ("digest", "\x1b]0;owned\x07"),
    ],
)
def test_what_could_not_be_worked_or_answered_is_a_message_error(field, value):
    broken = json.loads(encode(REQUEST)) | {field: value}
    with pytest.raises(MessageError, match=field):
        read(Request, json.dumps(broken))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", [{"label": "cat", "score": 0.5}] * 101),
        ("labels", [{"label": "x" * 1025, "score": 0.5}]),
        ("timings", json.loads(encode(RESULT.timings)) | {"finished": "2023-11-14T22:13:21"}),
    ],
)
def test_what_would_fill_its_readers_or_break_their_clocks_is_a_message_error(field, value):
    reply = {"v": 1, "id": ID, "tenant": "acme", "result": json.loads(encode(RESULT)) | {field: value}}
    with pytest.raises(MessageError, match=field):
        read(Reply, json.dumps(reply))


def test_what_is_said_of_a_damaged_message_is_short():
    event = {"v": 1, "kind": "x" * 100_000, "instance": "i-1", "at": 1.0}
    with pytest.raises(MessageError, match="kind") as raised:
        read(WorkerEvent, json.dumps(event))
    assert len(raised.value.detail) < 400


def test_a_reply_without_an_answer_is_a_message_error():
    with pytest.raises(MessageError, match="a result or a failure"):
        read(Reply, json.dumps({"v": 1, "id": ID, "tenant": "acme"}))


@pytest.mark.parametrize("text", ["a\ufffeb", "\uffff", "\uffff\ufffe" * 3, "\ufffd\U0001ffff"])
def test_whatever_text_a_message_has_sqs_carries_it(text):
    reply = Reply(id="1", tenant="t", failure=Failure(code="x", detail=text))
    body = encode(reply).decode()
    assert not {"\ufffe", "\uffff"} & set(body)
    assert read(Reply, body) == reply


def test_a_request_never_exceeds_its_limit():
    assert len(encode_request(REQUEST)) < messages.REQUEST_LIMIT
    cut = read(messages.Request, encode_request(msgspec.structs.replace(REQUEST, name='"' * 1024)))
    assert 0 < len(cut.name) < 512
    with pytest.raises(MessageError, match="at most 1024"):
        encode_request(msgspec.structs.replace(REQUEST, key="k" * 1024))


def test_the_longest_name_and_tenant_still_fit():
    longest = msgspec.structs.replace(REQUEST, name="\N{GRINNING FACE}" * 63, tenant="t" * 63, key=f"{'t' * 63}/{ID}")
    assert len(encode_request(longest)) <= messages.REQUEST_LIMIT


def test_messages_cannot_be_changed():
    with pytest.raises(AttributeError):
        REQUEST.top = 9


CODES = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_an_error_crosses_the_queue_and_comes_back_as_itself(kind):
    failure = decode(Failure, encode(Failure.of(kind("what was wrong"))))
    again = failure.error()
    assert type(again) is kind
    assert (again.detail, again.status, again.code) == ("what was wrong", kind.status, kind.code)


def test_no_two_errors_share_a_code():
    assert len({kind.code for kind in CODES}) == len(CODES)


def test_a_code_of_a_newer_release_is_a_plain_failure():
    assert by_code("invented-later") is SkylensError


def test_an_error_without_detail_says_its_title():
    assert errors.PoisonImageError().detail == errors.PoisonImageError.title
