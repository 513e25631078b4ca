"""An OpenID Connect issuer on loopback: discovery, its public keys, and tokens of every kind, good and bad."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from loopback import Replying, serving

ISSUED = 1_700_000_000
"""When the fake clock begins."""
AUDIENCE = "skylens"
MAKERS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public_jwk(key, alg, kid):
    made = json.loads(jwt.get_algorithm_by_name(alg).to_jwk(key.public_key()))
    return made | {"kid": kid, "use": "sig"}


def part(document):
    """A part of a JWT of a document that no library would sign."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Issuer:
    """``listed``: the keys that it shows; ``private``: those that it signs with, each with its algorithm.

    ``script``: what the next requests get: a status, bytes, or an Event to wait for first.
    """

    def __init__(self, url):
        self.url, self.private, self.listed = url, {}, []
        self.asked, self.script, self.called_itself = [], [], url

    def add(self, kid, alg="ES256"):
        """A new key, listed at once."""
        self.private[kid] = (MAKERS[alg](), alg)
        self.listed.append(public_jwk(*self.private[kid], kid))

    def claims(self, **changes):
        """Of a good token; a claim that is to be missing is None."""
        known = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": ISSUED,
            "exp": ISSUED + 3600,
            "tenant": "acme",
            "scope": "openid skylens:submit skylens:read skylens:delete skylens:operate",
        }
        return {name: value for name, value in (known | changes).items() if value is not None}

    def token(self, kid="one", **changes):
        key, alg = self.private[kid]
        payload = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(payload, key, alg, headers={"kid": kid})

    def pem(self, kid="one"):
        """Its public key as everybody can have it."""
        kinds = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private[kid][0].public_key().public_bytes(*kinds)

    def answer(self, path):
        """Status and body."""
        step = self.script.pop(0) if self.script else 200
        if isinstance(step, threading.Event):
            step.wait(60)
            step = 200
        if isinstance(step, bytes):
            return 200, step
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.called_itself, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": self.listed},
        }
        return (step, json.dumps(documents[path]).encode()) if path in documents else (404, b"{}")


@contextmanager
def serving_issuer():
    """An issuer with one key, ``one``, until the block ends."""

    class Handler(Replying, BaseHTTPRequestHandler):
        def do_GET(self):
            issuer.asked.append(self.path)
            status, body = issuer.answer(self.path)
            self.reply(status, body, {"Location": f"{issuer.url}/keys"} if status in range(300, 400) else {})

    with serving(Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        issuer.add("one")
        yield issuer
