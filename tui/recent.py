"""The runs that one may want to come back to: those of a workspace, the demo's, and those looked at lately.

Nothing is folded: a journal may be long, and a line about a run needs its folder and its table only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.control import alive
from core.facts import fact
from core.launch import demo_folder, runs
from tui import text
from tui.away import looked_at
from tui.starting import short

_AGES = ((60.0, "s"), (3600.0, "min"), (86400.0, "h"))


@fact
class Recent:
    """A run folder; `going_on`: an engine holds it now; `written_at`: Unix seconds; `best`: as its table has it."""

    folder: Path
    going_on: bool
    written_at: float
    experiments: int  # after the baseline
    best: str

    def words(self, now: float) -> str:
        """Where it lies and how it stands, in a line."""
        place = self.folder.parent.parent
        where = "the demo" if place == demo_folder() else short(place)
        state = "going on" if self.going_on else f"last written {age(now - self.written_at)} ago"
        count = f"{self.experiments} experiment{'s' * (self.experiments != 1)}"
        score = f", best {self.best}" if self.best else ""
        return text.one_line(f"{where} · {count}{score} · {state}")


def recent_runs(workspace: Path, most: int = 8) -> list[Recent]:
    """The latest runs of this workspace, of the demo, and of those looked at before; what goes on comes first."""
    folders = [*runs(workspace), *runs(demo_folder()), *(f for f in looked_at() if (f / "journal.jsonl").is_file())]
    found = [r for folder in dict.fromkeys(folders) if (r := _recent(folder))]
    return sorted(found, key=lambda r: (not r.going_on, -r.written_at))[:most]


def age(seconds: float) -> str:
    """`9 s`, `12 min`, `3 h`, `8 days`."""
    unit = 1.0
    for limit, name in _AGES:
        if seconds < limit:
            return f"{max(0, int(seconds / unit))} {name}"
        unit = limit
    days = int(seconds / 86400)
    return f"{days} day{'s' * (days != 1)}"


def _recent(folder: Path) -> Recent | None:
    try:
        written_at = (folder / "journal.jsonl").stat().st_mtime
    except OSError:
        return None
    try:
        rows = (folder / "results.tsv").read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        rows = []
    return Recent(folder, alive(folder), written_at, max(0, len(rows) - 1), _best(rows))


def _best(rows: Iterable[str]) -> str:
    """The score of the last kept row: a run keeps only what is no worse."""
    kept = [cells[1] for row in rows if len(cells := row.split("\t")) >= 4 and cells[3] == "keep"]
    try:
        return text.exact(float(kept[-1])) if kept else ""
    except ValueError:
        return text.one_line(kept[-1])
