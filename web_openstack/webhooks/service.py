"""Builds what delivers webhooks, of what the web tier has."""

import contextlib
import secrets
import ssl
from concurrent.futures import ThreadPoolExecutor

from skylens.clock import Clock
from web_openstack.app import Deps
from web_openstack.batches import Batches
from web_openstack.webhooks import signature
from web_openstack.webhooks.agenda import AT_ONCE
from web_openstack.webhooks.courier import Courier, Delivery
from web_openstack.webhooks.events import Events
from web_openstack.webhooks.post import Post
from web_openstack.webhooks.target import Rules


def courier(deps: Deps, stack: contextlib.ExitStack, clock: Clock) -> Courier:
    """With threads of its own; ``stack`` lets them end what they are sending before the process ends."""
    s, rules = deps.settings, Rules.of(deps.settings)
    delivery = Delivery(
        hooks=deps.hooks,
        events=Events(deps.jobs, Batches(deps.state, deps.jobs, s.max_batch), deps.answers),
        secrets=signature.keys(s.webhook_secrets),
        rules=rules,
        send=Post(rules, clock, ssl.create_default_context()),
        metrics=deps.metrics,
        clock=clock,
        chance=secrets.SystemRandom().random,
    )
    workers = stack.enter_context(ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook"))
    return Courier(delivery, deps.hooks.agenda, workers, clock)
