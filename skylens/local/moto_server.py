"""moto's server, with the things put right that an autoscaler stands on; run by ``emulators``.

EC2 launches up to MaxCount instances (moto: MinCount), and a repeated ClientToken launches nothing (moto: again). For
Auto Scaling groups see ``moto_groups``. One request is answered at a time, for moto's data are for one thread (moto: a
description fails while an instance is launched); no page of a browser is.
"""

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from moto import server
from moto.ec2.responses.instances import InstanceResponse

from skylens.local import moto_groups, no_pages


def faithful(launch: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``InstanceResponse.run_instances`` with these two rules.

    The answers are kept for as long as the server runs.
    """
    answers: dict[str, Any] = {}

    def run_instances(response: Any) -> Any:
        token = response.params.get("ClientToken", "")
        if token in answers:
            return answers[token]
        response.params["MinCount"] = response.params.get("MaxCount", 1)
        answer = launch(response)
        if token:
            answers[token] = answer
        return answer

    return run_instances


def one_at_a_time(served: Callable[..., Any]) -> Callable[..., Any]:
    """A WSGI application whose answers are whole when it returns."""
    lock = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with lock:
            return served(environ, start_response)

    return answer


def main() -> None:
    InstanceResponse.run_instances = faithful(InstanceResponse.run_instances)  # type: ignore[assignment,method-assign]
    moto_groups.install()
    serve = server.run_simple  # type: ignore[attr-defined]
    server.run_simple = lambda host, port, served, **options: serve(  # type: ignore[attr-defined]
        host, port, no_pages.wsgi(one_at_a_time(served)), **options
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every call: the runner makes five a second
    server.main(sys.argv[1:])


if __name__ == "__main__":
    main()
