"""What an experiment's files looked like, told by the journal alone: so it works for a recorded run without its git.

The journal holds the whole text of every edit, the user's own versions included, and every diff, that of a proposal
which still waits included. The baseline's own text is an edited one with its diff taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from core.history import History
from tui.diffs import undone
from tui.feed import find
from tui.tail import parse

_TELLING = re.compile(rb'\{"type": ?"(Proposed|Approved|Rejected)"')


class Sources:
    """Reads the edits of a run's journal when they are asked for. For one thread at a time."""

    def __init__(self, run_folder: Path) -> None:
        self._journal = run_folder / "journal.jsonl"
        self._at: dict[int, int] = {}  # experiment -> where the line begins that has its edits
        self._read_to = 0

    def of(self, history: History, number: int) -> dict[str, str]:
        """Path (relative to the task folder) -> text after this experiment, of the files that were ever edited.

        Raises LookupError where the journal does not tell, ValueError where its diffs and texts disagree, OSError.
        """
        self._index()
        task = history.run.task.get("task", {}) if history.run else {}
        artifact = task.get("artifact", ()) if isinstance(task, Mapping) else ()
        found = {path: self._text(history, number, path) for path in artifact if isinstance(path, str)}
        if not any(text is not None for text in found.values()):
            imported = history.run is not None and history.run.imported_from
            raise LookupError(f"the journal holds no edits{' (the run is imported)' if imported else ''}")
        return {path: text for path, text in found.items() if text is not None}

    def _text(self, history: History, number: int, path: str) -> str | None:
        for ancestor in self._line(history, number):
            if path in (edits := self._edits(ancestor)):
                return edits[path]
        for other in sorted(self._at):  # nobody in this line edited it: it is the baseline's
            diff = self._diff(history, other)
            if diff is None or path not in (edits := self._edits(other)):
                continue
            if not any(path in self._edits(k) for k in self._line(history, other)[1:]):
                return undone(edits[path], of_file(diff, path))
        return None  # no experiment ever touched it

    def _line(self, history: History, number: int) -> list[int]:
        """The experiment and what it was built on, back to the baseline, which is left out."""
        line: list[int] = []
        at: int | None = number
        while at:
            line.append(at)
            entry = find(history, at)
            pending = history.pending
            if entry is not None:
                at = entry.incumbent
            elif pending and pending.number == at and pending.proposed:
                at = pending.proposed.incumbent
            else:
                raise LookupError(f"experiment {at} is not in this journal")
        return line

    def _diff(self, history: History, number: int) -> str | None:
        """None where this history does not tell: the journal may be ahead of it."""
        entry, pending = find(history, number), history.pending
        if entry is not None:
            return entry.diff
        if pending is None or pending.number != number:
            return None
        told = pending.committed or pending.awaited
        return told.diff if told else None

    def _edits(self, number: int) -> Mapping[str, str]:
        if number not in self._at:
            return {}
        with self._journal.open("rb") as file:
            file.seek(self._at[number])
            record = parse(file.readline()) or {}
        edits = record.get("edits")
        return {k: v for k, v in edits.items() if isinstance(v, str)} if isinstance(edits, dict) else {}

    def _index(self) -> None:
        with self._journal.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if match := _TELLING.match(line):
                    self._note(match[1], parse(line) or {})
                self._read_to += len(line)

    def _note(self, kind: bytes, record: Mapping[str, object]) -> None:
        number = record.get("number")
        if not isinstance(number, int):
            return
        if kind == b"Rejected":
            self._at.pop(number, None)
        elif record.get("edits") is not None:  # a plain yes has none
            self._at[number] = self._read_to


def of_file(diff: str, path: str) -> str:
    """The part of a diff that is about one file; the diff's paths begin at the workspace, ours at the task folder."""
    parts = re.split(r"^diff --git ", diff, flags=re.MULTILINE)
    for part in parts:
        if part.split("\n", 1)[0].endswith((f"/{path}", f" {path}")):
            return part
    return diff if len(parts) == 1 else ""  # one file without a header; or several, and this one did not change
