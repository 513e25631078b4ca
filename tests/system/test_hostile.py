"""Thousands of bad inputs at once: each is refused or answered, nothing dies, nothing is told that should not be."""

import json
import random
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

import damaged
import hostile_http
import hostile_messages
import psutil
import pytest
import requests
import smuggling
import wrong_values
from bad_inputs import PNG, file, sample
from harness import Cloud

from app_aws.registry import BUNDLED

SEED = 1
MESSAGES = 120
"""Of each kind, beside those that are no message at all."""
GROWTH = 400 * 1024**2
"""Bytes that a process may grow by: pictures of 49 million pixels are decoded on the way, and some memory is kept."""
SECRETS = (
    "Traceback",
    'File "',
    "site-packages",
    "PIL.",
    "botocore",
    "falcon.",
    "waitress",
    "obstore",
    "msgspec",
    "AKIA",
)
SETTLED = 150
"""Seconds: five deliveries of what breaks a worker, and a margin."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """One cloud for all: what one test leaves broken, the next one shows."""
    with Cloud(tmp_path_factory.mktemp("hostile"), "--max", "1", "--boot", "0", "--set", "scaler.minimum=1") as running:
        running.wait(lambda: running.state.workers, 60, "a worker is there")
        assert good(running) == 200
        yield running


@pytest.fixture(autouse=True)
def nobody_dies(cloud):
    """After each test the processes are the same, none has grown, and a good image is answered."""
    before = pids(cloud)
    memory = {pid: psutil.Process(pid).memory_info().rss for pid in before}
    yield
    assert pids(cloud) == before, "a process died"
    assert good(cloud) == 200
    for pid, early in memory.items():
        assert psutil.Process(pid).memory_info().rss - early < GROWTH
    assert "http.bug" not in cloud.log("web-1")


def pids(cloud):
    state = cloud.state
    return [state.web[0].pid, state.scaler.pid, *state.workers.values()]


def good(cloud):
    data = file(sample(), "PNG")
    return requests.post(
        f"{cloud.url}/v1/images", data=data, headers=PNG | {"Prefer": "wait=60"}, timeout=90
    ).status_code


def address(cloud):
    parts = urlsplit(cloud.url)
    return parts.hostname, parts.port


@pytest.mark.system
def test_no_bytes_are_two_requests_where_they_should_be_one(cloud):
    corpus = smuggling.corpus()
    with ThreadPoolExecutor(8) as clients:
        came = list(clients.map(lambda one: smuggling.exchange(address(cloud), one[1]), corpus))
    wrong = []
    for (name, _, right), raw in zip(corpus, came, strict=True):
        if raw is None:  # refused before all of it was read
            assert right == smuggling.REFUSED, name
            continue
        found = smuggling.answers(raw)
        statuses = [status for status, _ in found]
        ids = [headers.get("x-request-id") for _, headers in found]
        if right == smuggling.REFUSED:
            fine = len(found) == 1 and 400 <= statuses[0] < 600 and found[0][1]["connection"] == "close"
        else:
            fine = len(found) == 2 and ids[1] == "last" and statuses[0] != 500
        if not fine or "hidden" in ids or any(word.encode() in raw for word in SECRETS):
            wrong.append((name[:120], right, found))
    print(f"{len(corpus)} ways to smuggle a request")
    assert wrong == []
    assert '"hidden"' not in cloud.log("web-1")


def speak(cloud, one):
    """The answer's status, headers and body; None when the server closed before it had read everything."""
    _, method, target, headers, body = one
    try:
        with socket.create_connection(address(cloud), timeout=60) as link:
            link.sendall(hostile_http.wire(method, target, headers, body))
            answer = HTTPResponse(link, method=method.decode())
            answer.begin()
            return answer.status, answer.getheaders(), answer.read()
    except (ConnectionResetError, BrokenPipeError):
        return None
    except HTTPException as error:
        return repr(error)


def fault(one, answer):
    """What is wrong with an answer; nothing if it is as it should be."""
    if not isinstance(answer, tuple):
        return "" if answer is None and len(one[4]) > 65536 else answer or "no answer"
    status, headers, body = answer
    named, text = {name.lower(): value for name, value in headers}, body.decode(errors="replace")
    kind = named.get("content-type", "")
    faults = {
        f"status {status}": status >= 500 and status not in {501, 503},
        f"headers {headers}": "x-injected" in named or len(named) != len(headers),
        f"told {text[:300]}": status >= 400 and any(word in text for word in SECRETS),
        f"as {kind}": status >= 400 and body and kind not in {"application/problem+json", "text/plain; charset=utf-8"},
        f"said {text}": kind == "application/problem+json" and body and len(json.loads(body)["detail"]) < 10,
    }
    return ", ".join(what for what, found in faults.items() if found)


def throw(cloud, inputs):
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda one: speak(cloud, one), inputs))
    wrong = [(one[0], found) for one, answer in zip(inputs, answers, strict=True) if (found := fault(one, answer))]
    statuses = Counter(answer[0] if isinstance(answer, tuple) else "closed" for answer in answers)
    print(f"{len(inputs)} bad requests: {dict(statuses.most_common())}")
    assert wrong == []
    assert sum(statuses[status] for status in (400, 413, 415, 422)) > len(inputs) // 4


