"""Locks: one engine a run, one a device. They lie in files, and go with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO

import platformdirs

from core.errors import Busy

_ATTEMPTS = 5


def cache_folder() -> Path:
    """The user's cache folder of this app. Not in /run/user: logging out would empty it."""
    return Path(platformdirs.user_cache_dir("autoresearch"))


def lock(path: Path, busy: str, holder: str = "") -> IO[str]:
    """Hold an exclusive lock on this file for as long as the returned file stays open. Raises Busy(`busy`).

    `holder` says who holds it, for the message that the next one gets.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+")  # noqa: SIM115 - the lock lives as long as the file is open
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if attempt + 1 < _ATTEMPTS:
                time.sleep(0.02)  # a viewer that looks whether we live holds it for an instant
                continue
            file.seek(0)
            other = file.read().strip()
            file.close()
            raise Busy(f"{busy}{f' (engine process {other})' if other else ''}") from None
    file.truncate(0)
    file.write(f"{os.getpid()} {holder}\n")
    file.flush()
    return file


def lock_device(device: str, name: str, holder: str) -> IO[str]:
    """Hold a device, so that nothing else spoils its times. Raises Busy.

    `name` is what it is locked by: a GPU's UUID, for one card may be cuda to one engine and cuda:1 to another.
    """
    busy = f"device {device} is in use by another run, and two at once would spoil each other's time; stop it or wait"
    return lock(_device_lock(name), busy, holder)


def device_holder(name: str) -> str | None:
    """Who holds the device of this name just now, in the holder's words (a run folder); None if nobody does."""
    path = _device_lock(name)
    if not held(path):
        return None
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip().partition(" ")[2]
    return ""


def _device_lock(name: str) -> Path:
    safe = "".join(c if c.isalnum() else "-" for c in name)
    return cache_folder() / "locks" / f"{safe}.lock"


def held(path: Path) -> bool:
    """Whether somebody holds this lock now."""
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
