"""Room on the disk: looked for before each trial, for one that finds none crashes through no fault of its own."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

LEAST_BYTES = 64 * 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)


def lacking(folders: Sequence[Path], checkpoints: Sequence[int]) -> str | None:
    """Why no trial may start, in words, where one of these folders has no room for it; None where all have.

    checkpoints: the sizes of those that there are; the next one lies there twice for a moment.
    """
    needed = LEAST_BYTES + 2 * max(checkpoints, default=0)
    for folder in folders:
        place = next(p for p in (folder, *folder.parents) if p.is_dir())
        free = shutil.disk_usage(place).free
        if free < needed:
            return f"the disk is full: {free / 1e6:,.0f} MB are free at {folder}, and a trial needs {needed / 1e6:,.0f}"
    return None


def is_full(error: Exception) -> bool:
    """Whether this came of a full disk; git's library says so in words only."""
    full = isinstance(error, OSError) and error.errno in _FULL
    return full or any(os.strerror(code) in str(error) for code in _FULL)
