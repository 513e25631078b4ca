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
Tell: TypeAlias = Callable[[], None]
"""Called once, from any thread; it does not block."""
OPEN_TENANT = "default"


@dataclass(frozen=True)
class Caller:
    """``key``: the public name of what they showed, for logs; empty where nobody is asked for anything."""

    tenant: str
    key: str
    scopes: frozenset[Scope]

    def check(self, scope: Scope | None) -> None:
        """Raise ForbiddenError without ``scope``; None is content with any, but not with none at all."""
        if scope is None and not self.scopes:
            raise ForbiddenError("this key or token has no scope here", reason="scope")
        if scope is not None and scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise ForbiddenError(f"this key or token lacks the scope {scope}; it has {has}", reason="scope")


class Strategy(Protocol):
    """A way to know a caller. It must not block: it is asked by the thread that serves every connection, too."""

    def ready(self, header: Header, tell: Tell) -> bool:
        """Whether ``caller`` can say now. If not, somebody is being asked, and ``tell`` is called when it can."""

    def caller(self, header: Header) -> Caller:
        """Who the request's headers say it is.

        Raises UnauthorisedError or ForbiddenError with a ``reason``, UnavailableError while nobody can say.
        """

    def named(self, header: Header) -> str:
        """The public name of what was shown, refused or not, if it is known here; never a secret."""


class Open:
    """Asks nobody: everyone is the tenant ``default`` and may do everything."""

    def ready(self, header: Header, tell: Tell) -> bool:
        del header, tell
        return True

    def caller(self, header: Header) -> Caller:
        del header
        return Caller(OPEN_TENANT, "", frozenset(SCOPES))

    def named(self, header: Header) -> str:
        del header
        return ""
