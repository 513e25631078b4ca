"""Signatures: as Standard Webhooks has them, and verified by the lines that docs/webhooks.md gives to receivers."""

import base64
import re
from pathlib import Path

import pytest
from receivers import SECRET, is_signed

from web_openstack.webhooks.signature import headers, keys

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
OTHER = "whsec_" + base64.b64encode(bytes(24)).decode()
BODY = b'{"type":"image.done"}'
AT = 1_700_000_000


def signed(*secrets, at=AT):
    return dict(headers(keys([f"acme:{secret}" for secret in secrets])["acme"], "id-1", at, BODY))


@pytest.fixture(scope="module")
def verified():
    """The function out of the guide."""
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(lines, "docs/webhooks.md", "exec"), names)
    return names["verified"]


def test_the_specifications_own_example():
    """github.com/standard-webhooks: the values that every library of theirs is tested with."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = headers(keys([f"acme:{secret}"])["acme"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_guides_example_believes_what_we_send(verified):
    assert verified(SECRET, signed(SECRET), BODY, now=AT + 299)
    assert is_signed(signed(SECRET), BODY)


def test_while_a_secret_is_changed_the_old_and_the_new_one_are_good(verified):
    both = signed(OTHER, SECRET)
    assert verified(SECRET, both, BODY, now=AT)
    assert verified(OTHER, both, BODY, now=AT)


def test_the_guides_example_believes_nothing_else(verified):
    good = signed(SECRET)
    assert not verified(OTHER, good, BODY, now=AT)
    assert not verified(SECRET, good, BODY + b" ", now=AT)
    assert not verified(SECRET, good | {"webhook-id": "id-2"}, BODY, now=AT)
    assert not verified(SECRET, good | {"webhook-timestamp": str(AT + 1)}, BODY, now=AT)
    assert not verified(SECRET, good | {"webhook-timestamp": "soon"}, BODY, now=AT)
    assert not verified(SECRET, good | {"webhook-signature": "v1,\u00e9 v1a,x"}, BODY, now=AT)
    assert not verified(SECRET, good, BODY, now=AT + 301)
    assert not verified(SECRET, good, BODY)


def test_secrets_are_kept_by_tenant_in_their_order():
    found = keys([f"acme:{SECRET}", f"other:{OTHER}", f"acme:{OTHER}"])
    assert found == {"acme": (bytes(range(32)), bytes(24)), "other": (bytes(24),)}
