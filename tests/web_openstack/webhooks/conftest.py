"""A web tier that may send webhooks, and a receiver of the test's own."""

import pytest
from hooked import SETTING, Receiver


@pytest.fixture
def web(make_web):
    return make_web(webhook_secrets=SETTING)


@pytest.fixture
def receiver():
    return Receiver()
