"""What a setting's text may be, where no type of pydantic's says it. Each error says what would be right."""

import base64
import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

SECRET_BYTES = (24, 64)
"""Bounds of a webhook secret, as Standard Webhooks has them."""
_LOOPBACK = r"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])"
AUTHORITY = rf"(https://([A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\])|http://{_LOOPBACK})(:\d{{1,5}})?"
"""Of whom to believe about callers: over HTTPS, or on this machine."""
_SCOPE = r"(submit|read|delete|operate)"
_GRANT = re.compile(rf"[^\s=,]{{1,200}}={_SCOPE}(\+{_SCOPE})*")


def split_words(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _port(address: str) -> str:
    if address and int(address.rpartition(":")[2]) > 65535:  # noqa: PLR2004 - the highest port there is
        raise ValueError("a port is a number up to 65535")
    return address


def _keys(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}:[0-9a-f]{64}", entry):
            raise ValueError("each entry must be tenant:<SHA-256 of the key in lower-case hex>")
    return value


def _issuer(value: str) -> str:
    if value and not re.fullmatch(rf"{AUTHORITY}(/[^\s?#]*)?", value):
        raise ValueError("must be https://host or https://host/path, or http:// on this machine's loopback")
    return value


def _keystone(value: str) -> str:
    if value and not re.fullmatch(rf"{AUTHORITY}(/[^\s?#]*)?/v3", value):
        raise ValueError("must be https://host:5000/v3 or the like, or http:// on this machine's loopback")
    return value


def _grants(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        if not _GRANT.fullmatch(entry):
            raise ValueError(f"{entry[:80]!r} should be word=scope, or word=submit+read+delete+operate")
    if not value:
        raise ValueError("it should be one word=scope or more; without any, no token lets do anything")
    return value


def _secrets(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        found = re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}:whsec_((?:[A-Za-z0-9+/]{4}){8,22}[A-Za-z0-9+/=]{0,4})", entry)
        try:
            size = len(base64.b64decode(found[1], validate=True)) if found else 0
        except ValueError:
            size = 0
        if not SECRET_BYTES[0] <= size <= SECRET_BYTES[1]:
            raise ValueError("each entry must be tenant:whsec_<base64 of 24 to 64 random bytes>")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        try:
            ip_network(entry)
        except ValueError as error:
            raise ValueError(f"{error}; each entry must be a network such as 10.2.0.0/16") from None
    return value


def _nodes(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(re.fullmatch(r"https?://[^\s/]+", node) for node in value):
        raise ValueError("must be one or more of http://host:port")
    return value


def _prices(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        if not re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+=\d+(\.\d+)?", entry):
            raise ValueError(f"{entry!r} should be an instance type and its dollars an hour: c7i.large=0.08925")
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_words)]
"""Several values in one variable, separated by commas or white space."""
ApiKeys = Annotated[Words, AfterValidator(_keys)]
Grants = Annotated[Words, AfterValidator(_grants)]
WebhookSecrets = Annotated[Words, AfterValidator(_secrets)]
Networks = Annotated[Words, AfterValidator(_networks)]
Nodes = Annotated[Words, AfterValidator(_nodes)]
Prices = Annotated[Words, AfterValidator(_prices)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
KeystoneUrl = Annotated[str, AfterValidator(_keystone)]
ListenAddress = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-]+):\d{1,5}$"), AfterValidator(_port)]
MetricsAddress = Annotated[str, Field(pattern=r"^([A-Za-z0-9.\-]+:\d{1,5})?$"), AfterValidator(_port)]
"""As above without IPv6, or nothing."""
