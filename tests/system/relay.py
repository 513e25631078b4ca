"""A relay between an autoscaler and the AWS emulator, where the autoscaler can be killed at its launch call."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
from web_node import serving

LAUNCHES = ("Action=RunInstances&", "Action=SetDesiredCapacity&")


class Relay(ThreadingHTTPServer):
    """``at_launch``: called with each launch call, which it makes or not; what it returns is answered, None never."""

    def __init__(self, emulator):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.emulator = httpx2.Client(base_url=emulator, trust_env=False, timeout=30)
        self.at_launch = lambda call: call()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))

        def call():
            kept = {
                name: self.headers[name] for name in ("Authorization", "Content-Type", "X-Amz-Target", "X-Amz-Date")
            }
            headers = {name: value for name, value in kept.items() if value}
            return self.server.emulator.post(self.path, content=body, headers=headers)

        launches = any(action in f"{body.decode()}&" for action in LAUNCHES)
        answer = self.server.at_launch(call) if launches else call()
        if answer is not None:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


@contextmanager
def relaying(emulator):
    """A ``Relay`` to the emulator at that address, for as long as the block runs."""
    relay = Relay(emulator)
    with relay.emulator, serving(relay):
        yield relay
