"""Requests that mean harm or make no sense, made from right ones by a seed: (name, method, target, headers, body).

Everything is bytes, as it goes over the wire: no client of good manners would send it.
"""

import json
import random
import struct
import zlib
from urllib.parse import quote

from bad_inputs import chunk, file, png_header, sample

MAGIC = b"\x89PNG\r\n\x1a\n"
TYPES = {"PNG": b"image/png", "JPEG": b"image/jpeg", "WEBP": b"image/webp"}
DOTS = (
    b"..",
    b"%2e%2e",
    b"%252e%252e",
    b".%2e",
    b"%c0%ae%c0%ae",
    b"%e0%80%ae",
    b"..%00",
    b"..;",
    b"..%5c",
    b"..\\",
    b"%uff0e",
)
SLASHES = (b"/", b"//", b"%2f", b"%5c", b"\\", b"/./", b"%c0%af", b"%00/", b";/")
PLACES = (
    b"/page/",
    b"/v1/images/",
    b"/v1/batches/",
    b"/internal/",
    b"/",
    b"/healthz/",
    b"/metrics/",
    b"/openapi.json/",
)
TARGETS = (b"etc/passwd", b"page/index.html", b"internal/demand", b"settings.py", b"%00", b"", b"a" * 3000, b"\xff\xfe")
INJECTED = (
    b"%0d%0aX-Injected:%201",
    b"x\rX-Injected: 1",
    b"x\nX-Injected: 1",
    b"\x85X-Injected: 1",
    "x\u010d\u010aX-Injected: 1".encode(),
    b"<script>alert(1)</script>",
    b"${jndi:ldap://x/}",
    b"{{7*7}}%s%n%x",
    b"' OR 1=1--",
    b"\xff\xfe\xfd",
    b"\xed\xa0\x80",
    "\u202egnp.exe".encode(),
    b"a" * 20_000,
    b"=?utf-8?q?=00?=",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"99999999999999999999",
    "\u0661".encode(),
    b"",
    b"null",
    b"[]",
    b"../../x",
)
HEADERS = (
    b"X-Request-ID",
    b"traceparent",
    b"tracestate",
    b"Idempotency-Key",
    b"Prefer",
    b"Content-Disposition",
    b"Accept",
    b"Accept-Encoding",
    b"Authorization",
    b"Content-Type",
    b"Content-Encoding",
    b"If-None-Match",
    b"If-Modified-Since",
    b"Range",
    b"Cookie",
    b"Referer",
    b"X-Forwarded-For",
    b"Forwarded",
)
GOOD = sample(size=(24, 18))


def changed(data, chance, most=30):
    """Some bytes overwritten, put in, cut out; sometimes the end is missing."""
    made = bytearray(data)
    for _ in range(chance.randint(1, most)):
        place = chance.randrange(len(made))
        kind = chance.randrange(6)
        if kind == 0:
            del made[place : place + chance.randint(1, 9)]
        elif kind == 1:
            made[place:place] = chance.randbytes(chance.randint(1, 9))
        else:
            made[place] ^= 1 << chance.randrange(8)
        if len(made) < 2:
            break
    return bytes(made[: chance.randrange(len(made) + 1)] if chance.random() < 0.2 else made)


def post(kind, data):
    return b"POST", b"/v1/images?wait=20", [(b"Content-Type", kind), (b"Prefer", b"wait=30")], data


def images(count, seed):
    chance = random.Random(seed)
    whole = {kind: file(GOOD, kind) for kind in TYPES}
    for number in range(count):
        kind = chance.choice(list(TYPES))
        yield f"changed {number}", *post(TYPES[kind], changed(whole[kind], chance))


def with_text(name, size, head=b"Comment\0"):
    """A PNG with a text chunk that unpacks to ``size`` bytes."""
    whole = file(GOOD, "PNG")
    packed = zlib.compress(bytes(size), 9)
    return whole[:33] + chunk(name, head + packed) + whole[33:]


