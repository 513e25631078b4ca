"""How many scans a JPEG has: each may cost its reader a walk over every pixel, and takes ten bytes."""

import re
from itertools import islice

from skylens.errors import UndecodableImageError

MOST = 100
"""A progressive JPEG has about ten."""
_SCAN = re.compile(rb"\xff\xda\x00[\x06\x08\x0a\x0c\x0e][\x00-\x04]")
"""A scan's marker, length and number of components. Pixels cannot hold it: there, FF is always followed by 00."""


def check(jpeg: bytes) -> None:
    """Raise UndecodableImageError when there are more than ``MOST``."""
    if sum(1 for _ in islice(_SCAN.finditer(jpeg), MOST + 1)) > MOST:
        raise UndecodableImageError(f"The JPEG has more than {MOST} scans; save it again, as baseline or progressive")
