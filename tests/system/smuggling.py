"""What an attacker sends to make two servers disagree about where a request ends: (name, bytes, what is right).

``REFUSED``: one answer of 400 or above, and the connection is closed. ``ONE``: one answer, and the next request on the
connection is answered as well. The request hidden inside is never answered: it says who it is.
"""

import socket

REFUSED, ONE = "refused", "one"
HIDDEN = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: hidden\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: last\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"\r\nhello\r\n0\r\n\r\n" + HIDDEN
LINES = b"\r\n"


def request(*headers, body=b"", first=b"POST /v1/images HTTP/1.1", host=b"Host: localhost"):
    return LINES.join([first, *([host] if host else []), *headers, b"", b""]) + body


def length(size):
    return b"Content-Length: %d" % size


def framings():
    """Two lengths in one request, and lengths that are none."""
    whole = b"0\r\n\r\n" + HIDDEN
    yield "length, then chunks", request(length(len(whole)), CHUNKED, body=whole), REFUSED
    yield "chunks, then length", request(CHUNKED, length(4), body=b"5c\r\n" + HIDDEN + b"0\r\n\r\n"), REFUSED
    for coding in (
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: , chunked",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x0c",
        b"Transfer-Encoding: chunked\x85",
        b"Transfer-Encoding: \xa0chunked",
        b"Transfer-Encoding: 'chunked'",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunk",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding\r\n : chunked",
        b"X: x\nTransfer-Encoding: chunked",
        b"X: x\rTransfer-Encoding: chunked",
        b"X: x\r\r\nTransfer-Encoding: chunked",
        b"\x00Transfer-Encoding: chunked",
        b"Transfer-Encoding\x00: chunked",
        b"Transfer-Encoding: chunked\x00",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"tRANSFER-eNCODING: CHUNKED",
    ):
        name = coding.decode("latin-1")
        yield f"{name!r}, length after", request(coding, length(len(whole)), body=whole), REFUSED
        yield f"{name!r}, length before", request(length(len(whole)), coding, body=whole), REFUSED
        if name != "tRANSFER-eNCODING: CHUNKED":
            yield f"{name!r}, alone", request(coding, body=whole), REFUSED
    yield "an underscore", request(b"Transfer_Encoding: chunked", length(len(whole)), body=whole), ONE
    body = b"x" * 5 + HIDDEN
    for size in ("+5", "-5", "0x5", "5 5", "5,5", "5, 6", "5;", "5.0", "5e0", "five", "", "\u0665", "5\x00", "5_0"):
        yield f"length {size!r}", request(b"Content-Length: " + size.encode(), body=body), REFUSED
    yield "length of 5,000 digits", request(b"Content-Length: " + b"5" * 5000, body=body), REFUSED
    yield "length beyond any limit", request(length(2**63), body=body), REFUSED
    yield "lengths that differ", request(length(5), length(len(body)), body=body), REFUSED
    yield "lengths that agree", request(length(5), length(5), body=body), REFUSED
    yield "folded length", request(b"Content-Length:\r\n 5", body=body), REFUSED
    yield "length and its fold", request(b"Content-Length: 5\r\n 5", body=body), REFUSED
    yield "chunks in HTTP/1.0", request(CHUNKED, first=b"POST / HTTP/1.0", body=whole), REFUSED
    yield "kept HTTP/1.0 with chunks", request(CHUNKED, b"Connection: keep-alive", first=b"POST / HTTP/1.0"), REFUSED
    for version in (
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"HTTP/9.9",
        b"http/1.1",
        b"HTTP/1.1x",
        b"HTTP/11",
        b"FTP/1.1",
    ):
        yield f"{version.decode()} with chunks", request(CHUNKED, first=b"POST / " + version, body=whole), REFUSED


def chunks():
    """Chunk sizes, extensions, ends and trailers."""
    for size in (
        b"0x5",
        b"+5",
        b"-5",
        b" 5",
        b"5 ",
        b"5\t",
        b"",
        b"g",
        b"5\n",
        b"5\r",
        b"0" * 17,
        b"f" * 17,
        b"5;\n",
        b"5 5",
    ):
        yield f"chunk size {size!r}", request(CHUNKED, body=size + HELLO), REFUSED
    for extension in (b";a\n", b";a=b\nc", b";a\rb", b";\x00", b";a=\x01", b";a b", b";=", b';a="b'):
        yield (
            f"chunk {extension!r}",
            request(CHUNKED, body=b"5" + extension + HELLO),
            REFUSED,
        )
    yield "a line without end", request(CHUNKED, body=b"5;" + b"a" * 70_000), REFUSED
    yield "a trailer without end", request(CHUNKED, body=b"0\r\n" + b"T: x\r\n" * 20_000), REFUSED
    for end in (b"", b"\n", b"\r", b"x\r\n", b"\n\n"):
        yield f"chunk that ends in {end!r}", request(CHUNKED, body=b"5\r\nhello" + end + b"0\r\n\r\n" + HIDDEN), REFUSED
    for body in (
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b'5;a="\\"";c\r\nhello\r\n0\r\n\r\n',
        b"05\r\nhello\r\n000\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 80\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n\r\n",
    ):
        yield f"right chunks {body!r}", request(CHUNKED, body=body), ONE


