"""Model folders and archives that nobody should put to work: (name, what), each made from a right one by a seed."""

import gzip
import io
import random
import tarfile
import zipfile

from packs import members, tar_of, zip_of

STRANGE = (
    "",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "true",
    "[]",
    "{}",
    '"x"',
    "9" * 5000,
    '"\\u0000"',
    '"' + "x" * 5000 + '"',
)
KEYS = ("name", "version", "sha256", "width", "height", "layout", "colour", "resize", "mean", "std", "activation")


def bytes_changed(data, chance, most=20):
    """A few bytes overwritten, cut out or put in; or the end is missing."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, most)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[place : place + chance.randint(1, 64)] = b""
        elif kind == 1:
            changed[place:place] = chance.randbytes(chance.randint(1, 16))
        else:
            changed[place] = chance.randrange(256)
        if len(changed) < 2:
            break
    return bytes(changed[: chance.randint(1, len(changed))] if chance.random() < 0.2 and changed else changed)


def manifests(text, count, seed):
    """``model.toml`` with a key's value replaced, a line lost or doubled, or bytes changed."""
    chance = random.Random(seed)
    lines = text.splitlines()
    for key in KEYS:
        for value in STRANGE:
            yield "\n".join(f"{key} = {value}" if line.startswith(f"{key} =") else line for line in lines).encode()
    for number in range(len(lines)):
        if "=" in lines[number] and not lines[number].startswith(("#", "accuracy", "resize")):
            yield "\n".join(lines[:number] + lines[number + 1 :]).encode()
            yield "\n".join(lines[: number + 1] + lines[number:]).encode()
    for _ in range(count):
        yield bytes_changed(text.encode(), chance)


def networks(data, count, seed):
    """``model.onnx`` damaged where its graph is described, before and behind its weights; and as other things."""
    chance = random.Random(seed)
    yield from (b"", b"\0" * 100, b"\x08" * 1000, b"\xff" * 1000, data[:1000], data[1000:], data + data)
    for _ in range(count):
        head, tail = data[:2048], data[-6144:]
        if chance.random() < 0.5:
            head = bytes_changed(head, chance, 4)
        else:
            tail = bytes_changed(tail, chance, 4)
        yield head + data[2048:-6144] + tail


def labels(data, count, seed):
    chance = random.Random(seed)
    yield from (b"", b"\n", b"\n" * 10, b"\xff\xfe", b"a\n" * 9, b"a\n" * 11, b"a\n" * 1_000_000, b"\0" * 10)
    for _ in range(count):
        yield bytes_changed(data, chance) + b"\nmore"


def archives(source, count, seed):
    """Archives that are damaged, point elsewhere, hold links and devices, or unpack to far more than they are."""
    chance = random.Random(seed)
    whole = members(source) | {"model.onnx": chance.randbytes(500)}
    for path in ("../x", "/x", "a/../../x", "a\\..\\..\\x", "./../x", "..", "//x", "a/b/../../../labels.txt"):
        yield "m.tar.gz", tar_of(whole | {path: b"x"})
        yield "m.zip", zip_of(whole | {path: b"x"})
    for name in whole:
        left = {key: data for key, data in whole.items() if key != name}
        for target in ("/etc/passwd", "../../x", name, "model.onnx"):
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                yield "m.tar.gz", linked(left, name, target, kind)
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            yield "m.tar.gz", linked(left, name, "", kind)
        yield "m.tar.gz", tar_of(left)
        yield "m.zip", zip_of(left)
        yield "m.zip", zip_of(left | {f"a/b/{name}": whole[name]})
    yield "m.tar.gz", gzip.compress(bytes(40_000_000), 1)
    yield "m.zip", zip_bomb()
    packed = {"m.tar.gz": tar_of(whole), "m.tgz": tar_of(whole), "m.zip": zip_of(whole)}
    for _ in range(count):
        name = chance.choice(list(packed))
        data = packed[name]
        yield name, data[: chance.randrange(len(data))] if chance.random() < 0.5 else bytes_changed(data, chance, 60)


def linked(files, name, target, kind):
    out = io.BytesIO(tar_of(files))
    raw = io.BytesIO(gzip.decompress(out.getvalue()))
    with tarfile.open(fileobj=raw, mode="a") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)
    return gzip.compress(raw.getvalue(), 1)


def zip_bomb():
    """A labels.txt of 600 MB in 600 KB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("labels.txt", "w") as file:
        for _ in range(600):
            file.write(bytes(10**6))
    return out.getvalue()
