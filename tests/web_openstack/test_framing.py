"""A request ends where RFC 9112 says, or it is refused: what we see, another strict parser (h11) sees as well."""

import random
from types import SimpleNamespace

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from web_openstack import framing

ADJUSTMENTS = Adjustments(max_request_header_size=32 * 1024)
SEED, MUTANTS = 9, 3000
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"


def ours(raw):
    """(Method, target, body) of each request, and whether it ended in a refusal."""
    found = []
    while raw:
        parser = framing.Parser(ADJUSTMENTS)
        raw = raw[parser.received(raw) :]
        while raw and not parser.completed:
            raw = raw[parser.received(raw) :]
        if parser.error:
            return found, True
        if not parser.completed:
            break
        found.append((parser.command.encode(), parser.request_uri.encode("latin-1"), parser.get_body_stream().read()))
    return found, False


def theirs(raw):
    """The same of h11, which takes no empty lines before a request; we do, as RFC 9112 says."""
    connection, found = h11.Connection(h11.SERVER), []
    connection.receive_data(skip(raw))
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                found.append((head.method, head.target, bytes(body)))
                rest = skip(connection.trailing_data[0])
                if not rest:
                    return found
                connection = h11.Connection(h11.SERVER)  # the old one would read no further after "close"
                connection.receive_data(rest)
            else:
                return found
    except h11.RemoteProtocolError:
        return found


def skip(raw):
    while raw.startswith(b"\r\n"):
        raw = raw[2:]
    return raw


def mutants(count, seed):
    """Requests with framing headers, changed in a few places."""
    chance = random.Random(seed)
    body = b"5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n"
    headers = [
        b"Transfer-Encoding: chunked",
        b"Content-Length: %d" % len(body),
        b"Content-Length: 5",
        b"Host: y",
        b"Connection: keep-alive",
        b"X-A: b",
    ]
    strange = [
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b":",
        b",",
        b";",
        b"\x0b",
        b"\x85",
        b"_",
        b"chunked",
        b"0",
        b"5",
    ]
    for _ in range(count):
        lines = [b"POST /first HTTP/1.1", b"Host: x", *chance.sample(headers, chance.randint(1, 3))]
        raw = bytearray(b"\r\n".join([*lines, b"", body]))
        for _ in range(chance.randint(1, 3)):
            place, put = chance.randrange(len(raw)), chance.choice(strange)
            raw[place : place + chance.choice([0, 0, 1, len(put)])] = put
        yield bytes(raw) + HIDDEN


def test_no_mutant_is_more_requests_to_us_than_to_another_strict_parser():
    refused = 0
    for raw in mutants(MUTANTS, SEED):
        found, refuses = ours(raw)
        refused += refuses
        seen = theirs(raw)
        assert [one[0::2] for one in found] == [one[0::2] for one in seen[: len(found)]], raw
    print(f"{MUTANTS} mutants, seed {SEED}: {refused} refused, the others framed as h11 frames them")
    assert 0 < refused < MUTANTS


@given(st.lists(st.integers(1, 9), min_size=1), st.binary(min_size=1, max_size=400))
def test_however_its_bytes_come_a_chunked_body_is_the_same(cuts, data):
    parts = [data[start : start + 7] for start in range(0, len(data), 7)]
    raw = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nT: x\r\n\r\n"
    parser = framing.Parser(ADJUSTMENTS)
    rest = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + raw + HIDDEN
    turn = 0
    while not parser.completed:
        piece = rest[: cuts[turn % len(cuts)]]
        rest = rest[parser.received(piece) :]
        turn += 1
    assert parser.error is None
    assert parser.get_body_stream().read() == data
    assert parser.headers["CONTENT_LENGTH"] == str(len(data))
    assert rest == HIDDEN


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"5" * 5000, "longer than 4096"),
        (b"0\r\n" + b"T: x\r\n" * 2000, "trailer is longer"),
        (b"5\n", "CR LF"),
        (b"5\r5\r\n", "CR LF"),
        (b"\r\n5\r\n", "its size"),
        (b"5;\r\n", "its size"),
        (b"5\r\nhellox\r\n", "longer than it says"),
        (b"1\r\nx\r\n" * 103, "more than 100 chunks of less than 64 bytes"),
    ],
)
def test_a_wrong_chunk_is_refused_as_soon_as_it_is_seen(body, said):
    parser = framing.Parser(ADJUSTMENTS)
    parser.received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert parser.received(body) == len(body)
    assert parser.completed
    assert said in parser.error.body


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\n\r\n", 400),
    ],
)
def test_what_waitress_would_take_or_break_at_is_refused(raw, code):
    parser = framing.Parser(ADJUSTMENTS)
    assert parser.received(raw + HIDDEN) == len(raw + HIDDEN)
    assert (parser.completed, parser.error.code) == (True, code)


