"""Reading files that other processes are writing: journal and telemetry line by line, logs from their end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from core import events as ev
from core import records
from tui import text

LOG_BYTES = 64 * 1024  # of a log's end that viewers show
_CHUNK = 1 << 20
_DECODER = json.JSONDecoder()
_GREATEST = 2**63  # of whole numbers: beyond it nothing of ours counts, and no clock or float can take them
_EDITING = ("Proposed", "Approved", "RepairProposed")


class Lines:
    """The complete lines of a file that grows, from where the last reading ended. Absent files have none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.more = False  # whether the last reading stopped short of the end
        self.restarted = False  # whether the last reading found another or a shorter file and began anew
        self.trouble = ""  # why it could not be read; a file that was never there is none
        self._offset = 0
        self._inode = 0

    def read(self) -> list[bytes]:
        """What has been completed since; about a megabyte at most."""
        self.more = self.restarted = False
        self.trouble = ""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if self._inode != status.st_ino or status.st_size < self._offset:
                    self.restarted = self._offset > 0
                    self._inode, self._offset = status.st_ino, 0
                if status.st_size == self._offset:
                    return []
                file.seek(self._offset)
                data = chunk = file.read(_CHUNK)
                while chunk and b"\n" not in chunk:
                    chunk = file.read(_CHUNK)
                    data += chunk
        except OSError as error:
            if self._inode or not isinstance(error, FileNotFoundError):
                self.trouble = f"{self.path}: {error.strerror or error}"
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        self.more = status.st_size - self._offset > len(data) - end
        return data[:end].split(b"\n")[:-1]


class Tail:
    """The last lines of a log, read again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> tuple[str, ...] | None:
        """Its cleaned last lines, or None if nothing changed since the last reading."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if seen == self._seen:
                    return None
                start = max(0, status.st_size - LOG_BYTES)
                file.seek(start)
                data = file.read(LOG_BYTES)
        except OSError:
            return None
        self._seen = seen
        lines = text.clean_lines(data.decode(errors="replace"))
        return tuple(lines[1:] if start else lines)


def parse(line: bytes | str) -> dict[str, Any] | None:
    """The JSON object of a line; None for anything else."""
    try:
        words = line if isinstance(line, str) else line.decode()
        record, end = _DECODER.raw_decode(words)  # what json.loads does with bytes beforehand takes as long as this
        whole = end == len(words) or not words[end:].strip()
    except (ValueError, RecursionError):
        return None
    return record if whole and isinstance(record, dict) else None


def to_event(record: dict[str, Any]) -> tuple[ev.Event, float] | None:
    """The event of a journal line and its time; None for a line that this version does not know.

    The texts of `edits` are left out: the diff says the same, and a long run would hold them all in memory.
    """
    at = as_float(record.get("time"))
    if record.get("type") in _EDITING and record.get("edits") is not None:
        record = {**record, "edits": {}}
    event = records.from_record(record)
    if event is None or at is None or not math.isfinite(at):
        return None
    kind: type = type(event)
    for name, kinds in _kinds(kind):
        value = getattr(event, name)
        if not isinstance(value, kinds) or (isinstance(value, int) and abs(value) > _GREATEST):
            return None
    return event, at


@cache
def _kinds(event: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """For every field of an event the types its value may have."""
    known = {
        "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),),
        "Outcome": (str,), "tuple[str, ...]": (tuple,),
    }  # fmt: skip

    def kinds(annotation: str) -> tuple[type, ...]:
        if annotation.startswith("Mapping"):
            return (Mapping, type(None)) if annotation.endswith("| None") else (Mapping,)
        if annotation.startswith("Literal"):
            return (str,)
        return tuple(kind for part in annotation.split(" | ") for kind in known[part])

    return tuple((f.name, kinds(str(f.type))) for f in fields(event))


def events(path: Path) -> Iterator[tuple[ev.Event, float]]:
    """The events of a journal as far as it is written now. Raises OSError."""
    path.open("rb").close()
    lines = Lines(path)
    while found := lines.read():
        for record in filter(None, map(parse, found)):
            if (known := to_event(record)) is not None:
                yield known


def as_float(value: object) -> float | None:
    """A JSON number as a float, not-a-number included; None for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None
