"""What the C library does with memory that pictures leave behind."""

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""As in glibc's <malloc.h>."""
_MIB = 2**20


def keep(arenas: int) -> None:
    """Keep freed memory for the next picture, in few heaps. Call it before there are threads.

    By default a block of megabytes goes back to the system with each picture, and each page of the next one is a fault:
    on a virtual machine these can take as long as decoding. Each thread would have a heap of its own, and each of those
    grows to the largest picture that it ever saw. A C library without these knobs keeps its own ways.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for knob, value in ((_ARENA_MAX, arenas), (_MMAP_THRESHOLD, 32 * _MIB), (_TRIM_THRESHOLD, 64 * _MIB)):
        mallopt(knob, value)
