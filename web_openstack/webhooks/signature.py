"""Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

FORM = "whsec_"
"""What a secret begins with; base64 follows."""


def keys(entries: Sequence[str]) -> dict[str, tuple[bytes, ...]]:
    """The secrets of each tenant, out of ``tenant:whsec_<base64>``. Several of one tenant: all sign, in that order."""
    found: dict[str, tuple[bytes, ...]] = {}
    for entry in entries:
        tenant, _, secret = entry.partition(":")
        found[tenant] = (*found.get(tenant, ()), base64.b64decode(secret.removeprefix(FORM)))
    return found


def headers(secrets: Sequence[bytes], message: str, at: int, body: bytes) -> Mapping[str, str]:
    """``message``: the id that every repeat has; ``at``: Unix seconds of this attempt."""
    signed = f"{message}.{at}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
