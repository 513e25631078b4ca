"""Who is at the door, and whether they may come in now: scopes, per-tenant limits, slots, predicted wait, shares."""

from collections.abc import Iterator
from contextlib import contextmanager

import falcon

from web_openstack.admission import Admission
from web_openstack.callers import Caller, Scope, Strategy
from web_openstack.fair_admission import FairAdmission
from web_openstack.gate import CALLER, REFUSED
from web_openstack.tenant_limits import TenantLimits


class Door:
    """What every resource asks before it works. Owned by the app; shared by all request threads."""

    def __init__(self, callers: Strategy, limits: TenantLimits, admission: Admission, fair: FairAdmission) -> None:
        self._callers, self._limits, self._fair = callers, limits, fair
        self.admission = admission

    def who(self, req: falcon.Request, scope: Scope | None) -> Caller:
        """Who calls; ``scope``: what they must be allowed to do, None: anything at all.

        Raises UnauthorisedError, ForbiddenError, UnavailableError.
        """
        refused = req.env.get(REFUSED)
        if refused is not None:
            raise refused
        caller = req.env.get(CALLER) or self._callers.caller(req.get_header)
        req.context.tenant, req.context.key = caller.tenant, caller.key
        caller.check(scope)
        return caller

    @contextmanager
    def admit(self, req: falcon.Request) -> Iterator[str]:
        """Let a new image in: its tenant, for as long as the request may block. Raises what the checks raise."""
        with self.admit_many(req) as tenant:
            self.charge(tenant)
            yield tenant

    @contextmanager
    def admit_many(self, req: falcon.Request) -> Iterator[str]:
        """Let a batch in; each of its images is to be charged."""
        tenant, key = self.who(req, "submit").tenant, req.get_header("Idempotency-Key") or ""
        share = self._fair.check(tenant, key)
        with self.admission.slot(tenant, share, lambda: self._fair.later(tenant, key)):
            yield tenant
            self._fair.entered(tenant, key)

    def charge(self, tenant: str) -> None:
        """Count an image against the tenant's limits. Raises TooManyRequestsError."""
        self._limits.charge(tenant)

    @contextmanager
    def visit(self, req: falcon.Request, scope: Scope) -> Iterator[tuple[str, bool]]:
        """Let someone ask for what is there: the tenant, and whether the request may wait for it."""
        tenant = self.who(req, scope).tenant
        with self.admission.visit(tenant) as may_wait:
            yield tenant, may_wait