def polyglots_and_bombs():
    png, jpeg, webp = (file(GOOD, kind) for kind in ("PNG", "JPEG", "WEBP"))
    zipped = b"PK\x03\x04" + bytes(60) + b"PK\x05\x06" + bytes(18)
    html = b"<html><script>alert(1)</script>"
    comment = b"\xff\xfe" + struct.pack(">H", len(zipped) + 2) + zipped
    yield "jpeg and zip", *post(b"image/jpeg", jpeg + zipped)
    yield "zip in a jpeg's comment", *post(b"image/jpeg", jpeg[:2] + comment + jpeg[2:])
    yield "html in a png's text", *post(b"image/png", png[:33] + chunk(b"tEXt", b"Comment\0" + html) + png[33:])
    yield "gif in a png's text", *post(b"image/png", png[:33] + chunk(b"tEXt", b"Comment\0GIF89a" + html) + png[33:])
    yield "html behind a png", *post(b"image/png", png + html)
    yield "png behind html", *post(b"image/png", html + png)
    yield "png in a webp", *post(b"image/webp", webp + png)
    yield "php in exif", *post(b"image/jpeg", jpeg[:2] + b"\xff\xe1\x00\x14Exif\0\0<?php ?>xxx" + jpeg[2:])
    for text in (b"zTXt", b"iCCP"):
        yield f"{text.decode()} bomb", *post(b"image/png", with_text(text, 100_000_000, b"Comment\0\0"))
    yield "iTXt bomb", *post(b"image/png", with_text(b"iTXt", 100_000_000, b"Comment\0\1\0\0\0"))
    many = b"".join(chunk(b"tEXt", b"k%d\0v" % number) for number in range(20_000))
    yield "20,000 texts", *post(b"image/png", png[:33] + many + png[33:])
    yield "20,000 empty pixel chunks", *post(b"image/png", png[:33] + chunk(b"IDAT", b"") * 20_000 + png[33:])
    for width, height in (
        (50_000, 50_000),
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 1),
        (7000, 7000),
        (1, 49_000_000),
        (0, 1),
    ):
        yield f"png of {width} x {height}", *post(b"image/png", png_header(width, height, b"\0" * 1000))
    place = jpeg.find(b"\xff\xc0") + 5
    for height, width in ((65535, 65535), (7000, 7000), (1, 65535), (65535, 1), (0, 0), (19, 25)):
        lying = jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]
        yield f"jpeg that says {width} x {height}", *post(b"image/jpeg", lying)
    for width, height in ((16384, 16384), (1 << 24, 1 << 24), (7000, 7000), (25, 19)):
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sizes
        body = b"WEBP" + extended + webp[12:]
        lying = b"RIFF" + struct.pack("<I", len(body)) + body
        yield f"webp that says {width} x {height}", *post(b"image/webp", lying)
    yield "all black, 49 million pixels", *post(b"image/png", black(7000, 7000))


def black(width, height):
    """A right PNG of one bit a pixel: some kilobytes that unpack to megabytes."""
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    ihdr = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return MAGIC + chunk(b"IHDR", ihdr) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def form(name=b"a.png", data=None, boundary=b"b", more=b""):
    head = b'--%b\r\nContent-Disposition: form-data; name="f"; filename="%b"\r\n%b\r\n' % (boundary, name, more)
    return head + (data or file(GOOD, "PNG")) + b"\r\n--%b--\r\n" % boundary


def forms(count, seed):
    """Multipart bodies with bytes changed, wrong headers, wrong boundaries, thousands of parts."""
    chance = random.Random(seed)
    kind = b"multipart/form-data; boundary=b"
    targets = (b"/v1/images", b"/v1/batches", b"/", b"/any/free/path")
    for number in range(count):
        yield f"form {number}", b"POST", chance.choice(targets), [(b"Content-Type", kind)], changed(form(), chance, 6)
    for boundary in (b"", b'""', b"b" * 71, b"b;c", b'"', b"\xff", b"b\x00", b"--b", b" ", b"=", b"b, b", b"'b'"):
        wrong = [(b"Content-Type", b"multipart/form-data; boundary=" + boundary)]
        yield f"boundary {boundary!r}", b"POST", b"/v1/images", wrong, form()
    for more in (
        b"Content-Length: 99999999\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Type: multipart/mixed; boundary=c\r\n",
        b"Content-Type: text/plain; charset=utf-7\r\n",
        b"X: " + b"y" * 60_000 + b"\r\n",
        b"X: y\r\n" * 5000,
        b": \r\n",
        b"\x00: \x00\r\n",
        b"Content-Disposition: form-data; name=g\r\n",
    ):
        yield f"part with {more[:40]!r}", b"POST", b"/v1/images", [(b"Content-Type", kind)], form(more=more)
    for name in (*INJECTED, *DOTS, b"a/b\\c", b"con", b".", b'a"; name="x', b"\x00", b"%00.png", b"x" * 5000 + b".png"):
        clean = name.replace(b"\r", b"\\r").replace(b"\n", b"\\n")
        target = chance.choice(targets)
        yield f"file named {name[:30]!r}", b"POST", target, [(b"Content-Type", kind)], form(clean)
        starred = b"--b\r\nContent-Disposition: form-data; name=f; filename*=%b\r\n\r\n" % clean.replace(b'"', b"")
        yield f"file named * {name[:30]!r}", b"POST", target, [(b"Content-Type", kind)], starred + form()[80:]
    tiny = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n'
    yield "1,200 tiny files", b"POST", b"/v1/batches", [(b"Content-Type", kind)], tiny * 1200 + b"--b--\r\n"
    yield "25,000 parts", b"POST", b"/v1/images", [(b"Content-Type", kind)], b"--b\r\n\r\n\r\n" * 25_000 + b"--b--\r\n"


