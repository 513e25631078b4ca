"""A real HAProxy with the proxy's own configuration, on loopback, and what it stands before."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from http.client import HTTPSConnection
from pathlib import Path

from rendered import need, render

PATIENCE = 60.0
BACKEND = Path(__file__).with_name("scripted_backend.py")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Proxied:
    """HAProxy and what it stands before."""

    def __init__(self, folder, manager):
        self.folder, self.manager = folder, manager
        self.port, self.public, self.backend = free_port(), None, None

    def start_backend(self, **options):
        self.manager.forget()
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND.parents[2])}
        self.backend = self.manager.start([sys.executable, BACKEND], environ, **options)
        self.manager.wait_for("READY=1")

    def reload(self):
        self.manager.forget()
        self.haproxy.send_signal(signal.SIGUSR2)
        self.manager.wait_for("READY=1")

    def stop_backend(self):
        self.backend.terminate()
        assert self.backend.wait(PATIENCE) == 0

    @property
    def tls(self):
        return ssl.create_default_context(cafile=self.folder / "tls.pem")

    def connect(self, *protocols, window=0):
        """A connection on which nothing was said yet, after a handshake that offered these protocols.

        ``window``: bytes that it takes before somebody reads, if not as many as usual.
        """
        tls = self.tls
        tls.set_alpn_protocols(protocols)
        raw = socket.socket()
        raw.settimeout(PATIENCE)
        if window:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        raw.connect(("127.0.0.1", self.port))
        return tls.wrap_socket(raw, server_hostname="localhost")

    def ask(self, path, method="GET", body=None, source="127.0.0.1"):
        """The status, headers and body of one request on a connection of its own."""
        tls = self.tls
        with contextlib.closing(
            HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=tls, source_address=(source, 0))
        ) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def write_certificate(folder):
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "tls-key.pem"]
    made = [need("openssl"), "req", "-x509", "-days", "2", *key, "-out", folder / "tls.pem", *subject]
    subprocess.run(made, check=True, capture_output=True)
    for name in ("acme", "tls", "run"):
        (folder / name).mkdir()
    (folder / "tls" / "own.pem").write_text((folder / "tls.pem").read_text() + (folder / "tls-key.pem").read_text())


def write_configuration(folder, port, public, scaler, **settings):
    """The proxy's own configuration, at other ports and with files of this folder."""
    ports = {"skylens_https_port": port, "skylens_public_port": public, "skylens_internal_port": public}
    ports["skylens_scaler_metrics_port"] = scaler
    render(folder, "proxy", {"haproxy.cfg": ("haproxy.cfg.j2", None)}, **ports, **settings)
    path = folder / "haproxy.cfg"
    text = path.read_text().replace("/etc/haproxy/", f"{folder}/").replace("/run/haproxy/", f"{folder}/run/")
    path.write_text(text)
    return path


@contextlib.contextmanager
def running(folder, path, manager):
    """Its process, once it is ready, which a signal of SIGUSR2 makes read its configuration anew."""
    manager.forget()
    environ = {"PATH": os.environ["PATH"], **manager.environ}
    with (folder / "haproxy.log").open("ab") as log:
        command = [need("haproxy"), "-Ws", "-f", path, "-p", folder / "pid"]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        manager.wait_for("READY=1")
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
