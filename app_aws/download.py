"""Fetches one file over HTTPS: streamed, limited in size, and believed only if its digest is the expected one."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx2

from skylens.errors import ModelError

LIMIT = 2 * 1024**3
"""Most bytes of a download, and of an archive's contents."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and, where known, the bytes in all."""


def client() -> httpx2.Client:
    return httpx2.Client(timeout=httpx2.Timeout(30, connect=10), follow_redirects=True, max_redirects=5)


def fetch(url: str, target: Path, sha256: str, http: httpx2.Client, progress: Progress, limit: int = LIMIT) -> None:
    """Write what ``url`` answers to ``target``. Raises ModelError when it fails, is too large or another file."""
    digest, done = hashlib.sha256(), 0
    try:
        with http.stream("GET", url, headers={"accept-encoding": "identity"}) as answer, target.open("wb") as file:
            _check(answer, url)
            announced = answer.headers.get("content-length", "")
            for part in answer.iter_raw(1 << 16):
                done += len(part)
                if done > limit:
                    raise ModelError(f"{url} is larger than {limit} bytes")
                digest.update(part)
                file.write(part)
                progress(done, int(announced) if announced.isdigit() else None)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelError(f"{url} cannot be fetched: {error}") from error
    compare(url, digest.hexdigest(), sha256)


def _check(answer: httpx2.Response, url: str) -> None:
    if answer.url.scheme != "https":
        raise ModelError(f"{url} leads to {answer.url}; only https is followed")
    if answer.status_code != httpx2.codes.OK:
        raise ModelError(f"{url} answered {answer.status_code}, not 200")


def compare(source: str, found: str, expected: str) -> None:
    if found != expected.lower():
        raise ModelError(f"{source} is not what was expected: its SHA-256 is {found}, not {expected.lower()}")
