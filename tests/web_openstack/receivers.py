"""Receivers of webhooks on loopback: they keep what they are sent, and answer as they are told to."""

import base64
import hashlib
import hmac
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from self_signed import certify

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """An HTTP server. ``statuses``: of the next answers, the last one stays; ``got``: headers and body of each POST."""

    def __init__(self, *statuses):
        self.statuses, self.got, self.headers = list(statuses or (204,)), [], {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0])
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self):
                outer.got.append((dict(self.headers), b"GET"))
                self.send_error(405)

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self):
        return self._server.server_port

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook?token=s3cret"

    def wrap(self, context):
        """Speak TLS."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def raw(answer):
    """A TCP server that does ``answer(connection)`` once for each connection, in a thread for each; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = []

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                thread = threading.Thread(target=one, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

        def one(connection):
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection)
                except OSError:
                    return

        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def is_signed(headers, body, secret=SECRET):
    """Whether one of the signatures is by that secret, as Standard Webhooks says, reckoned without the product."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return ours in headers["webhook-signature"].split(" ")


def certified(folder, name):
    """TLS contexts of a server that has a certificate for that name, and of a client that believes it."""
    file = folder / "receiver.pem"
    certify(file, x509.DNSName(name))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)
