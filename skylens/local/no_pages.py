"""The emulators ask nobody who they are, so no page in a browser of this machine may reach them: programs only."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

REFUSED = b"This is an emulator of AWS for programs on this machine, not for pages in a browser.\n"
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]


def may_ask(headers: Mapping[str, str]) -> bool:
    """Whether a program sent this. ``headers``: with names in small letters.

    Browsers say which page asks. For a page whose own name was pointed here meanwhile they do not, but they say the
    name: only an address is answered to, and this machine's.
    """
    if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
        return False
    return _is_address(headers.get("host", ""))


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def asgi(served: Asgi) -> Asgi:
    """An ASGI application for programs only."""

    async def guarded(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope.get("headers", ())}
        if scope["type"] == "lifespan" or may_ask(headers):
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
