"""moto's server, with the things put right that an autoscaler stands on; run by ``emulators``.

EC2 launches up to MaxCount instances (moto: MinCount), and a repeated ClientToken launches nothing (moto: again). For
Auto Scaling groups see ``moto_groups``.
"""

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from moto import server
from moto.ec2.responses.instances import InstanceResponse

from skylens.local import moto_groups


def faithful(launch: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``InstanceResponse.run_instances`` with these two rules.

    The answers are kept for as long as the server runs. The lock makes "looked up, then launched" one step: two equal
    requests may come at once.
    """
    answers: dict[str, Any] = {}
    lock = threading.Lock()

    def run_instances(response: Any) -> Any:
        token = response.params.get("ClientToken", "")
        with lock:
            if token in answers:
                return answers[token]
            response.params["MinCount"] = response.params.get("MaxCount", 1)
            answer = launch(response)
            if token:
                answers[token] = answer
            return answer

    return run_instances


def main() -> None:
    InstanceResponse.run_instances = faithful(InstanceResponse.run_instances)  # type: ignore[assignment,method-assign]
    moto_groups.install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every call: the runner makes five a second
    server.main(sys.argv[1:])


if __name__ == "__main__":
    main()
