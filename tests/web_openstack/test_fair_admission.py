"""Who is taken in when more come than can be answered in time, and what the others are told."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fleets import report
from keyed import Keys, header
from web_tier import multipart, picture

from skylens.errors import UnavailableError
from web_openstack.fair_admission import KEPT

LIMIT, RATE = 10, 8
ROOM = LIMIT * RATE
"""One instance at its maximum takes 4 images of half a second at once."""


@pytest.fixture
def make(make_web):
    """A door with two tenants, the report of its fleet, and one answer from which it knows how long an image takes."""

    def build(fleet=None, service=0.5, **settings):
        keys = Keys()
        for tenant in ("greedy", "polite"):
            keys.add(tenant, tenant)
        web = make_web(ring=lambda: keys.ring, cache_mib=0, **{"max_predicted_wait": LIMIT} | settings)
        web.keys = keys.secrets
        web.deps.fleet.post(fleet or report(["busy"], maximum=1))
        web.deps.jobs.demand.accepted("first", "t")
        web.deps.jobs.demand.answered("first", "t", service)
        return web

    return build


@pytest.fixture
def web(make):
    return make()


def post(web, tenant="greedy", key=None):
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"} | header(web.keys[tenant])
    headers |= {"Idempotency-Key": key} if key else {}
    return web.client.simulate_post("/v1/images", body=picture(), headers=headers)


def fill(web, tenant="greedy"):
    """Send until one is refused: how many were taken in."""
    taken = 0
    while post(web, tenant).status_code == 202:
        taken += 1
    return taken


def answer(web, tenant, count):
    """So many images of a tenant are answered, after half a second of work each."""
    demand = web.deps.jobs.demand
    waiting = [job for job, whose in demand.older_than(0) if whose == tenant]
    for job in waiting[:count]:
        assert demand.answered(job, tenant, 0.5)


def test_a_hundred_plain_requests_wait_through_a_cold_boot_of_two_minutes_whatever_the_limit(make):
    web = make(report([], maximum=2), max_predicted_wait=60, service=4.0)
    for number in range(100):
        web.deps.fair.check("greedy")
        web.deps.jobs.demand.accepted(str(number), "greedy")


def test_a_tenant_alone_may_have_all_that_is_answered_within_the_limit(web):
    assert fill(web) == ROOM


def test_a_refusal_stores_nothing_and_says_when_there_is_room(web):
    fill(web)
    stored = len(web.inputs.objects)
    refused = post(web)
    assert refused.status_code == 503
    assert refused.json["detail"].startswith("as many images are waiting as can be answered within 10 s; come back in")
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(web.inputs.objects) == len(web.taken()) == stored == ROOM


def test_a_backlog_beyond_the_limit_is_refused_for_the_time_it_takes_to_come_down(make):
    web = make(service=4.0, max_predicted_wait=600)
    for number in range(1000):
        web.deps.jobs.demand.accepted(str(number), "greedy")
    with pytest.raises(UnavailableError) as refused:
        web.deps.fair.check("greedy")
    assert 1001 - 600 <= refused.value.retry_after <= 1001 - 600 + 2


def test_an_idle_service_admits_what_one_instance_takes_at_once_however_slow_it_was(make):
    assert fill(make(service=20_000.0)) == 4


def test_a_fleet_that_may_not_grow_has_room_for_what_it_answers_itself(make):
    assert fill(make(report(["busy"], maximum=20, ceiling=1))) == ROOM


def test_nothing_is_taken_in_while_the_budget_of_the_day_is_spent(make):
    web = make(report([], ceiling=0, closed=7000))
    refused = post(web)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "3600")
    assert "the budget of today is spent: nobody works for 7000 s" in refused.json["detail"]
    assert not web.inputs.objects
    web.deps.fleet.post(report([], ceiling=1))
    assert post(web).status_code == 202


def test_a_greedy_tenant_does_not_keep_out_one_below_its_share(web):
    assert fill(web) == ROOM
    assert [post(web, "polite").status_code for _ in range(ROOM // 2)] == [202] * (ROOM // 2)
    answer(web, "greedy", ROOM // 2)
    assert post(web).status_code == 503
    answer(web, "polite", 1)
    assert post(web, "polite").status_code == 202
    assert post(web, "polite").status_code == 503


def test_what_others_do_not_use_is_anybodys(web):
    assert [post(web, "polite").status_code for _ in range(3)] == [202] * 3
    assert fill(web) == ROOM - 3


def test_of_many_at_once_not_one_too_many_is_taken_in(make):
    web = make(service=5.0)
    with ThreadPoolExecutor(30) as clients:
        codes = list(clients.map(lambda _: post(web).status_code, range(60)))
    room = LIMIT * 4 // 5
    assert sorted(codes) == [202] * room + [503] * (60 - room)


def test_those_who_follow_retry_after_get_in_at_their_first_try_however_many_others_come(web):
    fair, demand, told, followed = web.deps.fair, web.deps.jobs.demand, {}, []

    def ask(key):
        """Whole seconds after which to come back; 0 when it was let in."""
        try:
            fair.check("greedy", key)
        except UnavailableError as error:
            return error.retry_after
        demand.accepted(key, "greedy", fair.allowance("greedy", key))
        fair.entered("greedy", key)
        return 0

    for second in range(300):
        for key in [f"{second}-{number}" for number in range(3 * RATE if second < 120 else 1)]:
            if wait := ask(key):
                told.setdefault(second + wait, []).append(key)
        followed += [ask(key) for key in told.pop(second, [])]
        web.clock.sleep(1)
        answer(web, "greedy", RATE)
    assert (len(followed) > 10 * ROOM, set(followed)) == (True, {0})


def test_in_a_batch_what_there_is_no_room_for_is_refused_file_by_file(make):
    web = make(service=20_000.0)
    body, headers = multipart(*[("f", f"{number}.png", picture()) for number in range(6)])
    got = web.client.simulate_post("/v1/batches", body=body, headers=headers | header(web.keys["greedy"]))
    assert [job["status"] for job in got.json["jobs"]] == ["working"] * 4 + ["failed"] * 2
    assert got.json["jobs"][5]["error"]["code"] == "unavailable"


def test_a_batch_that_came_in_fills_nothing_of_what_is_kept_for_those_with_a_turn(web):
    fill(web)
    post(web, key="k")
    answer(web, "greedy", ROOM // 2)
    body, headers = multipart(*[("f", f"{number}.png", picture()) for number in range(ROOM // 2)])
    got = web.client.simulate_post("/v1/batches", body=body, headers=headers | header(web.keys["greedy"]))
    assert [job["status"] for job in got.json["jobs"]].count("working") == ROOM // 4


def test_who_came_in_its_turn_and_lost_the_last_place_does_not_go_to_the_end(web):
    fair, demand = web.deps.fair, web.deps.jobs.demand
    fill(web)
    wait = int(post(web, key="k").headers["Retry-After"])
    for _ in range(20):
        post(web)
    web.clock.sleep(wait)
    answer(web, "greedy", 1)
    assert fair.check("greedy", "k") == 1
    demand.accepted("other", "greedy")
    with pytest.raises(UnavailableError) as refused:
        demand.accepted("k", "greedy", fair.allowance("greedy", "k"))
    assert (refused.value.retry_after, fair.later("greedy", "new")) == (1, 3)


@pytest.mark.parametrize("path", ["/v1/images", "/v1/batches"])
def test_a_turn_is_kept_until_an_image_is_taken_in(web, path):
    fair, greedy = web.deps.fair, header(web.keys["greedy"]) | {"Idempotency-Key": "k", "Prefer": "respond-async"}

    def send(body, headers):
        return web.client.simulate_post(path, body=body, headers=greedy | headers).status_code

    fill(web)
    wait = int(post(web, key="k").headers["Retry-After"])
    post(web, key="last")
    web.clock.sleep(wait)
    answer(web, "greedy", ROOM // 4)
    assert send(b"no picture", {"Content-Type": "text/plain"}) == 415
    assert fair.check("greedy", "k") == 1
    web.deps.jobs.demand.accepted("other", "greedy")
    assert send(*multipart(("f", "a.png", picture()))) == 202
    answer(web, "greedy", ROOM // 4)
    assert fair.check("greedy", "k") == 1 - KEPT


def test_a_tenant_that_holds_every_place_to_wait_in_leaves_some_for_others(make):
    web = make(max_waits=8)
    places = [web.deps.admission.slot("greedy") for _ in range(8)]
    for place in places:
        place.__enter__()
    refused = post(web)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert post(web, "polite").status_code == 202
    for place in places:
        place.__exit__(None, None, None)
    assert post(web).status_code == 202
