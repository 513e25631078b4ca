"""The emulators ask nobody who they are, so no page in a browser of this machine may reach them: programs only."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

REFUSED = b"This is an emulator of AWS for programs on this machine, not for pages in a browser.\n"
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]


def may_ask(headers: Mapping[str, str]) -> bool:
    """Whether a program sent this. ``headers``: with names in small letters.

    Browsers say which page asks; older ones do not for all requests, and no page can name a host by its address
    unless it came from there. A name, which somebody's name server may point here, is not answered to.
    """
    if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
        return False
    return _is_address(headers.get("host", ""))


def _is_address(host: str) -> bool:
    name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def asgi(served: Asgi) -> Asgi:
    """An ASGI application for programs only."""

    async def guarded(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["type"] == "lifespan" or may_ask(
            {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        ):
            await served(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": REFUSED})

    return guarded


def wsgi(served: Callable[..., Any]) -> Callable[..., Any]:
    """A WSGI application for programs only."""

    def guarded(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Any:
        headers = {
            key[5:].lower().replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        if may_ask(headers):
            return served(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [REFUSED]

    return guarded
