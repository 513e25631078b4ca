"""Wrong values for every setting of every tier, made from what the setting says of itself: (tier, variable, value)."""

import random
import types
import typing
from typing import Literal

from annotated_types import Ge, Gt, Le, Lt

from skylens.settings import PREFIX, TIERS

NONSENSE = (
    "perhaps",
    "1 2",
    "--help",
    "\u0661\u0662",
    "\ufffe",
    "${HOME}",
    "1e",
    "0x10",
    "[1",
    '{"a": 1}',
    "NaN!",
    "\n",
)
HUGE = "9" * 5000
ADDRESSES = (
    "8080",
    ":8080",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "a b:80",
    "[::1",
    "x" * 9000,
)
NOT_HTTPS = ("idp.example", "http://idp.example", "ftp://a", "https://", "http://127.0.0.1.evil.example", "file:///etc")
NO_GRANTS = ("", "member", "member=", "=read", "member=write", "member=read+", "member=read+write", "a=read b")
TEXTS = {
    "api_keys": (
        "acme",
        "acme:secret",
        "Acme:" + "0" * 64,
        "acme:" + "g" * 64,
        ":" + "0" * 64,
        "a:b:c",
        "a:" + "0" * 63,
    ),
    "oidc_issuer": (*NOT_HTTPS, "https://a?b", "https://a#b", "https://user@a", "https://a b"),
    "keystone_url": (*NOT_HTTPS, "https://a", "https://a:5000/v2.0", "https://a/v3/", "https://a/v3/auth/tokens"),
    "oidc_scopes": NO_GRANTS,
    "keystone_roles": NO_GRANTS,
    "oidc_tenant_claim": ("",),
    "oidc_scope_claim": ("",),
    "web_nodes": ("10.0.0.1:8081", "ftp://a:1", "http://", "http://a b", "http://a:1/x", "javascript:alert(1)"),
    "prices": ("c7i.large", "c7i.large=", "c7i.large=-1", "c7i.large=NaN", "=1", "c7i.large=1e3", "C7I.LARGE=1"),
    "rate_limit": ("100", "100/fortnight", "-1/second", "1.5/second", "/second", "100 / second", "100/second;"),
    "region": ("moon", "us-east", "US-EAST-1", "us_east_1", "us-east-1a", "us-east-1 ", "../us-east-1"),
    "deployment": ("My Cloud", "a_b", "1a", "a" * 31, "a/b", "a;b", "lab-replies", "a-replies-b", "\u00e9t\u00e9", ""),
    "node": ("a b", "a" * 41, "a.b", "a/b", "\u00e9"),
    "webhook_secrets": (
        "acme",
        "acme:secret",
        "acme:whsec_",
        "acme:whsec_" + "A" * 28,
        "acme:whsec_" + "A" * 33,
        "acme:whsec_" + "A" * 34 + "!=",
        "acme:whsec_" + "A" * 96,
        "Acme:whsec_" + "A" * 40,
        ":whsec_" + "A" * 40,
    ),
    "webhook_networks": ("10.2.0.0/33", "10.2.0.1/16", "10.2.0.0-10.2.0.9", "lab", "fd00::/129", "*", "10.2.0.0/-1"),
    "launch_template": ("a b", "a" * 129, "a;b", "\u00e9"),
    "group": ("a b", "a" * 256, "a/b", "a;b"),
}
for _address in ("listen", "internal_listen", "metrics_listen"):
    TEXTS[_address] = ADDRESSES
for _bucket in ("input_bucket", "output_bucket", "state_bucket"):
    TEXTS[_bucket] = ("A", "a", "a_b", "-ab", "ab-", "a" * 64, "a/b", "a b")
ANYTHING_GOES = {
    "model",
    "models_dir",
    "keys_file",
    "oidc_audience",
    "tokens_ca",
    "nova_cloud",
    "trusted_proxy",
    "subnets",
    "instance_types",
}
"""Free text: a wrong value is found where it is used."""


def plain(annotation):
    """The type without ``Annotated`` and ``None``."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        (annotation,) = [one for one in typing.get_args(annotation) if one is not type(None)]
    return annotation


def numbers(field, kind, chance):
    """Beyond each bound, by a little and by much; and what is no number."""
    for bound in field.metadata:
        if isinstance(bound, Ge | Gt):
            least = bound.ge if isinstance(bound, Ge) else bound.gt
            yield from (str(least - 1 - step) for step in (0, 1, chance.randrange(10**6), 10**18))
        if isinstance(bound, Le | Lt):
            most = bound.le if isinstance(bound, Le) else bound.lt
            yield from (str(most + 1 + step) for step in (0, 1, chance.randrange(10**6), 10**18))
    yield from ("", "nan", "inf", "-inf", HUGE, *NONSENSE)
    if kind is int:
        yield from ("1.5", "1e999", "true-ish")


def of_field(name, field, chance):
    kind = plain(field.annotation)
    if name in TEXTS:
        return [*TEXTS[name]]
    if kind in {int, float}:
        return list(numbers(field, kind, chance))
    if kind is bool:
        return ["", "2", "yess", "truee", "nul", HUGE, *NONSENSE]
    if typing.get_origin(kind) is Literal:
        first = typing.get_args(kind)[0]
        return ["", first.swapcase(), first + "x", f" {first}", HUGE, *NONSENSE]
    assert name in ANYTHING_GOES, f"no wrong values are known for {name}"
    return []


def generated(seed):
    chance = random.Random(seed)
    for tier in TIERS:
        for name, field in tier.model_fields.items():
            for value in of_field(name, field, chance):
                yield tier, PREFIX + name.upper(), value
