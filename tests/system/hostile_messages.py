"""Messages of each kind, damaged by a seed: fields of wrong types, missing, huge, deep; other versions; bytes changed.

Each is text that SQS would carry. What is left valid is right to be worked.
"""

import copy
import json
import random
import time

from bad_inputs import file, sample

from skylens.messages import (
    Failure,
    FleetReport,
    Label,
    Model,
    Reply,
    Request,
    Result,
    Timings,
    Worker,
    WorkerEvent,
    encode,
    moment,
)

DEEP = json.loads("[" * 400 + "]" * 400)
STRANGE = (
    None,
    True,
    [],
    {},
    DEEP,
    "",
    "x",
    "x" * 20_000,
    "../../x",
    "a/b",
    "\u0000",
    "\uffff",
    "\ud800",
    "9999",
    "AAAA",
    "!!!!",
    0,
    -1,
    1.5,
    10**30,
    -(10**30),
    1e308,
    -1e308,
    10**400,
)
RAW = (
    "",
    "null",
    "[]",
    "{",
    "{}",
    '"x"',
    "NaN",
    "Infinity",
    "[" * 100_000,
    '{"v":1}',
    '{"v":2}',
    '{"v":-1}',
    '{"v":1e999}',
)
RAW += ('{"v":"1"}', '{"v":1,"v":99}', '{"v":99,"id":{}}', "\ufeff{}", '{"v":1}{"v":1}', "{'v': 1}", '{"v":1,"id":NaN}')


def request(number, reply_to, *, rides):
    now = time.time()
    return Request(
        id=f"hostile-{number}",
        key=f"default/hostile-{number}",
        digest="",
        reply_to=reply_to,
        received=now,
        deadline=now + 600,
        name="a.png",
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=file(sample(size=(9, 7)), "PNG") if rides else b"",
    )


def reply(number):
    at = moment(time.time())
    if number % 2:
        failure = Failure(code="undecodable-image", detail="cut")
        return Reply(id=f"hostile-{number}", tenant="default", worker="i-1", failure=failure)
    result = Result(
        id=f"hostile-{number}",
        name="a.png",
        model=Model(name="m", version="1"),
        labels=(Label(label="cat", score=0.9),),
        timings=Timings(received=at, queued=at, started=at, finished=at),
        digest="0" * 64,
    )
    return Reply(id=f"hostile-{number}", tenant="default", worker="i-1", result=result)


def event(number):
    kind = ("launched", "ready", "heartbeat", "draining", "stopped")[number % 5]
    return WorkerEvent(
        kind=kind, instance=f"i-{number}", at=time.time(), slots=4, in_flight=1, done=3, service_times=(0.1,), cpu=50.0
    )


def report():
    worker = Worker(instance="i-1", state="idle", age=1.0, cpu=1.0)
    return FleetReport(
        at=time.time(),
        policy="greedy",
        desired=1,
        minimum=0,
        maximum=1,
        reason="x",
        workers=(worker,),
        boot_seconds=1.0,
        slots=4,
    )


def places(value, path=()):
    """The path of each value inside, the structs' own fields and those below them."""
    found = [path] if path else []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        found += places(one, (*path, key))
    return found


def put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    if new is Ellipsis:
        del value[path[-1]]
    else:
        value[path[-1]] = new


def damaged(make, count, seed):
    """``make(number)``: a right message. First what is no message at all, then ``count`` with one or two faults."""
    chance = random.Random(seed)
    yield from RAW
    for number in range(count):
        text = encode(make(number)).decode()
        if number % 5 == 0:
            yield cut(text, chance)
            continue
        value = json.loads(text)
        for _ in range(chance.randint(1, 2)):
            put(value, chance.choice(places(value)), copy.deepcopy(chance.choice([*STRANGE, Ellipsis])))
        yield json.dumps(value)


def cut(text, chance):
    """Characters changed, lost, doubled."""
    made = list(text)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(made))
        made[place : place + chance.choice([0, 1, 1, 5])] = chance.choice(
            ["", "{", '"', "\\", "0", "e9", ",", ":", "\u00e9"]
        )
    return "".join(made)
