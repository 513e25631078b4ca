"""Which images are worked alone, so that one that kills workers takes no other with it.

Images in one worker die together and come back together, and nobody can tell which of them did it. So each that was
received before is a suspect:

1. A suspect is worked alone. What is in work when it comes finishes first, and nothing else is taken until it is done.
2. Of several suspects received together, the one with most receives stays. The others are queued anew, marked as
   suspects, so that their counts of receives start again: only one suspect can die with the worker.
3. After a suspect, messages are received one at a time until one comes that is none.

An image that kills dies alone from its second time on, and ends as a dead letter by itself.
"""

import math
from collections.abc import Sequence

from skylens.errors import MessageError
from skylens.messages import REQUEST_LIMIT, Name, Request, Struct, decode, encode, read
from skylens.queues import Received


def split(found: Sequence[Received]) -> tuple[list[Received], list[Received]]:
    """Those received for the first time, and the suspects, the one to be worked first in front."""
    suspects = [one for one in found if _is_suspect(one)]
    firsts = [one for one in found if one not in suspects]
    return firsts, sorted(suspects, key=lambda one: -one.receives)


_MARK = '"suspect":true'
"""As ``marked`` writes it. Looking for it first spares reading each image that rides along twice."""
_BESIDE = 4 * REQUEST_LIMIT
"""Characters before and behind an image that rides along, in which all else is, newer versions' fields too."""


def _is_suspect(received: Received) -> bool:
    if received.receives > 1:
        return True
    if _MARK not in received.body[:_BESIDE] and _MARK not in received.body[-_BESIDE:]:
        return False
    try:
        return read(Request, received.body).suspect
    except MessageError:
        return False


class _Whose(Struct, frozen=True, kw_only=True):
    """Of a request, also of a newer version, only whose it is and until when."""

    tenant: Name = "default"
    deadline: float = math.inf


def tenant(body: str) -> str:
    """Whose request it is, for its group on the queue; empty when that cannot be read."""
    try:
        return decode(_Whose, body).tenant
    except MessageError:
        return ""


def is_overdue(body: str, now: float) -> bool:
    """Whether nobody wants the answer any more; False when that cannot be read."""
    try:
        return decode(_Whose, body).deadline < now
    except MessageError:
        return False


def plain(body: str) -> bytes:
    """The request without the image that rides along, which is stored by now: it takes the way that stores first."""
    try:
        fields = decode(dict[str, object], body)
    except MessageError:
        return body.encode()
    fields.pop("data", None)
    return encode(fields)


def marked(body: str) -> bytes:
    """The request marked as a suspect, fields of newer versions kept; what is no JSON object stays as it is."""
    try:
        fields = decode(dict[str, object], body)
    except MessageError:
        return body.encode()
    return encode(fields | {"suspect": True})
