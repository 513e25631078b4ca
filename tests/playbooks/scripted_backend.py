"""What stands behind the proxy in tests: answers with what it was asked, until SIGTERM drains it.

It serves the inherited socket ``public``; the path /slow waits half a second before it answers, or the seconds of its
query, and /left until its client has left, or for a minute; /came waits for such a client, /seen says whether it left.
/bits goes on once /go-on was asked for; /page answers with 50 KB. Who shows the token "wrong" is refused before its
body is received.
"""

import json
import os
import signal
import threading

from skylens import systemd
from skylens.clock import Clock
from skylens.errors import UnauthorisedError
from web_openstack import server
from web_openstack.callers import Open
from web_openstack.gate import REFUSED, Gate

CAME, LEFT, GO_ON = threading.Event(), threading.Event(), threading.Event()


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/left":
        CAME.set()
        gone, pause = environ["waitress.client_disconnected"], threading.Event()
        if any(gone() or pause.wait(0.1) for _ in range(600)):
            LEFT.set()
    if environ["PATH_INFO"] == "/came":
        CAME.wait(30)
    if environ["PATH_INFO"] == "/seen":
        LEFT.wait(30)
    if environ["PATH_INFO"] == "/go-on":
        GO_ON.set()
    if environ["PATH_INFO"] == "/bits":
        start_response("200 OK", [("Content-Type", "application/x-ndjson")])
        return bits()
    if environ["PATH_INFO"] == "/slow":
        threading.Event().wait(float(environ["QUERY_STRING"] or 0.5))
    status = "404 Not Found" if environ["PATH_INFO"].startswith("/internal/") else "200 OK"
    status = "401 Unauthorized" if environ.get(REFUSED) else status
    said = {
        "path": environ["PATH_INFO"],
        "bytes": len(body),
        "scheme": environ["wsgi.url_scheme"],
        "client": environ["REMOTE_ADDR"],
        **({"page": "x" * 50_000} if environ["PATH_INFO"] == "/page" else {}),
        **({"left": LEFT.is_set()} if environ["PATH_INFO"] == "/seen" else {}),
    }
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def bits():
    yield b"first\n"
    GO_ON.wait(60)
    yield b"second\n"


class Picky(Open):
    def caller(self, header):
        if header("Authorization") == "Bearer wrong":
            raise UnauthorisedError("not this one")
        return super().caller(header)


def main():
    sockets = systemd.inherited(os.environ, os.getpid())
    notifier = systemd.Notifier(os.environ, os.getpid(), Clock())
    limits = {"slots": 32, "max_body": 2**20, "trusted_proxy": "127.0.0.1"}
    public = server.public(app, sockets["public"], **limits, gate=Gate(Picky()))
    signal.signal(signal.SIGTERM, lambda *_: public.stop())
    notifier.ready("")
    public.serve(drain=10)


if __name__ == "__main__":
    main()