def test_blanks_around_a_value_never_reach_waitress(monkeypatch):
    given = []
    take = HTTPRequestParser.parse_header
    monkeypatch.setattr(HTTPRequestParser, "parse_header", lambda self, head: (given.append(head), take(self, head)))
    parser = framing.Parser(ADJUSTMENTS)
    parser.received(b"GET / HTTP/1.1\r\nHost:x \t\r\na:" + b" " * 999 + b"b: \t c" + b"\t" * 999 + b"\r\n\r\n")
    assert given == [b"GET / HTTP/1.1\r\nHost:x\r\na:b: \t c\r\n\r\n"]
    assert (parser.completed, parser.error, parser.headers) == (True, None, {"HOST": "x", "A": "b: \t c"})


def test_blanks_around_a_trailers_value_never_reach_its_pattern(monkeypatch):
    asked = []
    pattern = SimpleNamespace(fullmatch=lambda line: asked.append(line) or True)
    monkeypatch.setattr(framing, "HEADER_FIELD_RE", pattern)
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na:" + b" " * 999 + b"b \r\n\r\n"
    assert ours(raw) == ([(b"POST", b"/", b"")], False)
    assert asked == [b"a:b"]


def test_many_chunks_of_a_sensible_size_and_a_few_small_ones_are_taken():
    parser = framing.Parser(ADJUSTMENTS)
    parser.received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    small, large = b"1\r\nx\r\n" * 100, b"40\r\n" + b"y" * 64 + b"\r\n"
    parser.received(small[: len(small) // 2] + b"1000\r\n" + b"z" * 4096 + b"\r\n" + small[len(small) // 2 :])
    for _ in range(1000):
        parser.received(large)
    parser.received(b"0\r\n\r\n")
    assert (parser.error, parser.completed) == (None, True)
    assert len(parser.get_body_stream().read()) == 100 + 4096 + 64_000


PARSED = ["Content-Type", "content-disposition", "ACCEPT", "Prefer", "If-None-Match", "If-Modified-Since", "Range"]


def said_of(*headers):
    """What is wrong with a request that has these headers; None if nothing is."""
    parser = framing.Parser(ADJUSTMENTS)
    parser.received("\r\n".join(["GET / HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    assert parser.completed
    return parser.error and parser.error.body


@pytest.mark.parametrize("name", PARSED)
def test_a_header_whose_parts_are_parsed_is_short(name):
    for size, said in ((1024, None), (1025, f"{name.lower()} is longer than 1024 bytes")):
        assert said_of(f"{name}: {'a' * size}") == said


@pytest.mark.parametrize("name", PARSED[2:])
def test_a_header_whose_parts_are_parsed_is_short_in_however_many_lines(name):
    line = f"{name}: {'a' * 254}"
    assert said_of(*[line] * 4) is None
    assert said_of(*[line] * 4, f"{name}: b") == f"{name.lower()} is longer than 1024 bytes"


@pytest.mark.parametrize("name", ["Content-Type", "content-disposition", "HOST"])
def test_a_header_of_one_value_comes_once(name):
    assert said_of(f"{name}: a", "other: b", f"{name.lower()}: c") == f"more than one {name.lower()}"


@pytest.mark.parametrize(
    ("target", "taken"),
    [("/a", True), ("//a", True), ("*", True), ("http://x/a", True), ("HTTPS://x", True)]
    + [(wrong, False) for wrong in ("a:/metrics", "http:/metrics", "https:metrics", "x/metrics", "x:443", "*a", "?a")]
    + [("/metrics#a", False), ("http://x/#", False)],
)
def test_a_target_is_a_path_or_a_whole_address(target, taken):
    parser = framing.Parser(ADJUSTMENTS)
    parser.received(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (parser.error is None) is taken


def test_nobody_gets_a_tunnel():
    for method, taken in (("CONNECT", False), ("CONNECTED", True), ("connect", False)):
        parser = framing.Parser(ADJUSTMENTS)
        parser.received(f"{method} /page/upload.js HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (parser.error is None) is taken


def test_a_query_is_short():
    for size, said in ((1024, None), (1025, "the query is longer than 1024 bytes")):
        parser = framing.Parser(ADJUSTMENTS)
        parser.received(f"GET /v1/status?{'a' * size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (parser.error and parser.error.body) == said


def test_there_are_only_so_many_lines_of_headers():
    for lines, said in ((framing.LINES - 4, None), (framing.LINES, "more than 128 lines of headers")):
        parser = framing.Parser(ADJUSTMENTS)
        parser.received(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * lines + b"\r\n")
        assert (parser.error and parser.error.body) == said
