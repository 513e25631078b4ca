"""A small HTTP server on loopback that stands in for AWS, or in its way."""

import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer


class Replying:
    """What a ``BaseHTTPRequestHandler`` answers by, as it is told to. It logs nothing."""

    def reply(self, status, body, headers=None):
        """``headers``: beside, or in place of, the body's length."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(handler, tls=None):
    """A server of that handler; its thread ends with the block. ``tls``: the context that it speaks it by."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
