"""A thousand clients waiting at once on one web process: it still answers others, and stays small."""

import http.client
import statistics
import threading
import time

import psutil
import pytest
import requests

from web_openstack.housekeeping import ROUND

CLIENTS = 1000
MEMORY = 150_000_000


@pytest.mark.system
def test_a_thousand_waiting_clients_hide_nobody_else(start, pictures):
    """Memory is a bound; the time of ``/healthz`` is measured by bench/waiting.py and printed here.

    What the images needed on their way in is no part of it: the next round of housekeeping gives that back.
    """
    cloud = start("--max", "1", "--boot", "300")
    host = cloud.url.removeprefix("http://")
    node = cloud.state.web[0]
    links = []
    for _, data in pictures[:CLIENTS]:
        link = http.client.HTTPConnection(host, timeout=60)
        link.request("POST", "/v1/images", data, {"Content-Type": "image/png", "Prefer": "wait=300"})
        links.append(link)
    cloud.wait(lambda: len(cloud.keys("input")) == CLIENTS, 120, "all thousand are taken in")
    times = []
    for _ in range(50):
        began = time.perf_counter()
        assert requests.get(f"{cloud.url}/healthz", timeout=30).status_code == 200
        times.append(time.perf_counter() - began)
        threading.Event().wait(0.02)
    print(f"healthz with {CLIENTS} waiting: median {statistics.median(times) * 1000:.1f} ms")
    process = psutil.Process(node.pid)
    cloud.wait(lambda: process.memory_info().rss < MEMORY, 3 * ROUND, f"the node has less than {MEMORY:,} bytes")
    status = requests.get(f"{cloud.url}/v1/status", timeout=30).json()
    assert status["demand"]["outstanding"] == CLIENTS
    for link in links:
        link.close()
