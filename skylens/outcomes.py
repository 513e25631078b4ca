"""Outcomes: what lies in the output bucket as the answer to a job, where workers and web nodes write."""

from skylens.errors import MessageError
from skylens.messages import UNCARRIED, Reply, read
from skylens.store import Object

LARGEST = 262_144
"""Most bytes of one, as of a message that a reply queue takes."""


def outcome_key(job: str, tenant: str) -> str:
    return f"{tenant}/{job}.json"


def read_outcome(key: str, held: Object) -> Reply:
    """The answer that lies at this key, which SQS will carry as it is.

    Raises MessageError when it cannot be read or carried, or is that of another job.
    """
    reply = read(Reply, held.data)
    try:
        held.data.decode()
    except UnicodeDecodeError as error:  # in a field that nobody knows
        raise MessageError(f"the outcome {key} is not UTF-8") from error
    if any(raw in held.data for raw in UNCARRIED):
        raise MessageError(f"the outcome {key} holds U+FFFE or U+FFFF unescaped, which no queue carries")
    if outcome_key(reply.id, reply.tenant) != key:
        raise MessageError(f"the outcome {key} says that it is that of {reply.tenant}/{reply.id}")
    return reply