def paths(count, seed):
    chance = random.Random(seed)
    for number in range(count):
        up = b"".join(chance.choice(DOTS) + chance.choice(SLASHES) for _ in range(chance.randint(1, 6)))
        target = chance.choice(PLACES) + up + chance.choice(TARGETS)
        method = chance.choice([b"GET", b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"POST"])
        yield f"path {number} {target[:60]!r}", method, clean_target(target), [], b""


def clean_target(target):
    return b"".join(bytes([char]) if 33 <= char < 127 else quote(bytes([char])).encode() for char in target)


def headers(count, seed):
    """Each header and each query value with what injects, overflows or is no text."""
    chance = random.Random(seed)
    data = file(GOOD, "PNG")
    for number in range(count):
        name, value = chance.choice(HEADERS), chance.choice(INJECTED)
        value = value.replace(b"\r", b"\x85").replace(b"\n", b"\x85")
        given = [(b"Content-Type", b"image/png")] if name != b"Content-Type" else []
        yield f"{name.decode()} {number}: {value[:30]!r}", b"POST", b"/v1/images", [*given, (name, value)], data
    for parameter in (b"wait", b"top", b"nonsense", b"wait=1&wait", b"top=1&top", b"%00"):
        for value in INJECTED:
            target = b"/v1/images?" + parameter + b"=" + clean_target(value)
            method = chance.choice([b"POST", b"POST", b"GET"])
            yield f"query {parameter!r} {value[:30]!r}", method, target, [(b"Content-Type", b"image/png")], data


def lists(count, seed):
    """Lists of keys as JSON, of wrong types and with bytes changed."""
    chance = random.Random(seed)
    kind = [(b"Content-Type", b"application/json")]
    right = json.dumps({"keys": ["default/a", "default/b"]}).encode()
    deep = b"[" * 100_000 + b"]" * 100_000
    odd = (
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[1]}',
        b'{"keys":[""]}',
        deep,
    )
    odd += (b'{"keys":["\\ud800"]}', b'{"keys":["\xff"]}', b'{"keys":[NaN]}', b'{"keys":[' + b"9" * 5000 + b"]}")
    odd += (
        b'{"keys":["default/../x"]}',
        b'{"keys":["other/x"]}',
        b'{"keys":["default/\\u0000"]}',
        b'{"keys":[' + deep + b"]}",
    )
    odd += (
        b'{"keys":[],"x":1}',
        b'{"keys":["a"],"keys":["b"]}',
        b'\xef\xbb\xbf{"keys":[]}',
        right.decode().encode("utf-16"),
    )
    for number, body in enumerate([*odd, *(changed(right, chance, 5) for _ in range(count))]):
        yield f"list {number}", b"POST", b"/v1/batches", kind, body


def generated(seed, times=1):
    """All of them, in an order of chance."""
    made = [
        *images(150 * times, seed),
        *polyglots_and_bombs(),
        *forms(120 * times, seed),
        *paths(120 * times, seed),
        *headers(120 * times, seed),
        *lists(60 * times, seed),
    ]
    random.Random(seed).shuffle(made)
    return made


def wire(method, target, given, body):
    """The request as bytes."""
    lines = [
        method + b" " + target + b" HTTP/1.1",
        b"Host: localhost",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in given), b"", body])