def heads():
    """Request lines and headers."""
    yield "HTTP/0.9", b"GET /\r\n\r\n" + HIDDEN, REFUSED
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, REFUSED
    yield "empty lines alone", b"\r\n\r\n" + HIDDEN, REFUSED
    yield "an empty line before", b"\r\n" + request(first=b"GET /healthz HTTP/1.1"), ONE
    yield "a long target", request(first=b"GET /" + b"a" * 60_000 + b" HTTP/1.1"), REFUSED
    yield "10,000 headers", request(*[b"X-%d: y" % number for number in range(10_000)]), REFUSED
    yield "a header of 33 KiB", request(b"X: " + b"y" * 33 * 1024), REFUSED
    yield "a header of 30 KiB", request(b"X: " + b"y" * 30 * 1024, first=b"GET /healthz HTTP/1.1"), ONE
    for method in (b"get", b"GE T", b"", b"G\x00T", b"G\tT", b"GET\xa0", b"\xffGET", b"G(T"):
        yield f"method {method!r}", request(first=method + b" /healthz HTTP/1.1", body=HIDDEN), REFUSED
    for target in (b"/a b", b"/\x00", b"/\x7f", b"/\x01", b"", b"/a\tb", b"http://[::1", b"http://[zz]/", b"//[x"):
        refused = REFUSED if target != b"//[x" else ONE
        yield f"target {target!r}", request(first=b"GET " + target + b" HTTP/1.1"), refused
    for target in (
        b"http://evil.example/healthz",
        b"https://evil.example:99999/healthz",
        b"*",
        b"//x/y",
    ):
        yield f"target {target!r}", request(first=b"GET " + target + b" HTTP/1.1"), ONE
    for first in (
        b"GET evil.example",
        b"GET a:/metrics",
        b"GET http:/metrics",
        b"GET /metrics#a",
        b"CONNECT evil.example:443",
        b"CONNECT /",
        b"CONNECT /page/upload.js",
    ):
        yield f"target of {first!r}", request(first=first + b" HTTP/1.1", body=HIDDEN), REFUSED
    for method in (b"CONNECTED /", b"TRACE /", b"OPTIONS *", b"PROPFIND /", b"M-SEARCH *"):
        yield f"method {method!r}", request(first=method + b" HTTP/1.1"), ONE
    for header in (
        b"no colon",
        b": no name",
        b"a b: c",
        b"a : c",
        b"a\x00: c",
        b"a: \x00",
        b"a: \x1b[2J",
        b"\xc3\xa4: c",
    ):
        yield f"header {header!r}", request(header, first=b"GET /healthz HTTP/1.1", body=HIDDEN), REFUSED
    for end in (b"\n", b"\r", b"\n\n", b"\r\r", b"\n\r"):
        raw = b"GET /healthz HTTP/1.1" + end + b"Host: localhost\r\n\r\n"
        yield f"lines that end in {end!r}", raw + HIDDEN, REFUSED
        yield f"headers that end in {end!r}", request(b"A: b" + end + b"C: d", first=b"GET /healthz HTTP/1.1"), REFUSED
    yield "two hosts", request(b"Host: y", first=b"GET /healthz HTTP/1.1"), REFUSED
    for header in (
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Expect: 100-continue",
        b"Expect: 200-ok",
        b"Connection: close, keep-alive",
        b"Connection: Host",
        b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-Host: evil\r\nForwarded: for=x;by=",
        b"X-HTTP-Method-Override: DELETE",
        b"Content-Length: 0",
        b"Trailer: Content-Length",
        b"Range: bytes=0-,0-,0-",
        b'If-None-Match: "',
        b"Accept: ;;;,*/;q=x",
    ):
        yield f"{header!r}", request(header, first=b"GET /healthz HTTP/1.1"), ONE
    yield "a body with GET", request(length(len(HIDDEN)), first=b"GET /healthz HTTP/1.1", body=HIDDEN), REFUSED
    yield "expected and too large", request(b"Expect: 100-continue", length(2**40)), REFUSED
    yield "behind a refused one", request(length(5), CHUNKED) + HIDDEN * 20, REFUSED


def corpus():
    return [*framings(), *chunks(), *heads()]


def exchange(address, raw, patience=20.0):
    """All that comes back for these bytes and a last request behind them, until the server closes."""
    with socket.create_connection(address, timeout=patience) as link:
        try:
            link.sendall(raw + LAST)
            return b"".join(iter(lambda: link.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):  # refused before all was read
            return None


def answers(raw):
    """Status and head of each answer in these bytes."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        if status >= 200:
            found.append((status, headers))
        size = int(headers.get("content-length", 0))
        raw = rest[size:] if status >= 200 else rest
    return found
