"""What a webhook says: the event's body, the same at each attempt."""

from dataclasses import dataclass

from skylens.clock import Clock
from skylens.errors import DeletedError, ExpiredError, UnknownJobError
from skylens.messages import encode
from web_openstack.batch_answers import BatchAnswers
from web_openstack.batches import Batches, Item, line
from web_openstack.deleted import is_tombstone
from web_openstack.jobs import Jobs, made_at
from web_openstack.webhooks.agenda import Place
from web_openstack.webhooks.hooks import Held

ORPHAN = 3600.0
"""Seconds after which a webhook is dropped whose image or batch never came to be, as its request broke off.

They count from when it was promised: an upload's id, or that of an Idempotency-Key, may be older by hours.
"""


@dataclass(frozen=True)
class Events:
    jobs: Jobs
    batches: Batches
    answers: BatchAnswers

    def of(self, held: Held) -> bytes | None:
        """The body; None while the image or batch is not finished.

        Raises DeletedError, ExpiredError and UnknownJobError when there will never be one, UnavailableError.
        """
        if self.age(held.place) > self.jobs.retention:
            raise ExpiredError
        return self._image(held) if held.hook.kind == "image" else self._batch(held)

    def age(self, place: Place) -> float:
        """Seconds since the image or batch was taken in."""
        return self._clock.now() - made_at(place.id)

    @property
    def _clock(self) -> Clock:
        return self.jobs.clock

    def _image(self, held: Held) -> bytes | None:
        place = held.place
        reply = self.jobs.look(place.id, place.tenant)
        if reply is None:
            if held.age > ORPHAN and not self.jobs.is_stored(place.id, place.tenant):
                raise UnknownJobError
            return None
        if is_tombstone(reply):
            raise DeletedError
        told = line(Item(name=reply.name, id=reply.id), reply)
        return encode({"type": f"image.{told['status']}", "data": told})

    def _batch(self, held: Held) -> bytes | None:
        place = held.place
        try:
            batch = self.batches.find(place.id, place.tenant)
        except UnknownJobError:
            if held.age > ORPHAN:
                raise
            return None
        states = self.answers.states(batch, place.tenant)
        if states is None:
            return None
        data = {"id": batch.id, "total": len(batch.items), "done": states["done"], "failed": states["failed"]}
        return encode({"type": "batch.finished", "data": data})
