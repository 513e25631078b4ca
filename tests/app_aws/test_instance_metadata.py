"""The metadata client speaks IMDSv2, and what it cannot hear is no reason to leave."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

from app_aws import metadata as metadata_module
from app_aws.metadata import Metadata, parse_user_data
from skylens.clock import FakeClock
from skylens.errors import SettingsError, UnavailableError

PREFIX = "/i-0123"
"""An embedded cloud serves many instances, each below a path of its own."""
TAG = "/latest/meta-data/tags/instance/skylens:state"
SPOT = "/latest/meta-data/spot/instance-action"
GROUP = "/latest/meta-data/autoscaling/target-lifecycle-state"


READ_TIMEOUT = ReadTimeoutError(None, "/", "slow")
CONNECT_TIMEOUT = ConnectTimeoutError("nobody")


class Service(ThreadingHTTPServer):
    """IMDSv2 on loopback: ``pages`` by path; a token is good until ``tokens`` forgets it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {"/latest/meta-data/instance-id": "i-0123"}
        self.tokens, self.issued = set(), 0
        self.broken, self.status = False, 500

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}{PREFIX}"


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        assert self.path == f"{PREFIX}/latest/api/token"
        assert int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
        self.server.issued += 1
        token = f"token-{self.server.issued}"
        self.server.tokens.add(token)
        self.answer(200, token)

    def do_GET(self):
        if self.server.broken:
            self.answer(self.server.status, "broken")
        elif self.headers["X-aws-ec2-metadata-token"] not in self.server.tokens:
            self.answer(401, "no token")
        elif self.path.removeprefix(PREFIX) not in self.server.pages:
            self.answer(404, "nothing here")
        else:
            self.answer(200, self.server.pages[self.path.removeprefix(PREFIX)])

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def service():
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def metadata(service, clock):
    return Metadata(service.address, clock.clock())


def test_it_knows_the_instance(metadata):
    assert metadata.instance_id() == "i-0123"


@pytest.mark.parametrize(
    ("pages", "notice"),
    [
        ({}, None),
        ({TAG: "draining"}, "draining"),
        ({TAG: "draining\n"}, "draining"),
        ({TAG: "active"}, None),
        ({TAG: "resident"}, "resident"),
        ({TAG: "resident", SPOT: "{}"}, "spot"),
        ({SPOT: '{"action": "terminate", "time": "2030-01-01T00:00:00Z"}'}, "spot"),
        ({GROUP: "InService"}, None),
        ({GROUP: "Terminated"}, "autoscaling"),
        ({TAG: "draining", GROUP: "Terminated"}, "autoscaling"),
        ({TAG: "draining", GROUP: "Terminated", SPOT: "{}"}, "spot"),
    ],
)
def test_a_notice_is_a_reason_and_the_most_urgent_comes_first(service, metadata, pages, notice):
    service.pages.update(pages)
    assert metadata.notice() == notice


def test_a_resident_stays_one_while_the_metadata_are_silent(service, metadata):
    service.pages[TAG] = "resident"
    assert metadata.notice() == "resident"
    service.broken = True
    assert metadata.notice() == "resident"
    service.broken = False
    service.pages[TAG] = "draining"
    assert metadata.notice() == "draining"


def test_one_token_serves_many_questions(service, metadata):
    for _ in range(3):
        metadata.notice()
    assert service.issued == 1


def test_a_token_is_renewed_before_it_ends(service, metadata, clock):
    metadata.notice()
    clock.sleep(3 * 3600)
    metadata.notice()
    assert service.issued == 2


def test_a_token_refused_early_is_renewed_at_once(service, metadata):
    service.pages[TAG] = "draining"
    assert metadata.notice() == "draining"
    service.tokens.clear()
    assert metadata.notice() == "draining"


def usual(service, clock, monkeypatch):
    """The client of a machine where no endpoint is set, and the usual one is the service's."""
    monkeypatch.setattr(metadata_module, "ENDPOINT", service.address)
    return Metadata("", clock.clock())


