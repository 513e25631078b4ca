"""A web tier that takes keys, the tokens of an issuer and those of a Keystone, all on loopback."""

from contextlib import ExitStack, contextmanager

from keyed import Keys
from loopback_issuer import AUDIENCE, serving_issuer
from loopback_keystone import serving_keystone

from skylens.clock import FakeClock
from web_openstack.vouched import vouched


class Trusting:
    """``issuer`` and ``keystone``: as the web tier asks them; ``keys``: an empty keys file; ``web``: the tier."""

    def __init__(self, make_web, stack, first=(), **settings):
        """``first``: what the issuer answers first."""
        self.issuer, self.keystone = stack.enter_context(serving_issuer()), stack.enter_context(serving_keystone())
        self.issuer.script += first
        self.keys, self.clock = Keys(), FakeClock()
        known = {"oidc_issuer": self.issuer.url, "oidc_audience": AUDIENCE, "keystone_url": self.keystone.url}
        self.web = make_web(
            ring=lambda: self.keys.ring,
            vouched=lambda loaded, clock: vouched(loaded, clock, stack)[0],
            fake=self.clock,
            **(known | settings),
        )


@contextmanager
def trusting(make_web, **settings):
    with ExitStack() as stack:
        yield Trusting(make_web, stack, **settings)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def auth_token(token):
    return {"X-Auth-Token": token}