@pytest.mark.system
def test_no_request_breaks_the_door_or_a_worker(cloud):
    throw(cloud, hostile_http.generated(SEED))
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), SETTLED, "every image is answered")
    assert cloud.messages("requests-dead") == (0, 0)


def send(cloud, queue, bodies):
    """Put on a queue what SQS would carry; how many of them."""
    url = cloud.sqs.get_queue_url(QueueName=f"{cloud.state.deployment}-{queue}")["QueueUrl"]
    sent = 0
    for body in filter(carried, bodies):
        cloud.sqs.send_message(QueueUrl=url, MessageBody=body)
        sent += 1
    return sent


def carried(body):
    """Whether SQS takes these characters, and so many."""
    return 0 < len(body.encode(errors="replace")) < 250_000 and all(
        char in "\t\n\r" or " " <= char < "\ufffe" for char in body
    )


def counted(cloud, tier, event):
    return sum(record.get("event") == event for record in cloud.records(tier))


@pytest.mark.system
def test_no_request_message_breaks_a_worker(cloud):
    replies = f"{cloud.state.deployment}-replies-{cloud.state.web[0].name}"

    def make(number):
        return hostile_messages.request(number, replies, rides=bool(number % 3))

    (worker,) = cloud.state.workers
    name = f"worker-{worker}"
    before = counted(cloud, name, "image.done")
    sent = send(cloud, "requests", hostile_messages.damaged(make, MESSAGES, SEED))
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), SETTLED, "the worker has dealt with every request")

    def dealt_with():
        return counted(cloud, name, "image.done") - before, counted(cloud, name, "request.unreadable")

    cloud.wait(lambda: sum(dealt_with()) >= sent, 60, "each is in its log, which is written after the queue is told")
    done, unreadable = dealt_with()
    print(f"{sent} bad requests on the queue: {done} answered, {unreadable} set aside")
    assert done + unreadable >= sent
    assert unreadable > sent // 3
    cloud.wait(lambda: any("unreadable" in key for key in cloud.keys("state")), 60, "the operator sees dead letters")


@pytest.mark.system
def test_no_reply_breaks_the_door(cloud):
    queue = f"replies-{cloud.state.web[0].name}"
    sent = send(cloud, queue, hostile_messages.damaged(hostile_messages.reply, MESSAGES, SEED))
    cloud.wait(lambda: cloud.messages(queue) == (0, 0), SETTLED, "the door has dealt with every reply")
    unreadable = counted(cloud, "web-1", "replies.unreadable")
    print(f"{sent} bad replies: {unreadable} unreadable")
    assert sent // 3 < unreadable <= sent


@pytest.mark.system
def test_no_event_breaks_the_autoscaler(cloud):
    sent = send(cloud, "events", hostile_messages.damaged(hostile_messages.event, MESSAGES, SEED))
    cloud.wait(lambda: cloud.messages("events")[0] == 0, SETTLED, "the autoscaler has heard every event")
    cloud.wait(lambda: counted(cloud, "scaler", "events.unreadable") > sent // 3, 30, "it said what it could not read")
    print(f"{sent} bad events: {counted(cloud, 'scaler', 'events.unreadable')} unreadable")
    assert len(cloud.instances()) == 1


@pytest.mark.system
def test_no_report_breaks_the_door(cloud):
    reports = list(hostile_messages.damaged(lambda _: hostile_messages.report(), MESSAGES, SEED))
    found = Counter()
    for body in reports:
        raw = body.encode(errors="surrogatepass")
        answer = requests.put(f"{cloud.state.web[0].internal}/internal/fleet", data=raw, timeout=30)
        found[answer.status_code] += 1
        assert requests.get(f"{cloud.url}/v1/status", timeout=30).status_code == 200
    print(f"{len(reports)} bad reports: {dict(found)}")
    assert set(found) == {204, 400}
    reported = time.time()
    cloud.wait(
        lambda: requests.get(f"{cloud.url}/v1/status", timeout=30).json()["fleet"]["at"] > reported,
        30,
        "the fleet is told",
    )


@pytest.mark.system
def test_there_are_more_than_two_thousand_and_they_are_the_same_each_time():
    text, source = (BUNDLED / "cifar10" / "model.toml").read_text("utf-8"), random.Random(SEED).randbytes(9000)
    kinds = {
        "framing": smuggling.corpus(),
        "http": hostile_http.generated(SEED),
        "events": list(hostile_messages.damaged(hostile_messages.event, MESSAGES, SEED)),
        "settings": list(wrong_values.generated(SEED)),
        "manifests": list(damaged.manifests(text, 100, SEED)),
        "networks": list(damaged.networks(source, 40, SEED)),
    }
    counts = {name: len(some) for name, some in kinds.items()}
    counts["events"] *= 4  # requests, replies and reports are as many
    print(f"seed {SEED}: {counts}, {sum(counts.values())} in all")
    assert sum(counts.values()) >= 2000
    assert [one[:3] for one in hostile_http.generated(SEED)] == [one[:3] for one in kinds["http"]]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_more_requests(cloud):
    for seed in range(100, 110):
        print(f"seed {seed}")
        throw(cloud, hostile_http.generated(seed, 5))
    cloud.wait(lambda: cloud.messages("requests") == (0, 0), SETTLED, "every image is answered")
