"""Which model answers which request, and how a worker goes from one version to the next without losing an image."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from app_aws.batcher import Batcher
from app_aws.engine import Engine
from skylens import active, logs
from skylens.active import Active
from skylens.aws_errors import AWS_ERRORS, explain, is_passing
from skylens.clock import Clock
from skylens.errors import ModelError
from skylens.store import Store

log = logs.get(__name__)
_FIRST, _MOST = 5.0, 300.0
"""Seconds until a version that could not be put to work is tried again: first, doubled each time, and at most."""
_GOODBYE = 5.0


class Serving:
    """A model at work, with the batcher that feeds it. ``users``: requests that have picked it and are not done."""

    def __init__(self, engine: Engine, batcher: Batcher) -> None:
        self.engine, self.batcher, self.users = engine, batcher, 0
        self.submit = batcher.submit

    @property
    def id(self) -> str:
        return f"{self.engine.model.name}@{self.engine.model.version}"


class Models(Protocol):
    """Where new versions come from."""

    def wanted(self) -> Active | None:
        """What is to be at work; None when nobody has said. Raises ModelError, and AWS's errors."""
        ...

    def load(self, model_id: str) -> Serving:
        """A version made ready, its batcher not yet started. Raises ModelError, and AWS's errors."""
        ...


class Fixed:
    """No other model ever: for a worker that looks for none."""

    def wanted(self) -> None:
        return None

    def load(self, model_id: str) -> Serving:
        raise ModelError(f"{model_id} is not looked for: SKYLENS_MODEL_SECONDS is 0")


class Bucket:
    """The state bucket says what is wanted."""

    def __init__(self, store: Store, load: Callable[[str], Serving]) -> None:
        self._store, self.load = store, load

    def wanted(self) -> Active | None:
        return active.read(self._store)[0]


def opening(models: Models, otherwise: Callable[[], Serving]) -> Serving:
    """The model to start with: the active one, else the one before, else the one of the settings.

    Raises AWS's errors when they pass: the cloud is out of reach, and which model is wanted cannot be known.
    """
    try:
        wanted = models.wanted()
    except ModelError as error:
        log.warning("models.not_read", error=error.detail)
        wanted = None
    except AWS_ERRORS as error:
        if is_passing(error):
            raise
        log.warning("models.not_read", error=explain(error))
        wanted = None
    for model_id in filter(None, (wanted.model, wanted.previous) if wanted else ()):
        try:
            return models.load(model_id)
        except ModelError as error:
            log.warning("model.not_loaded", model=model_id, error=error.detail)
    return otherwise()


class Switch:
    """The model at work, a canary beside it while there is one, and the change from one to the next.

    Thread ``models``: owned by the worker, a daemon. Each ``seconds`` it asks what is wanted, makes a new version
    ready beside the old one, and then swaps them in one assignment: a request works with the model that it picked, to
    its end, and an old one goes when its last request is done. A version that cannot be put to work is logged and
    tried again later, after 5 seconds, then 10, up to 5 minutes; what worked goes on working. The thread outlives
    whatever a look raises. If it dies all the same, the worker would stay on its version for ever, so that counts as
    broken and the worker leaves; its images are not disturbed.
    """

    def __init__(self, first: Serving, models: Models, clock: Clock, seconds: float) -> None:
        """``first``: at work until something else is wanted; ``seconds`` between two looks, 0 for never."""
        self._main = first
        self._canary: Serving | None = None
        self._wanted: Active | None = None
        self._models, self._clock, self._seconds = models, clock, seconds
        self._retired: list[Serving] = []
        self._troubles: dict[str, tuple[int, float]] = {}
        """By model that could not be put to work: how often in a row, and the tick of the next try."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        self._main.batcher.start()
        log.info("model.at_work", model=self._main.id)
        if self._seconds:
            self._thread.start()

    def dead(self) -> list[str]:
        """Names of the threads that should live and do not."""
        with self._lock:
            at_work = [self._main, *([self._canary] if self._canary else [])]
            threads = [self._thread, *(thread for one in at_work for thread in one.batcher.threads)]
            return [thread.name for thread in threads if thread.ident and not thread.is_alive()]

    def stop(self, timeout: float) -> None:
        """Look no more, and let what was submitted be finished, for at most ``timeout`` seconds each."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(timeout)
        with self._lock:
            ending = [self._main, *([self._canary] if self._canary else []), *self._retired]
        for one in ending:
            one.batcher.stop(timeout)

    @contextmanager
    def pick(self, request_id: str) -> Iterator[Serving]:
        """The model for this request, held until the block ends: the same one again for a repeated delivery."""
        with self._lock:
            canary = self._wanted.canary if self._wanted else None
            chosen = self._canary if self._canary and canary and canary.takes(request_id) else self._main
            chosen.users += 1
        try:
            yield chosen
        finally:
            with self._lock:
                chosen.users -= 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except AWS_ERRORS as error:
                log.warning("models.not_read", error=explain(error))
            except ModelError as error:
                log.warning("models.not_read", error=error.detail)
            except Exception:  # the loop outlives whatever a model does
                log.exception("models.broke")
            self._stopping.wait(self._seconds)

    def look(self) -> None:
        """Ask what is wanted, and bring it about as far as that goes. Raises what asking raises."""
        self._dismiss()
        wanted = self._models.wanted()
        if wanted is None:
            return
        if wanted != self._wanted:
            self._troubles.clear()
        main = self._ready(wanted.model)
        canary = self._ready(wanted.canary.model) if wanted.canary else None
        self._put(wanted, main or self._main, canary)

    def _ready(self, model_id: str) -> Serving | None:
        """That version, at work already or new; None when it cannot be put to work now."""
        for one in (self._main, self._canary):
            if one and one.id == model_id:
                return one
        times, due = self._troubles.get(model_id, (0, 0.0))
        if times and self._clock.ticks() < due:
            return None
        try:
            found = self._models.load(model_id)
        except (ModelError, OSError, *AWS_ERRORS) as error:  # OSError: of a full disk
            pause = min(_MOST, _FIRST * 2.0 ** min(times, 10))
            self._troubles[model_id] = (times + 1, self._clock.ticks() + pause)
            said = error.detail if isinstance(error, ModelError) else explain(error)
            log.warning("model.not_loaded", model=model_id, error=said, retry_seconds=pause, at_work=self._main.id)
            return None
        self._troubles.pop(model_id, None)
        found.batcher.start()
        return found

    def _put(self, wanted: Active, main: Serving, canary: Serving | None) -> None:
        """The swap. What is no longer wanted is retired."""
        with self._lock:
            before = [one for one in (self._main, self._canary) if one]
            self._retired += [one for one in before if one is not main and one is not canary]
            changed = (main, canary) != (self._main, self._canary) or wanted != self._wanted
            self._wanted, self._main, self._canary = wanted, main, canary
        if changed:
            log.info(
                "model.switched",
                model=main.id,
                canary=canary.id if canary else "",
                share=wanted.canary.share if wanted.canary and canary else 0.0,
                before=before[0].id,
            )

    def _dismiss(self) -> None:
        """Let go of retired models that no request uses any more."""
        with self._lock:
            done = [one for one in self._retired if one.users == 0]
            self._retired = [one for one in self._retired if one.users]
        for one in done:
            one.batcher.stop(_GOODBYE)
