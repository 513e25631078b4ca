"""Pages of other sites reach neither emulator: the buckets, queues and instances behind the doors stay theirs."""

import http.client
import os
from urllib.parse import urlsplit

import pytest

from skylens.local import children, environment
from skylens.local.emulators import Emulators
from skylens.local.no_pages import may_ask
from skylens.local.probe import Probe


@pytest.fixture(scope="module")
def emulators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulators")
    made = Emulators(environment.base(os.environ, folder), folder, folder)
    try:
        made.start()
        made.await_ready(Probe(lambda: False))
        yield made
    finally:
        children.kill(made.children, print)
        made.close()


def ask(url, method, path, **headers):
    place = urlsplit(url)
    link = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        link.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return answer.status, {name.lower() for name, _ in answer.getheaders()}
    finally:
        link.close()


PAGES = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8080", "Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Host": "rebound.example"},
]


@pytest.mark.parametrize("headers", PAGES, ids=str)
@pytest.mark.parametrize(
    ("emulator", "method", "path"),
    [
        ("data", "GET", "/a-bucket?list-type=2"),
        ("data", "OPTIONS", "/a-bucket/key"),
        ("data", "PUT", "/a-bucket/key"),
        ("data", "POST", "/_ministack/reset"),
        ("control", "POST", "/?Action=RunInstances"),
        ("control", "POST", "/moto-api/reset"),
    ],
)
def test_no_page_is_answered(emulators, emulator, method, path, headers):
    status, said = ask(getattr(emulators, emulator).url, method, path, **headers)
    assert status == 403
    assert not {name for name in said if name.startswith("access-control")}


@pytest.mark.parametrize(("emulator", "path"), [("data", "/_ministack/health"), ("control", "/moto-api/data.json")])
def test_programs_are_answered_and_so_is_who_types_the_address(emulators, emulator, path):
    url = getattr(emulators, emulator).url
    for headers in ({}, {"Sec_Fetch_Site": "none"}, {"Host": "localhost:80"}):
        assert ask(url, "GET", path, **headers)[0] == 200


@pytest.mark.parametrize(
    ("host", "good"),
    [("127.0.0.1", True), ("[::1]:80", True), ("172.24.4.1:80", True), ("", False), ("a.b:80", False), ("[x", False)],
)
def test_a_host_is_good_when_it_is_an_address(host, good):
    assert may_ask({"host": host}) is good
