"""What stands behind the proxy in tests: answers with what it was asked, until SIGTERM drains it.

It serves the inherited socket ``public``; the path /slow waits half a second before it answers, and /left until its
client has left, or for a minute; /came waits for such a client, /seen says whether it left. /bits goes on once /go-on
was asked for.
"""

import json
import os
import signal
import threading

from skylens import systemd
from skylens.clock import Clock
from web_openstack import server

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
        threading.Event().wait(0.5)
    said = {
        "path": environ["PATH_INFO"],
        "bytes": len(body),
        "scheme": environ["wsgi.url_scheme"],
        "client": environ["REMOTE_ADDR"],
        **({"left": LEFT.is_set()} if environ["PATH_INFO"] == "/seen" else {}),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def bits():
    yield b"first\n"
    GO_ON.wait(60)
    yield b"second\n"


def main():
    sockets = systemd.inherited(os.environ, os.getpid())
    notifier = systemd.Notifier(os.environ, os.getpid(), Clock())
    public = server.public(app, sockets["public"], slots=32, max_body=2**20, trusted_proxy="127.0.0.1")
    signal.signal(signal.SIGTERM, lambda *_: public.stop())
    notifier.ready("")
    public.serve(drain=10)


if __name__ == "__main__":
    main()
