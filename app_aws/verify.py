"""How often a model is right: its answers for labelled images, compared with the labels."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app_aws.engine import Engine
from app_aws.labelled import Picture
from skylens.errors import ModelError, SkylensError

Indices = NDArray[np.intp]
_FIVE = 5
_WORST = 10


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` images of ``truth`` were taken for ``answer``."""

    truth: str
    answer: str
    count: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``top1``, ``top5``: share of ``images`` whose label is the first answer, or among the first five."""

    model: str
    images: int
    top1: float
    top5: float
    images_per_cpu_second: float
    confusions: tuple[Confusion, ...]
    """The most frequent mistakes, most frequent first."""
    unreadable: dict[str, str]
    """Files that were left out, each with its reason."""


@dataclass(frozen=True)
class Answers:
    """What a model said. ``best``: images x 5 (or fewer labels) indices, best first; ``truth``: one index an image."""

    truth: Indices
    best: Indices
    unreadable: dict[str, str]
    cpu_seconds: float

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the first answer to each image is its label."""
        return np.equal(self.best[:, 0], self.truth)

    @property
    def top1(self) -> float:
        return float(self.right.mean())


def ask(
    engine: Engine,
    pictures: Sequence[Picture],
    step: Callable[[], None] = lambda: None,
    cpu: Callable[[], float] = time.process_time,
) -> Answers:
    """Recognise every picture, from its file to its labels, on all cores; ``step`` is called once for each.

    Raises ModelError when a picture has no label, or none of them can be read.
    """
    nameless = next((one.path for one in pictures if one.label is None), None)
    if nameless:
        raise ModelError(f"{nameless} has no label: put it into a folder named after its label, or write a list")

    def one(picture: Picture) -> Indices | str:
        found = _best(engine, picture.path)
        step()
        return found

    began = cpu()
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        found = list(cores.map(one, pictures))
    spent = cpu() - began
    unreadable = {str(at.path): said for at, said in zip(pictures, found, strict=True) if isinstance(said, str)}
    kept = [(at.label, said) for at, said in zip(pictures, found, strict=True) if not isinstance(said, str)]
    if not kept:
        path, reason = next(iter(unreadable.items()), ("", "there are none"))
        raise ModelError(f"none of the {len(pictures)} images can be read; the first, {path}: {reason}")
    return Answers(np.array([label for label, _ in kept]), np.stack([said for _, said in kept]), unreadable, spent)


def _best(engine: Engine, path: Path) -> Indices | str:
    """Indices of the five most probable labels, or why the file cannot be read."""
    try:
        prepared = engine.prepare(path.read_bytes())
    except OSError as error:
        return str(error.strerror)
    except SkylensError as error:
        return error.detail
    return np.argsort(-engine.infer([prepared])[0], kind="stable")[:_FIVE]


def report(engine: Engine, answers: Answers) -> Report:
    """The figures of such answers."""
    mistakes = Counter(
        (int(truth), int(first))
        for truth, first in zip(answers.truth, answers.best[:, 0], strict=True)
        if truth != first
    )
    return Report(
        model=f"{engine.model.name}@{engine.model.version}",
        images=len(answers.truth),
        top1=round(answers.top1, 4),
        top5=round(float((answers.best == answers.truth[:, None]).any(axis=1).mean()), 4),
        images_per_cpu_second=round(len(answers.truth) / max(answers.cpu_seconds, 1e-9), 1),
        confusions=tuple(
            Confusion(truth=engine.labels[truth], answer=engine.labels[answer], count=count)
            for (truth, answer), count in mistakes.most_common(_WORST)
        ),
        unreadable=answers.unreadable,
    )
