"""How the cockpit keeps its memory small over days."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

_ARENA_MAX = -8  # of glibc's malloc.h: how many heaps threads may have


def settle() -> None:
    """After the first painting: garbage is looked for again (while everything was loaded it was not, for a sixth of
    the start), what is there by now stays and need not be looked through, and threads share one heap: with glibc's own
    choice each keeps freed memory to itself, some megabytes of it."""
    if not gc.isenabled():
        gc.collect()
        gc.freeze()
        gc.enable()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
