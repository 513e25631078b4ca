"""Keystone's tokens as a strategy: each is shown to Keystone, by helpers of its own, and its word counts for a minute.

A token asks about itself, which Keystone allows every token (``identity:validate_token``: ``rule:token_subject``), so a
web node needs no right there, and no credential. One of an application credential with access rules is refused by
Keystone, for it was made for other services.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from concurrent.futures import Executor
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec

from skylens import logs
from skylens.clock import Clock
from skylens.errors import ForbiddenError, MessageError, SkylensError, UnauthorisedError, UnavailableError
from skylens.messages import Struct, decode
from web_openstack.callers import Caller, Header, Tell
from web_openstack.fetch import Fetch
from web_openstack.grants import Grants
from web_openstack.keyring import is_tenant
from web_openstack.tokens import AUTH_TOKEN, UNKNOWN, fingerprint, name

log = logs.get(__name__)

FORM = re.compile(r"[\w.+/=-]{1,8192}", re.ASCII)
HELPERS, MOST_ASKED, KEPT = 16, 64, 10_000
"""Tokens asked about at once, on their way or waiting for it, and remembered of the good ones and of the others."""
FOR_GOOD = 16
"""Of ``MOST_ASKED``, so many are for tokens that were good when they were asked about last."""
GOOD, BAD, AWAY = 60.0, 10.0, 1.0
"""Seconds for which Keystone's word counts: that a token is good, that it is not, and that nothing was to be had."""
REFUSED = (401, 403, 404)
"""Keystone's words for a token that it does not know, or not to us."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Named(Struct, frozen=True, kw_only=True):
    id: str = ""
    name: str = ""


class ApplicationCredential(Struct, frozen=True, kw_only=True):
    access_rules: list[Any] | None = None


class Token(Struct, frozen=True, kw_only=True):
    """As Keystone says it, of which only this is read."""

    user: Named
    expires_at: Moment
    project: Named | None = None
    roles: list[Named] = msgspec.field(default_factory=list)
    application_credential: ApplicationCredential | None = None


class TokenAnswer(Struct, frozen=True, kw_only=True):
    token: Token


@dataclass(frozen=True)
class Verdict:
    """``seconds``: how long it counts; ``expires``: Unix seconds when the token ends, infinite if nobody said so."""

    outcome: Caller | SkylensError
    seconds: float
    name: str = ""
    expires: float = float("inf")


class KeystoneTokens:
    """Whoever waits is the server's: a connection that is not read. A helper tells them, whatever became of its call.

    The lock is held for looks into memory alone. It all dies with the process, and the next one asks anew.
    """

    def __init__(self, url: str, fetch: Fetch, grants: Grants, clock: Clock, helpers: Executor) -> None:
        """``url``: of the Identity API, ending in /v3; ``helpers``: at most ``HELPERS`` threads."""
        self._url, self._fetch, self._grants, self._clock, self._helpers = url, fetch, grants, clock, helpers
        self._good: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._others: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._asked: dict[bytes, list[Tell]] = {}
        self._lock = threading.Lock()
        self._away = False

    def ready(self, header: Header, tell: Tell) -> bool:
        token = _shown(header)
        digest = _digest(token)
        with self._lock:
            if not token or self._fresh(digest) is not None:
                return True
            if digest in self._asked:
                self._asked[digest].append(tell)
                return False
            if len(self._asked) >= (MOST_ASKED if digest in self._good else MOST_ASKED - FOR_GOOD):
                return True
            self._asked[digest] = [tell]
        try:
            self._helpers.submit(self._ask, digest, token)
        except RuntimeError:  # no thread could be had
            with self._lock:
                del self._asked[digest]
            return True
        return False

    def caller(self, header: Header) -> Caller:
        token = _shown(header)
        if not token:
            raise UnauthorisedError(UNKNOWN, reason="token_form")
        with self._lock:
            verdict = self._fresh(_digest(token))
        if verdict is None:
            raise UnavailableError("Keystone could not be asked about this token just now", retry_after=1)
        if verdict.expires <= self._clock.now():
            raise UnauthorisedError("this token has expired", reason="token_expired")
        if isinstance(verdict.outcome, SkylensError):
            raise copy(verdict.outcome)  # one that several threads raise would gather their traces
        return verdict.outcome

    def named(self, header: Header) -> str:
        """The user, if Keystone said so just now; else the token's fingerprint."""
        token = _shown(header)
        with self._lock:
            verdict = self._fresh(_digest(token))
        return (verdict and verdict.name) or fingerprint(token)

    def _fresh(self, digest: bytes) -> Verdict | None:
        now = self._clock.ticks()
        heard = (known[digest] for known in (self._good, self._others) if digest in known)
        return next((verdict for until, verdict in heard if now < until), None)

    def _remember(self, digest: bytes, verdict: Verdict) -> None:
        """Strangers push out strangers alone; who was good is known as such until Keystone denies it."""
        self._others.pop(digest, None)
        if not isinstance(verdict.outcome, UnavailableError):
            self._good.pop(digest, None)
        known = self._good if isinstance(verdict.outcome, Caller) else self._others
        known[digest] = (self._clock.ticks() + verdict.seconds, verdict)
        if len(known) > KEPT:
            known.popitem(last=False)

    def _ask(self, digest: bytes, token: str) -> None:
        """One helper's work."""
        try:
            verdict = self._verdict(token)
        except Exception:  # whoever waits is to hear of it
            log.exception("keystone.broke")
            verdict = Verdict(UnavailableError(), AWAY)
        with self._lock:
            self._remember(digest, verdict)
            waiting = self._asked.pop(digest)
        for tell in waiting:
            tell()

    def _verdict(self, token: str) -> Verdict:
        try:
            found = self._heard(token)
        except (UnavailableError, MessageError) as error:
            if not self._away:
                log.error("keystone.away", trouble=error.detail)  # noqa: TRY400 - no trace
            self._away = True
            return Verdict(UnavailableError("Keystone does not answer just now", retry_after=5), AWAY)
        if self._away:
            log.info("keystone.back")
        self._away = False
        return found

    def _heard(self, token: str) -> Verdict:
        """What Keystone says. Raises UnavailableError, MessageError."""
        answer = self._fetch(f"{self._url}/auth/tokens?nocatalog", {AUTH_TOKEN: token, "X-Subject-Token": token})
        if answer.status in REFUSED:
            return Verdict(UnauthorisedError(UNKNOWN, reason="token_unknown"), BAD)
        if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
            raise UnavailableError(f"{self._url} answers with status {answer.status}")
        return judged(decode(TokenAnswer, answer.body).token, self._grants)


def judged(token: Token, grants: Grants) -> Verdict:
    """What a token that Keystone knows lets do: its project is the tenant, its roles there are its scopes."""
    who = name("keystone", token.user.id)
    if token.application_credential is not None and token.application_credential.access_rules is not None:
        return Verdict(UnauthorisedError(UNKNOWN, reason="token_restricted"), BAD, who)
    if token.project is None or not is_tenant(token.project.id):
        wrong = ForbiddenError("this token is of no project; ask Keystone for one of a project", reason="tenant")
        return Verdict(wrong, BAD, who)
    caller = Caller(token.project.id, who, grants.scopes(role.name for role in token.roles))
    return Verdict(caller, GOOD, who, token.expires_at.timestamp())


def _shown(header: Header) -> str:
    """The token; empty if it cannot be one."""
    shown = header(AUTH_TOKEN) or ""
    return shown if FORM.fullmatch(shown) else ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
