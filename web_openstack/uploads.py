"""Images out of HTTP requests: raw bodies and multipart parts, read with a cap, checked by their header."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import falcon
from falcon.media.multipart import MultipartFormHandler, MultipartParseError

from skylens.errors import BadRequestError, SkylensError, TooLargeError, UnsupportedImageError, let_go
from web_openstack import disposition, header

NAME_BYTES = 255
"""Longest file name that is kept, in bytes of UTF-8: what file systems allow."""
PARTS, PART_HEADERS, FIELDS = 20_000, 2048, 100
"""Most parts of a body, bytes of the headers of one, and parts that are no files, which nobody counts or charges."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Image:
    """An image as it came in. ``kind``: media type by content; ``name``: the client's file name, cleaned."""

    data: bytes
    kind: str
    name: str


@dataclass(frozen=True)
class File:
    """A good image. ``field``: of the multipart form; empty for a raw body."""

    field: str
    image: Image


@dataclass(frozen=True)
class Refused:
    """A file of a multipart body that is no image to take, and why."""

    name: str
    error: SkylensError


@dataclass(frozen=True)
class Uploads:
    """Owns every limit of an upload. ``max_bytes``, ``max_pixels``: of one image."""

    max_bytes: int
    max_pixels: int

    def one(self, req: falcon.Request) -> File:
        """The request's only image, raw or multipart. Raises for anything but exactly one good image."""
        kind = (req.content_type or "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return self._only(req)
        if kind not in header.KINDS:
            raise UnsupportedImageError(
                f"Content-Type is {kind or 'missing'!r}; send multipart/form-data, {', '.join(header.KINDS)}"
            )
        data = self._read(req.bounded_stream)
        said = disposition.names(req.get_header("Content-Disposition") or "")
        return File("", self.image(data, clean_name(said.filename or "")))

    def image(self, data: bytes, name: str) -> Image:
        """Check an image's header and size. Raises TooLargeError, UnsupportedImageError, UndecodableImageError."""
        self._check_size(len(data))
        return Image(data, header.check(data, self.max_pixels).kind, name)

    def each(self, req: falcon.Request) -> Iterator[File | Refused]:
        """Every file part in turn; at most one is in memory. A bad one is yielded with its error.

        Raises BadRequestError when the body itself is not multipart.
        """
        for part in self._parts(req):
            yield self._file(*part)
            del part  # before the next one is read

    def _file(self, field: str, name: str, data: bytes, error: SkylensError | None) -> File | Refused:
        try:
            if error is not None:
                raise error
            return File(field, self.image(data, name))
        except SkylensError as problem:
            return Refused(name, let_go(problem))

    def _only(self, req: falcon.Request) -> File:
        found: list[File | Refused] = []
        for part in self.each(req):
            found.append(part)
            if len(found) > 1:
                raise BadRequestError("more than one file in the body; send several to /v1/batches")
        if not found:
            raise BadRequestError("no file in the multipart body; add one part that holds an image")
        only = found[0]
        if isinstance(only, Refused):
            raise only.error
        return only

    def _parts(self, req: falcon.Request) -> Iterator[tuple[str, str, bytes, SkylensError | None]]:
        """Field, clean name, bytes and trouble of each part that is a file (or, nameless, looks like an image)."""
        try:
            form, fields = _HANDLER.deserialize(req.bounded_stream, req.content_type, req.content_length), 0
            for part in form:
                # falcon's own reading of a name takes any character set that a client makes up, and Python keeps those
                said = disposition.names(part._headers.get(b"content-disposition", b"").decode())  # noqa: SLF001
                name, error, data = clean_name(said.filename or ""), None, b""
                try:
                    data = self._read(part.stream)
                except TooLargeError as problem:
                    error = problem
                    part.stream.exhaust()
                if said.filename is not None or _looks_like_image(data):
                    yield said.field, name, data, error
                    data = b""
                elif (fields := fields + 1) > FIELDS:
                    raise BadRequestError(f"more than {FIELDS} parts of the body are no files")
        except (MultipartParseError, falcon.HTTPInvalidHeader, UnicodeDecodeError) as error:
            detail = getattr(error, "description", None) or "a part's header cannot be read"
            raise BadRequestError(f"the multipart body is malformed: {detail}") from error

    def _read(self, stream: Readable) -> bytes:
        """Up to the cap and not a byte more, whatever the client announced."""
        data: bytes = stream.read(self.max_bytes + 1)
        self._check_size(len(data))
        return data

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise TooLargeError(f"the image is larger than the {self.max_bytes:,} bytes that are taken")


def _handler() -> MultipartFormHandler:
    handler = MultipartFormHandler()
    handler.parse_options.max_body_part_count = PARTS
    handler.parse_options.max_body_part_headers_size = PART_HEADERS
    return handler


_HANDLER = _handler()


def _looks_like_image(data: bytes) -> bool:
    return data[:4] in {b"\x89PNG", b"RIFF"} or data[:3] == b"\xff\xd8\xff"


def clean_name(name: str) -> str:
    """The last component of a client's file name without control characters, cut to what a file system takes.

    SQS refuses control characters and non-characters; a path says more of the client's machine than we want to know.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if unicodedata.category(char) not in {"Cc", "Cs", "Cn", "Zl", "Zp"})
    return kept.encode()[:NAME_BYTES].decode(errors="ignore")


def stem(name: str) -> str:
    """A file name without its last extension."""
    head, dot, _ = name.rpartition(".")
    return head if dot and head else name
