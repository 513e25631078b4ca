"""Work spread over a few threads, with no more of it in hand than they can take up."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

_Piece = TypeVar("_Piece")
_Done = TypeVar("_Done")


def spread(work: Iterable[_Piece], do: Callable[[_Piece], _Done], threads: int) -> Generator[_Done, None, None]:
    """``do(piece)`` for each piece, in order of completion; an exception of ``do`` is raised here.

    The threads belong to this call. They stop when it ends, or is closed early, after the piece they are at; being
    daemons, they never keep a process alive that wants to leave. A thread survives whatever ``do`` raises, so none
    can die and leave its piece unanswered.
    """
    todo: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Done | BaseException] = queue.SimpleQueue()

    def loop() -> None:
        while (piece := todo.get()) is not None:
            try:
                done.put(do(piece))
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that owns this one
                done.put(error)

    for number in range(threads):
        threading.Thread(target=loop, name=f"spread-{number}", daemon=True).start()
    out = 0
    try:
        for piece in work:
            if out == 2 * threads:
                yield _taken(done.get())
                out -= 1
            todo.put(piece)
            out += 1
        for _ in range(out):
            yield _taken(done.get())
    finally:
        _empty(todo)
        for _ in range(threads):
            todo.put(None)


def _taken(answer: _Done | BaseException) -> _Done:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _empty(todo: queue.SimpleQueue[_Piece | None]) -> None:
    while True:
        try:
            todo.get_nowait()
        except queue.Empty:
            return
