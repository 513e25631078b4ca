"""Decoders of JSON for structs, made one at a time.

msgspec prepares a type when it is first read, and a second thread that reads the same type meanwhile ends the process
by SIGSEGV (seen with 0.22.0). So whatever threads may read goes through here.
"""

import threading
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_lock = threading.Lock()
_made: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """The decoder of a type; from then on the type may be read in any way, by any thread."""
    found = _made.get(kind)
    if found is None:
        with _lock:
            found = _made.setdefault(kind, msgspec.json.Decoder(kind))
    return found
