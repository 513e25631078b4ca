"""How long `/healthz` takes while a thousand clients wait on one web process, and how much memory that costs.

Prints medians with 0 and with 1,000 waiting, interleaved in one run, a new process each round, and their ratio.
"""

import http.client
import io
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "local"))
from harness import Cloud

from web_openstack.housekeeping import ROUND

CLIENTS, LOOKS, ROUNDS = 1000, 100, 3


def health(host: str) -> float:
    """Median milliseconds of a new connection's `/healthz`."""
    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        link = http.client.HTTPConnection(host, timeout=30)
        link.request("GET", "/healthz")
        link.getresponse().read()
        link.close()
        times.append((time.perf_counter() - began) * 1000)
        threading.Event().wait(0.005)
    return statistics.median(times)


def wait(host: str, data: bytes) -> list[http.client.HTTPConnection]:
    """A thousand clients that wait for an answer."""
    links = []
    for _ in range(CLIENTS):
        link = http.client.HTTPConnection(host, timeout=60)
        link.request("POST", "/v1/images", data, {"Content-Type": "image/png", "Prefer": "wait=300"})
        links.append(link)
    return links


def main() -> None:
    out = io.BytesIO()
    Image.effect_noise((96, 96), 90).save(out, "PNG")
    quiet, busy, memory = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, Cloud(Path(folder), "--max", "1", "--boot", "300") as cloud:
            host, web = cloud.url.removeprefix("http://"), psutil.Process(cloud.state.web[0].pid)
            quiet.append(health(host))
            links = wait(host, out.getvalue())
            cloud.wait(lambda cloud=cloud: len(cloud.keys("input")) == CLIENTS, 120, "all are taken in")
            busy.append(health(host))
            threading.Event().wait(ROUND + 1)  # in which housekeeping gives back what images needed on their way in
            memory.append(web.memory_info().rss / 2**20)
            for link in links:
                link.close()
    print(f"healthz, nobody waiting:       median {statistics.median(quiet):6.2f} ms")
    print(f"healthz, {CLIENTS} waiting:        median {statistics.median(busy):6.2f} ms")
    print(f"ratio:                                {statistics.median(busy) / statistics.median(quiet):6.2f}")
    print(f"memory of the web process:     median {statistics.median(memory):6.0f} MiB")


if __name__ == "__main__":
    main()
