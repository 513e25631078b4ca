"""Who calls, and what they may do: the seam where ways of knowing a caller fit in, each a ``Strategy``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

from skylens.errors import ForbiddenError

Scope: TypeAlias = Literal["submit", "read", "delete", "operate"]
"""``submit``: send images. ``read``: ask for answers. ``delete``: delete images. ``operate``: status and metrics."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
Header: TypeAlias = Callable[[str], str | None]
"""A request's header by its name, or None."""
OPEN_TENANT = "default"


@dataclass(frozen=True)
class Caller:
    """``key``: the public name of what they showed, for logs; empty where nobody is asked for anything."""

    tenant: str
    key: str
    scopes: frozenset[Scope]

    def check(self, scope: Scope | None) -> None:
        """Raise ForbiddenError without ``scope``; None is content with any."""
        if scope is not None and scope not in self.scopes:
            has = ", ".join(sorted(self.scopes))
            raise ForbiddenError(f"this API key lacks the scope {scope}; it has {has}", reason="scope")


class Strategy(Protocol):
    """A way to know a caller. It must not block: it is asked by the thread that serves every connection, too."""

    def caller(self, header: Header) -> Caller:
        """Who the request's headers say it is. Raises UnauthorisedError with a ``reason``."""

    def named(self, header: Header) -> str:
        """The public name of what was shown, refused or not, if it is known here; never a secret."""


class Open:
    """Asks nobody: everyone is the tenant ``default`` and may do everything."""

    def caller(self, header: Header) -> Caller:
        del header
        return Caller(OPEN_TENANT, "", frozenset(SCOPES))

    def named(self, header: Header) -> str:
        del header
        return ""
