"""Three times what the fleet can do, from two tenants: nothing is lost, and nobody below its share is kept out."""

import asyncio

import pytest
import two_tenants
from two_tenants import GREEDY, POLITE, Clients

SECONDS, LIMIT = 20, 4
RATE = 3 * two_tenants.SLOTS / two_tenants.SERVICE


@pytest.mark.system
def test_three_times_what_the_fleet_can_is_answered_or_refused_with_a_time_and_nothing_is_lost(
    start, pictures, tmp_path
):
    keys = two_tenants.keys_file(tmp_path / "keys.json")
    cloud = start(*two_tenants.arguments(tmp_path / "keys.json", LIMIT))
    cloud.wait(cloud.worker_logs, 60, "the worker is started")
    clients = Clients(cloud.url, keys, pictures[0][1])

    async def load():
        await clients.closed_loop(2, 2)
        warm = len(clients.outcomes)
        await clients.open_loop(RATE, 0.9, SECONDS, SECONDS)
        await clients.settled()
        await clients.close()
        return warm

    warm = asyncio.run(load())
    outcomes = clients.outcomes
    assert {one.status for one in outcomes} == {200, 503}
    refused = [one for one in outcomes if one.refused]
    assert {one.tenant for one in refused} == {GREEDY}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert any(one.tenant == POLITE for one in outcomes)
    taken = warm + len(outcomes) - len(refused)
    assert (len(cloud.keys("input")), len(cloud.keys("output"))) == (taken, taken)
    assert cloud.messages("requests-dead") == (0, 0)
