"""A web node as the autoscaler meets it: a real server on loopback that answers what it is told to."""

import http.server
import json
import threading
from contextlib import contextmanager


class Node(http.server.ThreadingHTTPServer):
    """A web node that answers what it is told to."""

    def __init__(self, body):
        """``body``: what `/internal/demand` answers."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.taken = 200, body, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(self.server.body if self.path == "/internal/demand" else b"")

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, self.headers["Content-Type"], body))
        self.answer(b"")

    def answer(self, body):
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(node):
    """Serve on a thread of its own until the block ends."""
    with node:
        thread = threading.Thread(target=node.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield node
        finally:
            node.shutdown()
            thread.join()
