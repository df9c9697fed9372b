"""What the C library does with memory that a step has freed."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_BUFFER, _OLD_LIMIT = 1 << 30, 32 << 20  # glibc before 2.35 takes no more than 32 MiB


def keep_freed_memory() -> None:
    """Keep freed buffers for the next step instead of giving their pages back to the kernel (glibc; else nothing).

    A step on a CPU frees and takes the same large buffers again and again; without this every one of them is mapped,
    zeroed page by page and unmapped: the step takes 1.14 times as long (bench/step.py).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        if not mallopt(_M_MMAP_THRESHOLD, _LARGEST_BUFFER):
            mallopt(_M_MMAP_THRESHOLD, _OLD_LIMIT)
