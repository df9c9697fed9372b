"""What files' bytes hash to, remembered by name, size and time of change, so that gigabytes are hashed once.

known = Digests(folder)          # one record for the files of one folder
digest = known.of("a.parquet")   # sha256, from the record if size and time are still the same
known.save()
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where everything lies that can be fetched or made again."""
    return Path(platformdirs.user_cache_dir("autoresearch"))


class Digests:
    """The digests of one folder's files. Threads may share it. What is remembered is only as true as size and time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]
        self._path = cache_folder() / "digests" / f"{key}.json"
        self._lock = threading.Lock()
        self._changed = False
        self._known: dict[str, tuple[int, int, str]] = _load(self._path)  # name -> size, mtime_ns, sha256

    def recorded(self, name: str) -> str | None:
        """The digest last recorded for this name, whether or not the file still looks the same."""
        return self._known[name][2] if name in self._known else None

    def unchanged(self, name: str) -> bool:
        """Whether the file is there with the size and time at which its digest was recorded."""
        try:
            return name in self._known and self._known[name][:2] == _look(self.folder / name)
        except OSError:
            return False

    def of(self, name: str) -> str:
        """The file's sha256, computed if it is not known. Raises OSError."""
        if not self.unchanged(name):
            self.record(name, sha256(self.folder / name))
        return self._known[name][2]

    def record(self, name: str, digest: str, found_at: Path | None = None) -> None:
        """Remember a file's digest. found_at: where the file lies until it is renamed to its name. Raises OSError."""
        size, changed = _look(found_at or self.folder / name)
        with self._lock:
            self._known[name] = (size, changed, digest)
            self._changed = True

    def forget(self, name: str) -> None:
        with self._lock:
            self._changed |= self._known.pop(name, None) is not None

    def save(self) -> None:
        """Write the record, whole or not at all. Raises OSError."""
        with self._lock:
            if not self._changed:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_name(f"{self._path.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps({"folder": str(self.folder), "files": self._known}), encoding="utf-8")
            partial.replace(self._path)
            self._changed = False


def sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Hex digest of a file's bytes; progress gets how many were read since its last call. Raises OSError."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            hashed.update(block)
            if progress:
                progress(len(block))
    return hashed.hexdigest()


def _look(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _load(path: Path) -> dict[str, tuple[int, int, str]]:
    """An absent or damaged record is an empty one: it is made again."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): (int(size), int(changed), str(digest)) for name, (size, changed, digest) in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
