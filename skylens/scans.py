"""How many scans a JPEG has: each may cost its reader a walk over every pixel, and takes ten bytes."""

import re
from itertools import islice

from skylens.errors import UndecodableImageError

MOST, FEW, LARGE = 100, 20, 5_000_000
"""Most scans; and of a picture that is large, in pixels. A progressive JPEG has about ten."""
_SCAN = re.compile(rb"\xff\xda\x00[\x06\x08\x0a\x0c\x0e][\x00-\x04]")
"""A scan's marker, length and number of components. Pixels cannot hold it: there, FF is always followed by 00."""


def check(jpeg: bytes, pixels: int) -> None:
    """Raise UndecodableImageError when there are more than ``MOST``, or than ``FEW`` of a ``LARGE`` picture."""
    most = FEW if pixels > LARGE else MOST
    if sum(1 for _ in islice(_SCAN.finditer(jpeg), most + 1)) > most:
        raise UndecodableImageError(f"The JPEG has more than {most} scans; save it again, as baseline or progressive")
