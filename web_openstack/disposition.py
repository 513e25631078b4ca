"""``Content-Disposition``: the names that a client gave a field and a file, whatever else it wrote there."""

import re
from typing import NamedTuple
from urllib.parse import unquote

import falcon

from skylens.errors import BadRequestError

SEMICOLONS = 32
"""Most in one header: falcon's reading of it takes their number times its length."""
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[a-z0-9-]*'(.+)", re.IGNORECASE | re.ASCII)
"""A name by RFC 8187, in the two character sets that it asks for."""


class Names(NamedTuple):
    """``filename``: None where the header has none."""

    field: str
    filename: str | None


def names(value: str) -> Names:
    """Raises BadRequestError."""
    if value.count(";") > SEMICOLONS:
        raise BadRequestError(f"a Content-Disposition with more than {SEMICOLONS} semicolons; give a shorter file name")
    said = falcon.parse_header(value)[1] if value else {}
    return Names(said.get("name", ""), _extended(said.get("filename*", "")) or said.get("filename"))


def _extended(value: str) -> str | None:
    found = _EXTENDED.fullmatch(value)
    return unquote(found[2], found[1].lower(), "replace") if found else None
