"""The user's cache folder: whatever is made there appears complete or not at all, and a full disk costs one line.

    <cache>/data/          shards as they were downloaded                       (climbmix.py)
    <cache>/tokenizers/    KEY.json                                             (vocabulary.py)
    <cache>/tokens/        KEY.tokens and KEY.npz: a group of files, tokenised (tokens.py)
    <cache>/rows/KEY/      packed rows                                          (prepare.py)

Beside what has a KEY lies KEY.lock: held by whoever makes it, changed whenever it is used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backends.reference import progress
from backends.reference.corpus import BadInput
from backends.reference.digests import Digests, cache_folder, sha256

ALWAYS_HASHED_BYTES = 64 * 2**20  # files no larger are hashed at every start: together that takes a tenth of a second


def place(kind: str) -> Path:
    """The folder of one kind of thing: data, tokenizers, tokens or rows."""
    return cache_folder() / kind


def lock_of(path: Path) -> Path:
    return path.with_name(path.name.split(".")[0] + ".lock")


@contextlib.contextmanager
def making(path: Path) -> Iterator[None]:
    """Held while `path` is made: another process waits here, and then finds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(path).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another process prepares the same data; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(file.fileno())
        yield


@contextlib.contextmanager
def in_use() -> Iterator[None]:
    """Held, with others, while something is prepared, so that nothing is removed meanwhile."""
    with _everything().open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def removing() -> Iterator[None]:
    """Held, alone, while something is removed. Raises BadInput while something is prepared."""
    with _everything().open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput("data is being prepared by another process; wait for it, or end it first") from None
        yield


def _everything() -> Path:
    path = cache_folder() / "data.lock"
    with writing(path.parent, 0, "data"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return path


def used(path: Path) -> None:
    """Note that what lies at `path` was used now. A folder that cannot be written is no reason to fail."""
    with contextlib.suppress(OSError):
        lock_of(path).touch()


def write(path: Path, content: bytes) -> None:
    """Complete under its name or not at all; on the disk when this returns. Raises OSError."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def sync(folder: Path) -> None:
    """What was renamed in this folder stays so through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def key(parts: Sequence[Any]) -> str:
    """A name for what is made from these JSON values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def digest(path: Path) -> str:
    """Hex sha256 of a file's bytes. Raises OSError."""
    return sha256(path)


def unharmed(folder: Path, digests: dict[str, str]) -> bool:
    """Whether the files of a folder still have the digests that were recorded when they were made.

    Files up to 64 MiB are hashed every time. A larger one is hashed when its size or time of change is not what it
    was when it was last hashed; so what alters it under the same size and time is not found out.
    """
    known = Digests(folder)
    try:
        for name, expected in digests.items():
            small = (folder / name).stat().st_size <= ALWAYS_HASHED_BYTES
            if (digest(folder / name) if small else known.of(name)) != expected:
                return False
        known.save()
    except OSError:
        return False
    return True


def remember(folder: Path, digests: dict[str, str]) -> None:
    """Note the digests of files just written, so that the first start does not hash the large ones. Raises OSError."""
    known = Digests(folder)
    for name, one in digests.items():
        if (folder / name).stat().st_size > ALWAYS_HASHED_BYTES:
            known.record(name, one)
    known.save()


# --- room on the disk ------------------------------------------------------------------------------------------------


def require_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises BadInput if the disk that holds `folder` (made if need be) has less room."""
    with writing(folder, needed_bytes, what):
        folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < needed_bytes:
        raise BadInput(_no_room(folder, needed_bytes, what))


@contextlib.contextmanager
def writing(folder: Path, needed_bytes: int, what: str) -> Iterator[None]:
    """Turns an OSError into BadInput: for a disk that fills up, with what is needed in all and what is free."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC and folder.exists():
            # What was half-written is gone again, and it did not fit: more is needed than is free, whatever the guess.
            needed_bytes = max(needed_bytes, shutil.disk_usage(folder).free + 10**6)
            raise BadInput(_no_room(folder, needed_bytes, what)) from None
        if error.errno in (errno.EDQUOT, errno.EFBIG):
            raise BadInput(_no_room(folder, needed_bytes, f"{what} ({error.strerror})")) from None
        raise BadInput(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}; "
            "mend that, or point XDG_CACHE_HOME to another folder"
        ) from None


def _no_room(folder: Path, needed_bytes: int, what: str) -> str:
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    return (
        f"{folder}: no room for the {what}: about {needed_bytes / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free; "
        "free some, or point XDG_CACHE_HOME to another disk, and start again: what is finished is kept"
    )
