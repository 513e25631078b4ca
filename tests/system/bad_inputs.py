"""Three hundred bad inputs, each with the answers that are right for it: (name, headers, body, allowed statuses)."""

import io
import random
import struct
import zlib

from PIL import Image, features

PNG, JPEG, WEBP = ({"Content-Type": f"image/{kind}"} for kind in ("png", "jpeg", "webp"))
RIGHT = {200}
REFUSED = {400, 413, 415, 422}


def file(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def sample(mode="RGB", size=(48, 36)):
    picture = Image.effect_noise(size, 90).convert("RGB")
    return picture if mode == "RGB" else picture.convert(mode)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width, height, rest=b""):
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rest))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + pixels + chunk(b"IEND", b"")


def unusual_but_right():
    """Whole images of every odd kind: they must be recognised."""
    rgba = sample().convert("RGBA")
    rgba.putalpha(128)
    frames = [sample(), sample()]
    deep = Image.frombytes("I;16", (20, 20), bytes(800))
    yield "one-pixel.png", PNG, file(Image.new("RGB", (1, 1)), "PNG")
    yield "one-pixel.jpg", JPEG, file(Image.new("RGB", (1, 1)), "JPEG")
    yield "one-pixel.webp", WEBP, file(Image.new("RGB", (1, 1)), "WEBP")
    yield "thin.png", PNG, file(Image.new("RGB", (3000, 1)), "PNG")
    yield "cmyk.jpg", JPEG, file(sample("CMYK"), "JPEG")
    yield "grey.jpg", JPEG, file(sample("L"), "JPEG")
    yield "grey-alpha.png", PNG, file(sample("LA"), "PNG")
    yield "deep.png", PNG, file(deep, "PNG")
    yield "alpha.png", PNG, file(rgba, "PNG")
    yield "alpha.webp", WEBP, file(rgba, "WEBP")
    yield "palette.png", PNG, file(sample("P"), "PNG")
    yield "palette-transparent.png", PNG, file(sample("P"), "PNG", transparency=0)
    yield "bits.png", PNG, file(sample("1"), "PNG")
    yield "animated.png", PNG, file(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "animated.webp", WEBP, file(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    yield "progressive.jpg", JPEG, file(sample(), "JPEG", progressive=True)
    yield "interlaced.png", PNG, file(sample(), "PNG", interlace=1)
    yield "wrong-type.png", JPEG, file(sample(), "PNG")
    yield "wrong-type.jpg", PNG, file(sample(), "JPEG")
    yield "trailing.jpg", JPEG, file(sample(), "JPEG") + b"and more"
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"turned-{turn}.jpg", JPEG, file(sample(), "JPEG", exif=exif)
    assert features.check("webp")


def refused():
    """What the door can tell from the header, or from the request itself."""
    whole = {"PNG": (PNG, 12), "JPEG": (JPEG, 2), "WEBP": (WEBP, 40)}
    yield "empty", PNG, b""
    yield "text", PNG, b"I am no image at all, but I am rather long."
    yield "html", JPEG, b"<!doctype html><script>alert(1)</script>"
    yield "gif", {"Content-Type": "image/gif"}, file(sample("P"), "GIF")
    yield "gif-as-png", PNG, file(sample("P"), "GIF")
    yield "animated-gif", PNG, file(sample("P"), "GIF", save_all=True, append_images=[sample("P")])
    yield "bmp", PNG, file(sample(), "BMP")
    yield "tiff", PNG, file(sample(), "TIFF")
    yield "svg", {"Content-Type": "image/svg+xml"}, b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "zip", PNG, b"PK\x03\x04" + bytes(100)
    yield "elf", PNG, b"\x7fELF" + bytes(100)
    yield "no-type", {"Content-Type": ""}, file(sample(), "PNG")
    yield "json", {"Content-Type": "application/json"}, b"{}"
    yield "form", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"
    yield "bomb.png", PNG, png_header(50_000, 50_000)
    yield "bomb-wide.png", PNG, png_header(2**31 - 1, 1)
    yield "no-size.png", PNG, png_header(0, 0)
    yield "too-large", PNG, b"\x89PNG\r\n\x1a\n" + bytes(17 * 1024 * 1024)
    yield "multipart-empty", {"Content-Type": "multipart/form-data; boundary=b"}, b"--b--\r\n"
    yield "multipart-no-boundary", {"Content-Type": "multipart/form-data"}, b"--b--\r\n"
    yield "multipart-wrong-boundary", {"Content-Type": "multipart/form-data; boundary=b"}, b"--c\r\n\r\nx\r\n--c--\r\n"
    yield "multipart-cut", {"Content-Type": "multipart/form-data; boundary=b"}, _part("b", file(sample(), "PNG"))[:-9]
    yield "multipart-text", {"Content-Type": "multipart/form-data; boundary=b"}, _part("b", b"text")
    yield "multipart-huge", {"Content-Type": "multipart/form-data; boundary=b"}, _part("b", bytes(17 * 1024**2))
    yield "multipart-two", {"Content-Type": "multipart/form-data; boundary=b"}, _part("b", file(sample(), "PNG"), 2)
    for kind, (headers, tail) in whole.items():
        data = file(sample(), kind)
        for share in range(1, 40):
            cut = max(1, min(len(data) * share // 40, len(data) - tail))
            yield f"cut-{share}.{kind}", headers, data[:cut]


def _part(boundary, data, times=1):
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="f.png"\r\n\r\n'
    return (head.encode() + data + b"\r\n") * times + f"--{boundary}--\r\n".encode()


def damaged(count, seed):
    """Whole by their header, broken inside: an answer or an error, as the decoder finds."""
    chance = random.Random(seed)
    kinds = {"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP}
    for number in range(count):
        kind = chance.choice(list(kinds))
        data = bytearray(file(sample(), kind))
        for _ in range(chance.randint(1, 30)):
            data[chance.randrange(50, len(data) - 12)] = chance.randrange(256)
        yield f"damaged-{number}.{kind}", kinds[kind], bytes(data)


def all_of_them(seed=7):
    """At least 300: (name, headers, body, allowed statuses, whether the door itself must refuse)."""
    right = [(*one, RIGHT, False) for one in unusual_but_right()]
    wrong = [(*one, REFUSED, True) for one in refused()]
    rest = [(*one, RIGHT | REFUSED, False) for one in damaged(300 - len(right) - len(wrong), seed)]
    return right + wrong + rest
