"""The cockpit's states, each as a run folder with everything of it fixed: what the snapshots and the pictures show.

python tests/tui/states.py STATE FOLDER     # write it, and show it as it stands there, at that time
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorded_run import STARTED_AT, append, commit_of, diff_of, write_run

from core import events as ev
from core.history import History, fold
from core.journal import read
from tui.app import Cockpit
from tui.feed import Feed


@dataclass(frozen=True)
class Shown:
    """`now`: the time there, Unix seconds. `alive`: whether an engine holds the run."""

    now: float
    alive: bool = True


def _history(folder: Path) -> History:
    return fold(read(folder / "journal.jsonl"))


def empty(folder: Path) -> Shown:
    """A run just opened: no experiment, the agent has not been asked."""
    write_run(folder, 0)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:2]))
    return Shown(STARTED_AT + 3)


def proposing(folder: Path) -> Shown:
    write_run(folder, 17, live=False, ended=False)
    h = _history(folder)
    append(folder, ev.Proposing(18, h.incumbent), at=h.last_time)
    return Shown(h.last_time + 2)


def running(folder: Path) -> Shown:
    write_run(folder, 18)
    return _at_last_report(folder, 18, 0.4)


def paused(folder: Path) -> Shown:
    write_run(folder, 18)
    shown = _at_last_report(folder, 18, 0.1)
    append(folder, ev.Acknowledged("pause", "holds at the next step"), ev.TrialHeld(18, 1, 68), at=shown.now)
    return Shown(shown.now + 754)


def stalled(folder: Path) -> Shown:
    write_run(folder, 18)
    return _at_last_report(folder, 18, 95)


def crashed(folder: Path) -> Shown:
    """The last experiment crashed and is selected; the next one is being thought of."""
    write_run(folder, 15, live=False, ended=False)
    h = _history(folder)
    append(folder, ev.Proposing(16, h.incumbent), at=h.last_time)
    return Shown(h.last_time + 2)


def gone(folder: Path) -> Shown:
    """The engine was killed in mid-training."""
    write_run(folder, 18)
    return Shown(_at_last_report(folder, 18, 600).now, alive=False)


def approving(folder: Path) -> Shown:
    write_run(folder, 17, live=False, ended=False)
    h = _history(folder)
    old = next(
        event.edits["train.py"]
        for event, _ in read(folder / "journal.jsonl")
        if isinstance(event, ev.Proposed) and event.number == h.incumbent
    )
    new = old.replace("SCALAR_LR = 0.5", "SCALAR_LR = 0.7").replace("WARMUP_RATIO = 0.0", "WARMUP_RATIO = 0.02")
    words = ("scalar LR 0.5 to 0.7, a short warm-up", "the residual scales move too little at this length")
    append(
        folder,
        ev.ApprovalTurned(True),
        ev.Proposing(18, h.incumbent),
        ev.Proposed(18, commit_of(h.incumbent or 0), h.incumbent, {"train.py": new}, *words, {}),
        ev.ApprovalAwaited(18, diff_of(old, new)),
        at=h.last_time + 1,
    )
    return Shown(h.last_time + 42)


def thousand(folder: Path) -> Shown:
    write_run(folder, 1000)
    return _at_last_report(folder, 1000, 0.4)


def _at_last_report(folder: Path, number: int, after_seconds: float) -> Shown:
    """So many seconds after the last report of a trial; its file is as old as that."""
    at = _history(folder).last_time + 0.62 * 15
    os.utime(folder / "trials" / f"{number}-1" / "telemetry.jsonl", (at, at))
    return Shown(at + after_seconds)


STATES: dict[str, Callable[[Path], Shown]] = {
    state.__name__: state for state in (empty, proposing, running, paused, stalled, crashed, gone, approving, thousand)
}
KEYS = {"crashed": "j"}  # what is pressed to get there


def cockpit(folder: Path, shown: Shown) -> Cockpit:
    """The cockpit over such a folder; time stands still."""
    return Cockpit(folder, feed=Feed(folder, alive=lambda _: shown.alive), clock=lambda: shown.now)


def main() -> None:
    state, folder = sys.argv[1], Path(sys.argv[2])
    cockpit(folder, STATES[state](folder)).run()


if __name__ == "__main__":
    main()
