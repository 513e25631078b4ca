"""What a tenant may use: its own limits before the setting's, exact under many threads, and room again in time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from keyed import Keys, header
from web_tier import multipart, picture

from skylens.clock import FakeClock
from skylens.errors import TooManyRequestsError
from skylens.fakes import aws_error
from web_openstack.keyring import Limits
from web_openstack.tenant_limits import TenantLimits

ASYNC = {"Content-Type": "image/png", "Prefer": "respond-async"}


@pytest.fixture
def clock():
    return FakeClock()


def refused(limits, tenant="acme"):
    with pytest.raises(TooManyRequestsError) as error:
        limits.charge(tenant)
    return error.value.reason, error.value.retry_after


def test_a_tenants_own_rate_is_in_place_of_the_settings(clock):
    limits = TenantLimits("1/hour", lambda: {"acme": Limits(rate="3/hour")}, clock.clock())
    for _ in range(3):
        limits.charge("acme")
    reason, wait = refused(limits)
    assert reason == "rate"
    assert 3590 <= wait <= 3600
    limits.charge("globex")
    assert refused(limits, "globex")[0] == "rate"


def test_a_changed_limit_counts_at_once(clock):
    own = {"acme": Limits(per_day=1)}
    limits = TenantLimits("", lambda: own, clock.clock())
    limits.charge("acme")
    assert refused(limits)[0] == "per_day"
    own["acme"] = Limits(per_day=2)
    limits.charge("acme")
    assert refused(limits)[0] == "per_day"
    own.clear()
    limits.charge("acme")


def test_a_day_ends_at_midnight_utc(clock):
    limits = TenantLimits("", lambda: {"acme": Limits(per_day=2)}, clock.clock())
    limits.charge("acme")
    limits.charge("acme")
    reason, wait = refused(limits)
    assert reason == "per_day"
    assert (clock.now() + wait) % 86400 == 0
    clock.sleep(wait - 1)
    assert refused(limits) == ("per_day", 1)
    clock.sleep(1)
    limits.charge("acme")


def test_what_the_rate_refused_is_not_counted_for_the_day(clock):
    limits = TenantLimits("", lambda: {"acme": Limits(rate="1/hour", per_day=2)}, clock.clock())
    limits.charge("acme")
    for _ in range(5):
        assert refused(limits)[0] == "rate"


@pytest.fixture
def web(make_web):
    keys = Keys()
    keys.add("acme", "acme")
    keys.add("globex", "globex")
    made = make_web(ring=lambda: keys.ring, cache_mib=0)
    made.keys = keys
    return made


def limit(web, **limits):
    web.keys.ring = web.keys.ring.limiting("acme", Limits(**limits))


def post(web, tenant="acme"):
    return web.client.simulate_post("/v1/images", body=picture(), headers=ASYNC | header(web.keys.secrets[tenant]))


def test_a_tenant_may_have_so_many_unanswered_images_and_room_comes_with_an_answer(web):
    limit(web, outstanding=2)
    assert [post(web).status_code for _ in range(3)] == [202, 202, 429]
    answer = post(web)
    assert answer.json["detail"] == "2 images of this tenant are not answered yet, as many as it may have"
    assert int(answer.headers["Retry-After"]) >= 1
    assert post(web, "globex").status_code == 202
    web.deps.jobs.settle(web.reply(web.taken()[0]))
    assert [post(web).status_code for _ in range(2)] == [202, 429]


def test_an_image_that_was_not_taken_in_leaves_its_room(web):
    limit(web, outstanding=1)
    web.requests.script.fail("send", aws_error("ServiceUnavailable", 503))
    assert post(web).status_code == 503
    assert web.deps.jobs.demand.outstanding() == 0


def test_many_at_once_get_not_one_more_than_allowed(web):
    limit(web, outstanding=5)
    with ThreadPoolExecutor(30) as clients:
        answers = list(clients.map(lambda _: post(web).status_code, range(60)))
    assert sorted(answers) == [202] * 5 + [429] * 55


def test_in_a_batch_what_is_too_much_is_refused_file_by_file(web):
    limit(web, outstanding=2)
    body, headers = multipart(*[("f", f"{number}.png", picture()) for number in range(4)])
    answer = web.client.simulate_post("/v1/batches", body=body, headers=headers | header(web.keys.secrets["acme"]))
    assert answer.status_code == 202
    assert [job["status"] for job in answer.json["jobs"]] == ["working", "working", "failed", "failed"]
    assert answer.json["jobs"][2]["error"]["code"] == "too-many-requests"


def test_a_repeat_of_what_is_outstanding_needs_no_more_room(web):
    limit(web, outstanding=1)
    headers = ASYNC | header(web.keys.secrets["acme"]) | {"Idempotency-Key": "once"}
    answers = [web.client.simulate_post("/v1/images", body=picture(), headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
