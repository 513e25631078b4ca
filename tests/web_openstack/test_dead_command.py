"""``skylens dead``: what no worker survived is listed, shown, queued again and put away."""

import argparse
import json

import pytest

from skylens.cli import parser
from skylens.clock import FakeClock
from skylens.errors import PoisonImageError, SkylensError, UndecodableImageError
from skylens.fakes import FakeQueue, FakeStore, aws_error
from skylens.messages import Failure, Reply, Request, decode, encode
from skylens.store import RECORD
from web_openstack.dead_cli import COMMANDS
from web_openstack.dead_records import DeadRecords
from web_openstack.deadletters import DeadLetter

DAY = 86400.0
FIRST = "default/0198a"
POISON = PoisonImageError()


@pytest.fixture
def place():
    fake = FakeClock()
    clock = fake.clock()
    made = DeadRecords(FakeStore(clock), FakeStore(clock), FakeStore(clock), FakeQueue(clock), clock, DAY)
    bury(made, FIRST)
    return made


def bury(place, name, data=b"image", failure=POISON):
    """What the door leaves of a request that no worker survived."""
    tenant, _, job = name.partition("/")
    now = place.clock.now()
    request = Request(
        id=job,
        key=name,
        digest="",
        reply_to="r",
        received=now,
        deadline=now + 9,
        name="a.png",
        tenant=tenant,
        data=data,
    )
    letter = DeadLetter(at=now, reason="no worker survived it", body=encode(request).decode())
    place.state.put(f"dead/{name}", encode(letter), "application/json")
    reply = Reply(id=job, tenant=tenant, failure=Failure.of(failure))
    place.outputs.put(f"{name}.json", encode(reply), "application/json")


def run(place, *words):
    args = parser("dead").parse_args(["dead", *words])
    return COMMANDS[args.action](place, args)


def queued(place):
    return [decode(Request, message.body) for message in place.requests.messages.values()]


def test_they_are_listed_the_oldest_first(place, capsys):
    bury(place, "another/0197")
    assert run(place, "list", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["letter"] for line in lines] == ["another/0197", FIRST] or lines[0]["at"] <= lines[1]["at"]
    run(place, "list")
    assert "a.png" in capsys.readouterr().out
    run(place, "drop", "--all")
    capsys.readouterr()
    assert run(place, "list") == 0
    assert capsys.readouterr().out == "There are none.\n"


def test_one_is_shown_without_its_bytes(place, capsys):
    run(place, "show", FIRST)
    said = capsys.readouterr().out
    assert "5 bytes" in said
    assert "no worker survived it" in said
    assert "aW1hZ2U" not in said


def test_one_that_cannot_be_read_is_shown_as_it_is_and_not_queued(place, capsys):
    letter = DeadLetter(at=0.0, reason="damaged", body="{")
    place.state.put("dead/unreadable/1.000", encode(letter), "application/json")
    run(place, "show", "unreadable/1.000")
    assert "'{'" in capsys.readouterr().out
    assert run(place, "retry", "unreadable/1.000") == 1
    assert queued(place) == []


def test_a_damaged_record_hides_no_other(place, capsys):
    place.state.put("dead/default/\x1b[31m", b"{", "application/json")
    run(place, "list")
    said = capsys.readouterr().out
    assert "a.png" in said
    assert "damaged" in said
    assert run(place, "retry", "--all") == 1
    assert len(queued(place)) == 1
    assert run(place, "drop", "--all") == 0
    assert "\x1b" not in "".join(capsys.readouterr())
    assert place.state.objects == {}


def test_a_tenant_may_be_called_unreadable(place):
    bury(place, "unreadable/0198a")
    assert run(place, "retry", "unreadable/0198a") == 0
    assert [request.tenant for request in queued(place)] == ["unreadable"]


def test_one_is_queued_again_to_be_worked_alone_and_its_answer_can_be_stored(place):
    assert run(place, "retry", FIRST) == 0
    (request,) = queued(place)
    assert (request.id, request.suspect, request.data) == ("0198a", True, b"image")
    assert request.deadline == place.clock.now() + DAY
    assert [message.group for message in place.requests.messages.values()] == ["default"]
    assert place.outputs.objects == {}
    assert place.state.objects == {}


@pytest.mark.parametrize("call", ["delete", "send", "forget"])
def test_a_retry_that_broke_off_anywhere_is_made_whole_by_another(place, call):
    store = {"delete": place.outputs, "send": place.requests, "forget": place.state}[call]
    store.script.fail("send" if call == "send" else "delete", aws_error("SlowDown", 503))
    with pytest.raises(Exception, match="SlowDown"):
        place.retry(FIRST)
    place.retry(FIRST)
    assert {request.id for request in queued(place)} == {"0198a"}
    assert (place.outputs.objects, place.state.objects) == ({}, {})


def test_what_would_lead_to_nothing_is_refused_and_kept(place, capsys):
    bury(place, "default/answered", failure=UndecodableImageError("damaged"))
    bury(place, "default/gone", data=b"")
    assert run(place, "retry", "default/answered", "default/gone", "default/never", FIRST) == 1
    said = capsys.readouterr()
    for words in ("answered all the same", "is gone", "there is no dead letter 'default/never'"):
        assert words in said.err
    assert said.out == f"{FIRST}: queued again\n"
    assert set(place.state.objects) == {"dead/default/answered", "dead/default/gone"}


def test_one_whose_answer_nobody_could_fetch_is_refused(place):
    late = Request(id="x", key="k", digest="", reply_to="r", received=0.0, deadline=0.0, data=b"1")
    letter = DeadLetter(at=0.0, reason="", body=encode(late).decode())
    place.state.put("dead/default/x", encode(letter), "application/json")
    with pytest.raises(SkylensError, match="older than results are kept"):
        place.retry("default/x")


def test_dropping_leaves_image_and_answer(place):
    assert run(place, "drop", FIRST) == 0
    assert place.state.objects == {}
    assert len(place.outputs.objects) == 1
    assert run(place, "drop", FIRST) == 1


@pytest.mark.parametrize("damaged", [b"nonsense", bytes(RECORD + 1)])
def test_an_outcome_that_cannot_be_read_makes_room_for_a_retry(place, damaged):
    place.outputs.put(f"{FIRST}.json", damaged, "application/json")
    assert run(place, "retry", FIRST) == 0
    assert [request.id for request in queued(place)] == ["0198a"]
    assert place.outputs.objects == {}


@pytest.mark.parametrize("words", [["retry"], ["drop"], ["show"], ["retry", "--all", FIRST]])
def test_nothing_happens_to_letters_that_nobody_named(place, words, capsys):
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        run(place, *words)
    capsys.readouterr()
    assert len(place.state.objects) == 1


def test_what_others_wrote_is_shown_without_control_characters(place, capsys):
    letter = DeadLetter(at=place.clock.now(), reason="no worker\x1b[2J survived it", body='{"id":"\x1b]0;owned\x07"}')
    place.state.put(f"dead/{FIRST}", encode(letter), "application/json")
    assert (run(place, "show", FIRST), run(place, "list")) == (0, 0)
    said = capsys.readouterr().out
    assert "no worker\\x1b[2J survived it" in said
    assert "owned" in said
    assert not {"\x1b", "\x07"} & set(said)
