"""Remote trouble that the autoscaler outlives: counted each time, said once when it begins and once when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from autoscaler.metrics import Metrics
from skylens import logs
from skylens.aws_errors import AWS_ERRORS, classify, explain


class Troubles:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = logs.get("autoscaler")
        self._current: dict[str, str] = {}

    def say(self, what: str, kind: str, detail: str = "") -> None:
        """``kind``: of the trouble that ``what`` has now, empty for none; logged when it differs from the last."""
        if self._current.get(what, "") == kind:
            return
        self._current[what] = kind
        if kind:
            self._log.warning("scaler.trouble", what=what, kind=kind, detail=detail)
        else:
            self._log.info("scaler.recovered", what=what)

    @contextmanager
    def aws(self, what: str) -> Iterator[None]:
        """Let an AWS error end the block, not the program."""
        try:
            yield
        except AWS_ERRORS as error:
            kind = classify(error).value
            self._metrics.aws_errors.labels(kind=kind).inc()
            self.say(what, kind, explain(error))
        else:
            self.say(what, "")
