"""Whom an answer may go to: this deployment's reply queues, whatever name a message has in it."""

from dataclasses import dataclass
from typing import Protocol

from skylens import logs

log = logs.get(__name__)


class Replies(Protocol):
    """Where answers go: a queue by name."""

    def send(self, name: str, body: bytes) -> bool:
        """False when that queue is gone."""
        ...


@dataclass(frozen=True)
class OwnReplies:
    """``prefix``: of the names of all reply queues. Others count as gone: to try them for ever would help nobody."""

    replies: Replies
    prefix: str

    def send(self, name: str, body: bytes) -> bool:
        if name.startswith(self.prefix):
            return self.replies.send(name, body)
        log.warning("reply.astray", queue=name, ours=f"{self.prefix}*")
        return False
