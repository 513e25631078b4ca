"""An AWS side for a private side elsewhere: emulators on a given address, and a worker for each of their instances.

    python aws_side.py 172.24.4.1 STATE_FILE LOG_FOLDER

The web tier and the autoscaler are not here: they run where they are deployed. Stops on SIGTERM.
"""

import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "playbooks"))
from aws_emulators import WithRolesAnywhere

from skylens.local import cloud, emulators, ports
from skylens.local.cloud import LocalCloud
from skylens.local.tiers import Options


class AwsSide(LocalCloud):
    def _start(self) -> None:
        self._metadata.start()
        self._emulators.start()
        self._emulators.await_ready(self._probe)
        self._ready = True


def main(address: str, state_file: str, logs: str) -> int:
    ports.HOST = emulators.HOST = address
    cloud.Emulators = WithRolesAnywhere
    stops = []
    signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
    with AwsSide(
        Options(web_nodes=0), say=print, stopping=lambda: len(stops), logs=Path(logs), state_file=Path(state_file)
    ) as side:
        side.run_until(lambda: bool(stops))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
