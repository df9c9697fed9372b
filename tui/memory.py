"""How the cockpit keeps its memory small over days."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

TIDY_SECONDS = 60.0
_ARENA_MAX = -8  # of glibc's malloc.h: how many heaps threads may have


def share() -> None:
    """Before the first thread: all share one heap. With glibc's own choice each keeps freed memory to itself, some
    megabytes of it."""
    if glibc := _glibc():
        glibc.mallopt(_ARENA_MAX, 1)


def settle() -> None:
    """After the first painting: garbage is looked for again (while everything was loaded it was not, for a sixth of
    the start), and what is there by now stays and need not be looked through."""
    if not gc.isenabled():
        gc.collect()
        gc.freeze()
        gc.enable()


def tidy() -> None:
    """Now and then: closed screens and long diffs leave garbage that Python looks for only after much more has come,
    and freed memory that glibc keeps until what lies above it is free too."""
    gc.collect()
    if glibc := _glibc():
        glibc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library where it is the one that knows these calls."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
