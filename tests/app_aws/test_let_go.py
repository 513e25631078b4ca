"""A worker keeps no picture that it could not decode: the collector of cycles counts objects, not the bytes in them."""

import gc
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from parts import Bench, OneModel
from PIL import Image

from app_aws import registry
from app_aws.batcher import Batcher

AT_ONCE, MANY = 8, 64


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def damaged_png(side=400):
    """One whose pixels break off near the end, when all of its canvas is there."""
    pixels = bytearray(zlib.compress((b"\0" + b"\x55" * 3 * side) * (side - 1), 1))
    pixels[-40] ^= 0xFF
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", bytes(pixels)) + chunk(b"IEND", b"")


def too_large():
    """Refused when it is open, by its size."""
    out = io.BytesIO()
    Image.new("1", (8000, 8000)).save(out, "PNG")
    return out.getvalue()


def pictures():
    """How many there are, with those that other tests keep."""
    return sum(isinstance(one, Image.Image) for one in gc.get_objects())


@pytest.mark.parametrize(
    ("data", "code"),
    [(damaged_png(), "undecodable-image"), (too_large(), "too-large"), (b"\xff\xd8\xff\xe0", "undecodable-image")],
)
def test_no_picture_is_left_of_images_that_were_refused(uncollected, data, code):
    engine = registry.load(registry.BUNDLED / "cifar10")
    batcher = Batcher(engine.infer, 4, 2, threads=2)
    batcher.start()
    bench, before = Bench(), pictures()
    recogniser = bench.recogniser(OneModel(engine, batcher.submit))
    for number in range(MANY):
        bench.ask(data, f"{number}")
    received = [one for _ in range(0, MANY, 8) for one in bench.requests.receive(8, wait=0)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert all(threads.map(recogniser.handle, received))
    assert {bench.stored(f"{number}").failure.code for number in range(MANY)} == {code}
    batcher.stop(10)
    assert pictures() <= before


def test_where_a_fault_of_ours_arose_is_told_though_its_frames_are_let_go(uncollected):
    def broken():
        raise ZeroDivisionError("a fault of ours")

    batcher = Batcher(lambda batch: batch, 4, 2)
    batcher.start()
    error = batcher.submit(broken).exception(10)
    batcher.stop(10)
    assert error.__traceback__ is None
    assert "in broken" in error.__notes__[0]
