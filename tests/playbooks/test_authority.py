"""A certificate from an authority that speaks ACME (Pebble), asked for by certbot through the real proxy."""

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess

import pytest
from port_suite import until
from real_proxy import PATIENCE, free_port, running, write_certificate, write_configuration
from rendered import ROLES, need, render
from service_manager import ServiceManager

NAME = "sky.example"
HOOK = ROLES / "proxy" / "files" / "skylens-certificate"
NODE = ROLES / "web_host" / "files" / "skylens-node"


class Authority:
    """Pebble, which finds every name on loopback, and the ports that it knows."""

    def __init__(self, folder, challenged):
        self.folder, self.port, self.management, self.dns = folder, free_port(), free_port(), free_port()
        own = {"certificate": str(folder / "tls.pem"), "privateKey": str(folder / "tls-key.pem")}
        ports = {"httpPort": challenged, "tlsPort": free_port()}
        listen = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}"}
        (folder / "pebble.json").write_text(json.dumps({"pebble": {**own, **ports, **listen}}))

    @contextlib.contextmanager
    def running(self):
        names = ["-dns01", f"127.0.0.1:{self.dns}", "-defaultIPv6", "", "-management", f"127.0.0.1:{free_port()}"]
        quiet = ["-http01", "", "-https01", "", "-tlsalpn01", ""]
        config = ["-config", self.folder / "pebble.json", "-dnsserver", f"127.0.0.1:{self.dns}"]
        environ = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        with (self.folder / "pebble.log").open("wb") as log, contextlib.ExitStack() as started:
            for command in ([need("pebble-challtestsrv"), *names, *quiet], [need("pebble"), *config]):
                one = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
                started.callback(one.wait, PATIENCE)
                started.callback(one.terminate)
            until(self.root)
            yield self

    def root(self):
        """The certificate that is to be believed, as PEM; empty while there is none."""
        tls = ssl.create_default_context(cafile=self.folder / "tls.pem")
        asked = http.client.HTTPSConnection("localhost", self.management, timeout=PATIENCE, context=tls)
        with contextlib.closing(asked), contextlib.suppress(OSError):
            asked.request("GET", "/roots/0")
            return asked.getresponse().read().decode()
        return ""


class Door:
    """The proxy of a deployment with ``acme``, and what the play runs beside it."""

    def __init__(self, folder, manager):
        self.folder, self.manager = folder, manager
        self.port, self.redirect, challenge = free_port(), free_port(), free_port()
        ports = {"proxy_redirect_port": self.redirect, "proxy_challenge_port": challenge}
        settings = {"skylens_tls": "acme", "skylens_hostname": NAME, "skylens_acme_email": f"ops@{NAME}", **ports}
        write_certificate(folder)
        self.path = write_configuration(folder, self.port, free_port(), free_port(), **settings)
        (folder / "words.j2").write_text("{{ proxy_certbot | to_json }}")
        render(folder, "proxy", {"words": (str(folder / "words.j2"), None)}, **settings)
        self.words = json.loads((folder / "words").read_text())
        (folder / "bin").mkdir()
        reload = f'case "$*" in reload*|restart*) [ ! -e {folder}/refuses ] && kill -USR2 $(cat {folder}/pid) ;; esac'
        for name, does in (("systemctl", reload), ("chgrp", "exit 0")):
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
            (folder / "bin" / name).chmod(0o755)
        for part in ("etc/systemd/system/haproxy.service.d", "usr/local/sbin"):
            (folder / part).mkdir(parents=True)
        (folder / "etc/haproxy").symlink_to(folder)
        (folder / "etc/systemd/system/haproxy.service.d/skylens.conf").write_text("")
        (folder / "usr/local/sbin/skylens-node").symlink_to(NODE)

    @property
    def environ(self):
        own = {"SKYLENS_NODE_ROOT": str(self.folder), "REQUESTS_CA_BUNDLE": str(self.folder / "tls.pem")}
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/bin", "HOME": str(self.folder), **own}

    def certbot(self, authority, *words):
        """What certbot says, asked as the play asks it, or with other words."""
        server = ["--server", f"https://localhost:{authority.port}/dir"]
        folders = [part for name in ("config", "work", "logs") for part in (f"--{name}-dir", self.folder / name)]
        hooked = [str(HOOK) if word == "/usr/local/sbin/skylens-certificate" else word for word in self.words]
        assert str(HOOK) in hooked
        command = [need("certbot"), *(words or hooked[1:]), *folders, *server]
        done = subprocess.run(command, env=self.environ, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bring(self, rc=0):
        """What the play does after certbot, in case that it was cut off in between."""
        lineage = {"RENEWED_LINEAGE": str(self.folder / "config" / "live" / "skylens")}
        done = subprocess.run(["sh", HOOK], env=self.environ | lineage, stdout=subprocess.PIPE, text=True, check=False)
        assert done.returncode == rc
        return done.stdout

    def certificate(self, authority):
        """What is shown to a client that believes in this authority alone; None where it does not believe it."""
        tls = ssl.create_default_context(cadata=authority.root())
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as raw:
                return tls.wrap_socket(raw, server_hostname=NAME).getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError:
            return None

    def plain(self, path):
        asked = http.client.HTTPConnection("127.0.0.1", self.redirect, timeout=PATIENCE)
        with contextlib.closing(asked):
            asked.request("GET", path, headers={"Host": "other.example"})
            answer = asked.getresponse()
            return answer.status, answer.getheader("Location")


@pytest.fixture
def door(tmp_path):
    with ServiceManager(tmp_path) as manager:
        made = Door(tmp_path, manager)
        with running(tmp_path, made.path, manager):
            yield made


def test_a_certificate_is_asked_for_brought_to_the_proxy_and_renewed(door):
    with Authority(door.folder, door.redirect).running() as authority:
        assert door.certificate(authority) is None
        assert "Successfully received certificate" in door.certbot(authority)
        until(lambda: door.certificate(authority) is not None)
        first = door.certificate(authority)
        assert "not yet due for renewal" in door.certbot(authority)
        assert door.bring() == ""
        door.certbot(authority, "renew", "--force-renewal", "--no-random-sleep-on-renew")
        until(lambda: door.certificate(authority) not in {None, first})
        shown = door.folder / "acme" / "endpoint.pem"
        good = shown.read_bytes()
        (door.folder / "var/lib/skylens/applied/proxy").unlink()  # it was cut off before the proxy had read it
        assert door.bring() == "changed: proxy\n"
        assert shown.read_bytes() == good
        shown.write_bytes(b"the one before")
        (door.folder / "var/lib/skylens/applied/proxy").unlink()
        (door.folder / "refuses").touch()
        door.bring(rc=1)
        assert shown.read_bytes() == b"the one before"


def test_without_tls_everybody_is_sent_to_the_endpoint_by_its_name(door):
    assert door.plain("/v1/images?a=b") == (308, f"https://{NAME}/v1/images?a=b")
    assert door.plain("/.well-known/acme-challenge/x")[0] == 503
