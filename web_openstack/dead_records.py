"""Records of requests that no worker survived: found, queued anew, put away."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from skylens.clock import Clock
from skylens.errors import MessageError, PoisonImageError, SkylensError, UnknownJobError
from skylens.messages import Request, decode, encode_request, read
from skylens.outcomes import LARGEST, outcome_key, read_outcome
from skylens.queues import Queue
from skylens.store import Store
from web_openstack.deadletters import PREFIX, DeadLetter


@dataclass(frozen=True)
class DeadRecords:
    """A letter's name is ``tenant/id``. Every method raises AWS's errors."""

    state: Store
    inputs: Store
    outputs: Store
    requests: Queue
    clock: Clock
    retention: float
    """Seconds that results are kept."""

    def all(self) -> Iterator[tuple[str, DeadLetter]]:
        """Each record with its name."""
        for key in self.state.keys(PREFIX):
            held = self.state.get(key)
            if held is not None:
                yield key.removeprefix(PREFIX), _letter(held.data)

    def get(self, name: str) -> DeadLetter:
        """Raises UnknownJobError."""
        held = self.state.get(PREFIX + name)
        if held is None:
            raise UnknownJobError(f"there is no dead letter {name!r}; `skylens dead list` names them")
        return _letter(held.data)

    def drop(self, name: str) -> None:
        """Put one away. Raises UnknownJobError."""
        self.get(name)
        self.state.delete(PREFIX + name)

    def retry(self, name: str) -> None:
        """Queue a request anew, to be worked alone. Raises SkylensError when that would lead to nothing.

        First the failed outcome goes, or the new one could not take its place; then the request is sent; then the
        record goes. After a crash between any two of them the same call does the rest.
        """
        letter = self.get(name)
        try:
            request, now = read(Request, letter.body), self.clock.now()
        except MessageError as error:
            raise MessageError("no release here can read it; `skylens dead show` prints it") from error
        if now - request.received > self.retention:
            raise UnknownJobError("it is older than results are kept, so nobody could fetch its answer")
        if not request.data and self.inputs.size(request.key) is None:
            raise UnknownJobError(f"its image, {request.key} in the input bucket, is gone")
        self._make_room(outcome_key(request.id, request.tenant))
        anew = msgspec.structs.replace(request, suspect=True, deadline=now + self.retention)
        self.requests.send(encode_request(anew), request.tenant)
        self.state.delete(PREFIX + name)

    def _make_room(self, outcome: str) -> None:
        """Take away what its client was told, or what cannot be read. Raises SkylensError when it was an answer."""
        try:
            held = self.outputs.get(outcome, LARGEST)
            failure = read_outcome(outcome, held).failure if held else None
        except MessageError:
            self.outputs.delete(outcome)
            return
        if held is None:
            return
        if failure is None or failure.code != PoisonImageError.code:
            raise SkylensError("it was answered all the same; drop it")
        self.outputs.delete(outcome)


def _letter(data: bytes) -> DeadLetter:
    """The record; of one that is damaged, which hides no other, only that it is there."""
    try:
        return decode(DeadLetter, data)
    except MessageError as error:
        return DeadLetter(at=0.0, reason=f"the record is damaged: {error.detail}", body="")
