"""What stands behind the proxy in tests: answers with what it was asked, until SIGTERM drains it.

It serves the inherited socket ``public``; the path /slow waits half a second before it answers.
"""

import json
import os
import signal
import threading

from skylens import systemd
from skylens.clock import Clock
from web_openstack import server


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        threading.Event().wait(0.5)
    said = {
        "path": environ["PATH_INFO"],
        "bytes": len(body),
        "scheme": environ["wsgi.url_scheme"],
        "client": environ["REMOTE_ADDR"],
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def main():
    sockets = systemd.inherited(os.environ, os.getpid())
    notifier = systemd.Notifier(os.environ, os.getpid(), Clock())
    public = server.public(app, sockets["public"], slots=32, max_body=2**20, trusted_proxy="127.0.0.1")
    signal.signal(signal.SIGTERM, lambda *_: public.stop())
    notifier.ready("")
    public.serve(drain=10)


if __name__ == "__main__":
    main()
