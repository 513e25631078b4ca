"""Builds what knows callers for whom somebody else vouches: an OIDC issuer, Keystone."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from skylens.clock import Clock
from skylens.errors import SettingsError
from skylens.settings import WebSettings
from web_openstack.callers import Strategy
from web_openstack.grants import Grants
from web_openstack.tokens import Tokens

if TYPE_CHECKING:
    from web_openstack.fetch import Fetch


def vouched(settings: WebSettings, clock: Clock, stack: contextlib.ExitStack) -> tuple[Tokens, list[threading.Thread]]:
    """What the settings ask for, and the threads that it needs, begun; ``stack`` ends them. Raises SettingsError."""
    if not settings.oidc_issuer and not settings.keystone_url:
        return Tokens(), []
    from web_openstack.fetch import HttpFetch  # noqa: PLC0415 - only who uses it has httpcore in memory

    fetch = HttpFetch(settings.tokens_ca, clock.ticks)
    oidc, threads = _oidc(settings, fetch, clock, stack) if settings.oidc_issuer else (None, [])
    return Tokens(oidc, _keystone(settings, fetch, clock, stack) if settings.keystone_url else None), threads


def _oidc(
    settings: WebSettings, fetch: "Fetch", clock: Clock, stack: contextlib.ExitStack
) -> tuple[Strategy, list[threading.Thread]]:
    try:  # which only those have who use it
        from web_openstack.issuer import IssuerKeys  # noqa: PLC0415
        from web_openstack.oidc import Expected, OidcTokens  # noqa: PLC0415
    except ImportError as error:
        setting = f"SKYLENS_OIDC_ISSUER={settings.oidc_issuer!r}"
        raise SettingsError(f"{setting} needs PyJWT ({error}): install skylens[oidc]") from error
    keys = IssuerKeys(settings.oidc_issuer, fetch, clock)
    keys.start()
    stack.callback(keys.halt)
    expected = Expected(
        settings.oidc_issuer,
        settings.oidc_audience,
        settings.oidc_tenant_claim,
        settings.oidc_scope_claim,
        Grants(settings.oidc_scopes),
    )
    return OidcTokens(keys, expected, clock), [keys]


def _keystone(settings: WebSettings, fetch: "Fetch", clock: Clock, stack: contextlib.ExitStack) -> Strategy:
    from web_openstack import keystone  # noqa: PLC0415 - as above

    helpers = stack.enter_context(ThreadPoolExecutor(keystone.HELPERS, thread_name_prefix="keystone"))
    return keystone.KeystoneTokens(settings.keystone_url, fetch, Grants(settings.keystone_roles), clock, helpers)
