"""Keystone's own word on tokens, as the web tier hears it: no right and no credential is needed to ask."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from private_cloud import bring_up, connect

from skylens.clock import Clock
from skylens.errors import SkylensError
from web_openstack.fetch import Answer
from web_openstack.grants import Grants
from web_openstack.keystone import KeystoneTokens
from web_openstack.tokens import AUTH_TOKEN

pytestmark = [pytest.mark.openstack, pytest.mark.timeout(1800), pytest.mark.xdist_group("openstack")]
ROLES = ("member=submit+read+delete", "reader=read")


def plain(url, headers):
    """This Keystone has no TLS, for which the web tier's own way would refuse it."""
    answer = httpx2.get(url, headers=headers, trust_env=False, timeout=30)
    return Answer(answer.status_code, answer.content)


@pytest.fixture(scope="module")
def demo():
    """A plain member of a project."""
    if lacking := bring_up("fake"):
        pytest.fail(lacking) if os.environ.get("CI") == "true" else pytest.skip(lacking)
    with connect() as connection:
        yield connection


@pytest.fixture
def known(demo):
    """Who a token says that its holder is, or why nobody."""
    with ThreadPoolExecutor(2) as helpers:
        url = f"{demo.auth['auth_url'].removesuffix('/v3')}/v3"
        callers = KeystoneTokens(url, plain, Grants(ROLES), Clock(), helpers)

        def known(token):
            told, header = threading.Event(), {AUTH_TOKEN: token}.get
            assert callers.ready(header, told.set) or told.wait(60)
            try:
                return callers.caller(header)
            except SkylensError as error:
                return error.reason

        yield known


@pytest.fixture
def credential(demo):
    """Make an application credential; its token. They are deleted at the end."""
    made, user = [], demo.current_user_id

    def make(name, **fields):
        made.append(demo.identity.create_application_credential(user, name, **fields))
        method = {"id": made[-1].id, "secret": made[-1].secret}
        identity = {"methods": ["application_credential"], "application_credential": method}
        answer = demo.identity.post("/auth/tokens", json={"auth": {"identity": identity}}, authenticated=False)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    yield make
    for one in made:
        demo.identity.delete_application_credential(user, one)


def test_a_members_token_is_its_projects(demo, known):
    caller = known(demo.auth_token)
    assert (caller.tenant, caller.key) == (demo.current_project_id, f"keystone-{demo.current_user_id}")
    assert caller.scopes == {"submit", "read", "delete"}


def test_an_application_credential_may_have_fewer_rights(demo, known, credential):
    caller = known(credential("skylens-test-reader", roles=[{"name": "reader"}]))
    assert (caller.tenant, caller.scopes) == (demo.current_project_id, {"read"})


def test_one_that_was_made_for_other_services_lets_nobody_in(known, credential):
    rules = [{"service": "compute", "method": "GET", "path": "/v2.1/servers/detail"}]
    assert known(credential("skylens-test-rules", access_rules=rules)) == "token_unknown"


@pytest.mark.parametrize("token", ["nonsense", "gAAAAA" + "x" * 178])
def test_what_is_no_token_is_unknown(known, token):
    assert known(token) == "token_unknown"


def test_a_revoked_token_is_unknown(demo, known, credential):
    token = credential("skylens-test-revoked")
    gone = demo.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert gone.status_code == 204, gone.text
    assert known(token) == "token_unknown"
