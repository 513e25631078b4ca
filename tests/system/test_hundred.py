"""Many plain clients at once, from no instances at all: every one gets the label of its very own file."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

MAXIMUM = 3


@pytest.mark.system
@pytest.mark.parametrize("count", [100, 1000])
def test_every_plain_client_gets_its_own_label(start, offline, pictures, count):
    cloud = start("--max", str(MAXIMUM), "--boot", "2")
    sent = pictures[:count]
    assert cloud.instances() == []

    def post(named):
        return requests.post(cloud.url, files={"inputFile": named})

    with cloud.watch_fleet() as fleet:
        with ThreadPoolExecutor(count) as clients:
            answers = list(clients.map(post, sent))
        cloud.wait(lambda: fleet.samples[-1][1] == 0, 120, "the fleet is back to none")
    assert [answer.status_code for answer in answers] == [200] * count
    wanted = [f"{name.rpartition('.')[0]}:{offline.label(data)}" for name, data in sent]
    assert [answer.text for answer in answers] == wanted
    assert len({text.rpartition(":")[2] for text in wanted}) >= 5
    assert 1 <= fleet.largest <= MAXIMUM
    assert (fleet.sizes[0], fleet.sizes[-1]) == (0, 0)
    assert (len(cloud.keys("input")), len(cloud.keys("output"))) == (count, count)
    replies = f"replies-{cloud.state.web[0].name}"
    for queue in ("requests", "requests-dead", "events", replies):
        cloud.wait(lambda queue=queue: cloud.messages(queue) == (0, 0), 30, f"{queue} is empty")


@pytest.mark.system
def test_a_cold_boot_far_longer_than_the_burst_refuses_nobody(start, pictures, offline):
    """With the default limits and a slow boot, plain requests wait through it (120 s boots: see the unit test)."""
    cloud = start("--max", "1", "--boot", "15")
    with ThreadPoolExecutor(100) as clients:
        answers = list(clients.map(lambda named: requests.post(cloud.url, files={"myfile": named}), pictures[:100]))
    assert [answer.text for answer in answers] == [offline.label(data) for _, data in pictures[:100]]
