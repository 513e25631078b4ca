"""Three times what the fleet can do: nothing is lost, and nobody below its share is kept out."""

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
    clients = Clients(cloud.url, keys, pictures[0][1])

    async def one_after_the_other():
        while clients.now < SECONDS:
            await clients.post(POLITE)

    async def load():
        await clients.closed_loop(2, 2)
        warm = len(clients.outcomes)
        await asyncio.gather(clients.open_loop(RATE, 1.0, SECONDS, SECONDS), one_after_the_other())
        await clients.settled()
        await clients.close()
        return warm

    taken = asyncio.run(load())
    refused = [one for one in clients.outcomes if one.refused]
    assert {one.status for one in clients.outcomes} <= {200, 202, 503}
    assert {one.tenant for one in refused} == {GREEDY}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert any(one.tenant == POLITE for one in clients.outcomes)
    taken += len(clients.outcomes) - len(refused)
    cloud.wait(lambda: len(cloud.keys("output")) == taken, 120, "all that was taken in is answered")
    assert len(cloud.keys("input")) == taken
    assert cloud.messages("requests-dead") == (0, 0)
