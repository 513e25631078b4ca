"""JSON Web Tokens of an OIDC issuer as a strategy (RFC 7519, RFC 8725)."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from skylens.clock import Clock
from skylens.errors import ForbiddenError, MessageError, UnauthorisedError, UnavailableError
from skylens.messages import Struct, decode
from web_openstack.callers import Caller, Header, Tell
from web_openstack.grants import Grants
from web_openstack.issuer import AGAIN, SIGNED_BY, IssuerKeys, Key
from web_openstack.keyring import is_tenant
from web_openstack.keys import bearer
from web_openstack.tokens import UNKNOWN, fingerprint, name

LEEWAY = 10.0
"""Seconds by which the issuer's clock and ours may differ."""
REQUIRED = ["iss", "aud", "exp", "iat", "sub"]
"""Claims without which no token is taken; ``nbf`` counts where it is, for most issuers set none."""
FAULTS: dict[type[jwt.PyJWTError], tuple[str, str]] = {
    jwt.InvalidAlgorithmError: ("token_algorithm", UNKNOWN),
    jwt.InvalidSignatureError: ("token_signature", UNKNOWN),
    jwt.InvalidIssuerError: ("token_issuer", "this token is of another issuer"),
    jwt.InvalidAudienceError: ("token_audience", "this token is for another audience"),
    jwt.MissingRequiredClaimError: ("token_claims", f"this token lacks one of the claims {', '.join(REQUIRED)}"),
}
"""By what the library finds: the reason for logs, and what its holder is told, which is nothing unless it is signed."""


class Head(Struct, frozen=True, kw_only=True):
    alg: str
    kid: str = ""


@dataclass(frozen=True)
class Expected:
    """What a token must say, and where it says who may do what."""

    issuer: str
    audience: str
    tenant_claim: str
    scope_claim: str
    grants: Grants


class OidcTokens:
    """A signature takes as long to find wrong as right; the key's id, which is looked up first, is public."""

    def __init__(self, keys: IssuerKeys, expected: Expected, clock: Clock) -> None:
        self._keys, self._expected, self._clock = keys, expected, clock

    def ready(self, header: Header, tell: Tell) -> bool:
        """Not, when the token's key is unknown and the issuer was not asked for its keys just now."""
        head = _head(bearer(header))
        if head is None or head.alg not in SIGNED_BY:
            return True
        return self._keys.find(head.kid) is not None or not self._keys.renew(tell)

    def caller(self, header: Header) -> Caller:
        claims = self._claims(bearer(header))
        check_times(claims, self._clock.now())
        tenant = claims.get(self._expected.tenant_claim)
        if not is_tenant(tenant):
            raise ForbiddenError(
                f"this token's claim {self._expected.tenant_claim} names no tenant: 1 to 63 of a-z, 0-9 and -",
                reason="tenant",
            )
        scopes = self._expected.grants.scopes(words(claims.get(self._expected.scope_claim)))
        return Caller(str(tenant), name("oidc", claims["sub"]), scopes)

    def named(self, header: Header) -> str:
        """The subject, if the issuer signed it; else the token's fingerprint."""
        token = bearer(header)
        try:
            return name("oidc", self._claims(token)["sub"])
        except (UnauthorisedError, UnavailableError):
            return fingerprint(token)

    def _claims(self, token: str) -> dict[str, Any]:
        """Signed, and of the expected issuer and audience; times are yet to be checked."""
        key = self._key(token)
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=key.algorithms,
                audience=self._expected.audience,
                issuer=self._expected.issuer,
                options={"require": REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            reason, told = FAULTS.get(type(error), ("token_form", UNKNOWN))  # type: ignore[arg-type]
            raise UnauthorisedError(told, reason=reason) from error

    def _key(self, token: str) -> Key:
        head = _head(token)
        if head is None:
            raise UnauthorisedError(UNKNOWN, reason="token_form")
        if head.alg not in SIGNED_BY:
            raise UnauthorisedError(UNKNOWN, reason="token_algorithm")
        if not len(self._keys):
            raise UnavailableError("the tokens' issuer has not been reached yet", retry_after=int(AGAIN))
        key = self._keys.find(head.kid)
        if key is None:
            raise UnauthorisedError(UNKNOWN, reason="token_key")
        return key


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """``now``: Unix seconds. Raises UnauthorisedError; the token is signed, so its holder is told."""
    times = {claim: claims.get(claim, 0) for claim in ("exp", "iat", "nbf")}
    if not all(type(time) in {int, float} and abs(time) < math.inf for time in times.values()):
        raise UnauthorisedError("exp, iat and nbf of this token must be numbers", reason="token_claims")
    if times["exp"] <= now - LEEWAY:
        raise UnauthorisedError(f"this token expired {_ago(times['exp'])}", reason="token_expired")
    if max(times["iat"], times["nbf"]) > now + LEEWAY:
        raise UnauthorisedError("this token is not valid yet; are the clocks right?", reason="token_early")


def _ago(moment: float) -> str:
    try:
        return f"at {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M UTC}"
    except (ValueError, OverflowError, OSError):
        return "long ago"


def words(claim: object) -> list[str]:
    """Of a scope claim: a text of words, or a list of them; of anything else none."""
    if isinstance(claim, str):
        return claim.split()
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []


def _head(token: str) -> Head | None:
    """A token's header, which nobody has signed yet; None if it cannot be read."""
    part = token.partition(".")[0]
    try:
        return decode(Head, base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (MessageError, ValueError):
        return None
