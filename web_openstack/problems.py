"""Errors as ``application/problem+json`` (RFC 9457), wherever they arise: our tree, Falcon's, the server's own."""

import falcon
import msgspec

from skylens import logs
from skylens.errors import SkylensError, let_go
from web_openstack.keys import masked

log = logs.get(__name__)

MEDIA_TYPE = "application/problem+json"
PLAIN = "text/plain; charset=utf-8"


def body(status: int, code: str, title: str, detail: str, **more: str) -> bytes:
    """A problem document. ``code`` is for programs, ``detail`` for people."""
    return msgspec.json.encode(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **more}
    )


def write(resp: falcon.Response, error: SkylensError, **more: str) -> None:
    resp.content_type = MEDIA_TYPE
    resp.data = body(error.status, error.code, error.title, error.detail, **more)
    write_head(resp, error)


def write_plain(req: falcon.Request, resp: falcon.Response, error: SkylensError) -> None:
    """An error of the plain-text door."""
    req.context.error = let_go(error)
    resp.content_type = PLAIN
    resp.text = error.detail
    write_head(resp, error)


def write_head(resp: falcon.Response, error: SkylensError) -> None:
    resp.status = error.status
    if error.retry_after is not None:
        resp.set_header("Retry-After", str(error.retry_after))
    if error.status == 401:  # noqa: PLR2004 - HTTP's own number
        resp.set_header("WWW-Authenticate", 'Bearer realm="skylens"')


def on_skylens_error(req: falcon.Request, resp: falcon.Response, error: SkylensError, params: object) -> None:
    del params
    req.context.error = let_go(error)  # or the request and its image would be kept: they are in the frames it came by
    write(resp, error)


def on_falcon_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon's error serializer: whatever the client accepts, an error is a problem document."""
    title = str(error.title or error.status).removeprefix(f"{error.status_code} ")
    detail = error.description or f"{title}: {req.method} {req.path[:200]}"
    resp.content_type = MEDIA_TYPE
    resp.data = body(error.status_code, title.lower().replace(" ", "-"), title, detail)


def on_bug(req: falcon.Request, resp: falcon.Response, error: Exception, params: object) -> None:
    """Anything else is our mistake: the trace goes to the log, never to the client."""
    del params
    log.error("http.bug", path=masked(req.path)[:200], exc_info=error)
    let_go(error)
    write(resp, SkylensError())