def test_a_plain_machine_has_no_instance_and_no_notice(clock, monkeypatch):
    with Service() as gone:
        nothing = usual(gone, clock, monkeypatch)
    began = clock.now()
    assert nothing.instance_id() is None
    assert nothing.notice() is None
    assert clock.now() == began, "it waited for nobody"


def test_a_service_that_knows_no_tokens_is_not_amazons(service, clock, monkeypatch):
    service.broken, service.status = True, 405
    assert usual(service, clock, monkeypatch).instance_id() is None


def failing(clock, errors):
    """A client of the usual endpoint that raises each of ``errors``, or answers it as a status, then answers well."""
    answers = iter(errors)

    def ask(method, url, headers):
        error = next(answers, None)
        if isinstance(error, Exception):
            raise error
        return urllib3.HTTPResponse(b"" if error else b"i-0123", status=error or 200)

    return Metadata("", clock.clock(), ask)


@pytest.mark.parametrize("error", [READ_TIMEOUT, CONNECT_TIMEOUT, 503, 429])
def test_a_slow_or_broken_answer_at_boot_is_asked_for_again(clock, error):
    began = clock.now()
    assert failing(clock, [error] * 20).instance_id() == "i-0123"
    assert clock.now() - began == 20


@pytest.mark.parametrize("error", [READ_TIMEOUT, 503, 429])
def test_one_that_stays_silent_refuses_to_start(clock, error):
    began = clock.now()
    with pytest.raises(UnavailableError, match=r"169\.254\.169\.254 cannot be read"):
        failing(clock, [error] * 1000).instance_id()
    assert 30 <= clock.now() - began < 40


def test_a_machine_whose_network_swallows_the_question_is_a_plain_one(clock):
    assert failing(clock, [CONNECT_TIMEOUT] * 1000).instance_id() is None


def test_an_endpoint_that_is_set_must_answer(clock, service):
    del service.pages["/latest/meta-data/instance-id"]
    with pytest.raises(UnavailableError, match="know no instance-id"):
        Metadata(service.address, clock.clock()).instance_id()
    with Service() as gone:
        address = gone.address
    with pytest.raises(UnavailableError, match="cannot be read"):
        Metadata(address, clock.clock()).instance_id()


def test_user_data_are_asked_for_again_as_well(clock):
    with pytest.raises(SettingsError, match="i-0123"):
        failing(clock, [503] * 20).user_data()


def test_a_failing_service_is_no_notice(service, metadata):
    service.pages[TAG] = "draining"
    service.broken = True
    assert metadata.notice() is None
    service.broken = False
    assert metadata.notice() == "draining"


def test_user_data_are_settings(service, metadata):
    service.pages["/latest/user-data"] = "SKYLENS_DEPLOYMENT=demo\n\n# a comment\nSKYLENS_SLOTS=4\n"
    assert metadata.user_data() == {"SKYLENS_DEPLOYMENT": "demo", "SKYLENS_SLOTS": "4"}


def test_no_user_data_are_no_settings(metadata):
    assert metadata.user_data() == {}


def test_user_data_that_cannot_be_read_refuse_to_start(service, metadata):
    service.broken = True
    with pytest.raises(UnavailableError, match="cannot be read"):
        metadata.user_data()


@pytest.mark.parametrize("line", ["#!/bin/sh -c\nrm -r /", "SKYLENS_SLOTS 4", "PATH=/tmp", "skylens_slots=4"])
def test_a_bad_line_is_named(line):
    with pytest.raises(SettingsError, match=r"line [12] of the user data must read SKYLENS_NAME=value"):
        parse_user_data(line)


def test_values_keep_their_equals_signs():
    assert parse_user_data("SKYLENS_MODEL=a=b  ") == {"SKYLENS_MODEL": "a=b"}
