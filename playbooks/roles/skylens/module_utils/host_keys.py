"""SSH host keys, as cloud-init writes them to a machine's console at its first boot.

The console's log comes from the cloud's API, so nobody between here and the machine can put a key of their own in it.
"""

import base64
import binascii
import re
import struct
import time
from collections.abc import Callable

BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
KEY = re.compile(r"(?<!\S)(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) (AAAA[A-Za-z0-9+/]+={0,2})(?!\S)")
PAUSE = 5.0
"""Seconds between two looks."""


def found(console: str) -> list[str]:
    """Type and key of each in the last whole block of a console's log; what other messages cut up is left out."""
    blocks = BLOCK.findall(console)
    return [f"{kind} {key}" for kind, key in KEY.findall(blocks[-1]) if _is_whole(kind, key)] if blocks else []


def _is_whole(kind: str, key: str) -> bool:
    """Whether the key is its type and at least one field more (RFC 4253, 6.6: four bytes of length before each)."""
    fields: list[bytes] = []
    try:
        data = base64.b64decode(key, validate=True)
        while data:
            (length,) = struct.unpack_from(">I", data)
            fields.append(data[4 : 4 + length])
            if len(fields[-1]) < length:
                return False
            data = data[4 + length :]
    except (binascii.Error, struct.error):
        return False
    return len(fields) > 1 and fields[0] == kind.encode()


def look(
    read: Callable[[], str], troubles: type[Exception] | tuple[type[Exception], ...], seconds: float
) -> dict[str, object]:
    """What a module returns: ``host_keys``, none if there were none in time, and ``trouble``, the last one or empty.

    ``read``: gives the console's log so far, or raises one of ``troubles`` when it cannot be read just now.
    """
    until = time.monotonic() + seconds
    while True:
        keys, trouble = [], ""
        try:
            keys = found(read())
        except troubles as error:
            trouble = str(error)
        if keys or time.monotonic() >= until:
            return {"changed": False, "host_keys": keys, "trouble": trouble}
        time.sleep(PAUSE)
