"""Three times what the fleet can do, for two minutes, from a greedy and a polite tenant: who is answered, and how soon.

One local cloud with one worker, which is all it may have; it is bounded, on loopback, and stops by itself. The worker's
service time is a wait (tests/system/two_tenants.py), so that load, emulators and tiers, which share the cores, are not
what is short. First the capacity is measured by a closed loop; then Poisson arrivals come at a multiple of it, or of
what the worker can do if that is more, whatever becomes of them. Who is refused follows its Retry-After once, with the
same Idempotency-Key, if its turn comes within the run. The door's limit of the predicted wait is four fifths of the
goal: a prediction is a mean.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "local"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system"))
import two_tenants
from crowd import many
from harness import Cloud
from two_tenants import GREEDY, POLITE, Clients, Outcome

WARM_UP, CLOSED, CLIENTS = 3, 10, 8
"""Seconds of a closed loop before the measured ones, seconds of these, and clients."""
NOMINAL = two_tenants.SLOTS / two_tenants.SERVICE
"""Images a second that the worker can answer; on a machine with other work it answers fewer."""
WATCHED = 30
"""Seconds after the load in which a fresh request is sent each second, until one meets the goal."""


async def run(clients: Clients, args: argparse.Namespace) -> float | None:
    """Seconds from the load's end until a fresh request had an answer within the goal, if any had."""
    await clients.closed_loop(CLIENTS, WARM_UP)
    capacity = await clients.closed_loop(CLIENTS, CLOSED)
    print(
        f"capacity, {CLIENTS} clients in a closed loop:  {capacity:6.1f} images/s, {NOMINAL:g} if the machine is free"
    )
    rate = args.times * max(capacity, NOMINAL)
    print(f"open loop for {args.seconds:g} s, {args.greedy:.0%} greedy:        {rate:6.1f} images/s")
    await clients.open_loop(rate, args.greedy, args.seconds, args.seconds + WATCHED)
    recovered = await recovery(clients, args)
    await clients.settled()
    await clients.close()
    return recovered


async def recovery(clients: Clients, args: argparse.Namespace) -> float | None:
    """A fresh request of the greedy tenant each second, for it has the hardest time."""
    ended, probes = clients.now, []
    for _ in range(WATCHED):
        probes.append(asyncio.create_task(clients.post(GREEDY)))
        await asyncio.sleep(1)
    found = await asyncio.gather(*probes)
    return next((one.began - ended + one.seconds for one in found if met(one, args.goal)), None)


def met(one: Outcome, goal: float) -> bool:
    return one.status == 200 and one.seconds <= goal


def share(found: Sequence[Outcome], which: Callable[[Outcome], bool]) -> str:
    return f"{sum(map(which, found)) / len(found):7.2%}" if found else "   none"


def times(found: Sequence[Outcome]) -> str:
    if len(found) < 2:
        return "too few"
    hundredths = statistics.quantiles([one.seconds for one in found], n=100)
    return "   ".join(f"p{at} {hundredths[at - 1]:5.2f} s" for at in (50, 95, 99))


def tell(outcomes: Sequence[Outcome], args: argparse.Namespace, recovered: float | None) -> None:
    """The figures of the load; those of the time after it count for the recovery alone."""
    loaded = [one for one in outcomes if one.began < args.seconds]
    first = [one for one in loaded if not one.again]
    taken = [one for one in loaded if one.status == 200]
    again = [one for one in outcomes if one.again]
    print(f"offered:                                 {len(first):6} and {len(loaded) - len(first)} that came again")
    print(f"taken in and answered:                   {len(taken):6}   {times(taken)}")
    print(f"  within the goal of {args.goal:g} s:               {share(taken, lambda one: met(one, args.goal))}")
    refused = [one for one in loaded if one.refused]
    print(f"refused with 503:                        {len(refused):6}")
    print(f"  with a Retry-After:                   {share(refused, lambda one: bool(one.retry_after))}")
    print(f"came when they were told to:             {len(again):6}")
    print(f"  taken in at that first retry:         {share(again, lambda one: one.status == 200)}")
    for tenant in (GREEDY, POLITE):
        mine = [one for one in first if one.tenant == tenant]
        print(f"{tenant}: offered {len(mine)}, taken in {share(mine, lambda one: one.status == 200)}", end="")
        print(f"   {times([one for one in mine if one.status == 200])}")
    print(f"neither answered nor refused (lost):     {sum(one.status not in {200, 503} for one in outcomes):6}")
    said = "not within 30 s" if recovered is None else f"{recovered:6.1f} s"
    print(f"after the load, an answer in time after: {said}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of the load (%(default)s)")
    parser.add_argument("--times", type=float, default=3, help="of the capacity (%(default)s)")
    parser.add_argument("--greedy", type=float, default=0.9, help="share of the greedy tenant (%(default)s)")
    parser.add_argument("--goal", type=float, default=5, help="latency goal in seconds (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = two_tenants.keys_file(folder / "keys.json")
        with Cloud(folder, *two_tenants.arguments(folder / "keys.json", 0.8 * args.goal), patience=180) as cloud:
            cloud.wait(cloud.worker_logs, 60, "the worker is started")
            clients = Clients(cloud.url, keys, many(1)[0][1])
            began = time.monotonic()
            recovered = asyncio.run(run(clients, args))
            tell(clients.outcomes, args, recovered)
            stored, answered = len(cloud.keys("input")), len(cloud.keys("output"))
            print(f"stored images without an outcome:        {stored - answered:6}")
            print(f"took                                     {time.monotonic() - began:6.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
