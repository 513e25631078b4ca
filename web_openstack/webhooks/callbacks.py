"""The door's part: reads ``Callback-Url``, and registers it before its request is answered."""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import falcon

from skylens.aws_errors import AWS_ERRORS
from skylens.errors import BadRequestError, ConflictError
from web_openstack.jobs import unavailable
from web_openstack.webhooks.agenda import Place
from web_openstack.webhooks.hooks import Hooks, Kind
from web_openstack.webhooks.target import HEADER, Rules


@dataclass(frozen=True)
class Callback:
    """What one request wants to be told, and where."""

    hooks: Hooks
    tenant: str
    kind: Kind
    url: str

    def register(self, name: str) -> bool:
        """Promise it for the image or batch of that id; False when one is promised already.

        Raises TooManyRequestsError, UnavailableError.
        """
        return self.hooks.register(Place(self.tenant, name), self.kind, self.url)

    def agree(self, name: str) -> None:
        """Raise ConflictError unless this is what is promised for that image or batch already, or UnavailableError."""
        try:
            held = self.hooks.get(Place(self.tenant, name))
        except AWS_ERRORS as error:
            raise unavailable(error) from error
        if held is None:
            raise ConflictError(
                f"{name} is taken in already, and no webhook of it is due: it had no {HEADER}, or is told"
            )
        if held.hook.url != self.url:
            raise ConflictError(f"{name} came with another {HEADER} before, and is told there")

    @property
    def digest(self) -> str:
        """By which a repeat of the request is known to be the same."""
        return hashlib.sha256(self.url.encode()).hexdigest()


@contextmanager
def promised(callback: Callback | None, name: str) -> Iterator[None]:
    """Register it for an image or batch that is about to be made under an id of its own; take it back if none is made.

    Raises what ``register`` raises.
    """
    if callback is None:
        yield
        return
    callback.register(name)
    try:
        yield
    except BaseException:
        callback.hooks.withdraw(Place(callback.tenant, name))
        raise


@dataclass(frozen=True)
class Callbacks:
    hooks: Hooks
    tenants: Collection[str]
    """Those that have a secret to sign with."""
    rules: Rules

    def asked(self, req: falcon.Request, tenant: str, kind: Kind) -> Callback | None:
        """None without the header. Raises BadRequestError for a URL, or a tenant, that nothing is sent for."""
        url = req.get_header(HEADER)
        if url is None:
            return None
        if tenant not in self.tenants:
            raise BadRequestError(f"{HEADER}: the operator has set no secret for this tenant, so nothing can be sent")
        self.rules.parse(url)
        return Callback(self.hooks, tenant, kind, url)
