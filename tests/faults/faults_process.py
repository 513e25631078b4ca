"""The fault proxies of a whole cloud as a process: ``faults_process.py DATA CONTROL``, two addresses of emulators.

It prints one line of JSON with its own addresses: ``data`` and ``control`` in place of the emulators', and ``plan``,
where ``PUT`` sets what happens from now on and ``GET`` tells the figures so far.
"""

import asyncio
import json
import sys
from collections import Counter

import h11
import msgspec
from fault_proxy import FaultProxy
from plan import Plan, Script
from refusals import Answer
from wire import CutError, Link


class Desk:
    """Takes plans and tells figures."""

    def __init__(self, proxies: dict[str, FaultProxy]) -> None:
        self._proxies = proxies

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, h11.SERVER)
        try:
            while (asked := await link.asked()) is not None:
                if asked.method == "PUT":
                    self._plan(msgspec.json.decode(asked.body, type=Plan))
                await link.answer(Answer(200, [("Content-Type", "application/json")], json.dumps(self._all()).encode()))
                if not link.next():
                    break
        except (CutError, OSError, h11.ProtocolError):
            pass
        finally:
            link.close()

    def _plan(self, plan: Plan) -> None:
        for proxy in self._proxies.values():
            proxy.script = Script(plan)

    def _all(self) -> Counter[str]:
        return sum((proxy.figures for proxy in self._proxies.values()), Counter())


async def main(data: str, control: str) -> None:
    proxies = {"data": FaultProxy(data, Plan()), "control": FaultProxy(control, Plan())}
    for proxy in proxies.values():
        await proxy.listen()
    desk = await asyncio.start_server(Desk(proxies).serve, "127.0.0.1", 0)
    plan = f"http://127.0.0.1:{desk.sockets[0].getsockname()[1]}"
    addresses = {name: proxy.url for name, proxy in proxies.items()} | {"plan": plan}
    sys.stdout.write(json.dumps({"event": "faults.listening", **addresses}) + "\n")
    sys.stdout.flush()
    await desk.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
