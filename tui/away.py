"""What happened while nobody looked: the last look is remembered in the user's state folder, a line a run."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from core.facts import fact
from core.history import History
from tui import text
from tui.feed import find

_RUNS_REMEMBERED = 200


@fact
class Look:
    """When a run was last looked at (Unix seconds), how many experiments were finished, which was the best, how many
    further trials there were of finished ones."""

    at: float
    experiments: int
    best: int | None
    repeats: int = 0


def _path() -> Path:
    return Path(platformdirs.user_state_dir("autoresearch")) / "looks.json"


def last_look(run_folder: Path) -> Look | None:
    """The last look at this run; None if there was none, or nothing readable is left of it."""
    try:
        found = _looks()[str(run_folder)]
        best = found["best"]
        repeats = int(found.get("repeats", 0))
        return Look(float(found["at"]), int(found["experiments"]), None if best is None else int(best), repeats)
    except (ValueError, LookupError, TypeError, OverflowError):
        return None


def looked_at() -> list[Path]:
    """The run folders that have been looked at on this machine, the last one at the end."""
    return [Path(folder) for folder in _looks()]


def _looks() -> dict[str, Any]:
    """What the file says; damaged or foreign, it says nothing."""
    try:
        looks = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return looks if isinstance(looks, dict) else {}


def remember(run_folder: Path, history: History, now: float) -> None:
    """Remember this look. A state folder that cannot be written costs the summary, nothing else."""
    path = _path()
    looks = _looks()
    looks.pop(str(run_folder), None)
    looks = dict(list(looks.items())[-_RUNS_REMEMBERED:])
    looks[str(run_folder)] = asdict(Look(now, len(history.experiments), history.incumbent, _repeats(history)))
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(json.dumps(looks), encoding="utf-8")
        part.replace(path)


def _repeats(history: History) -> int:
    return sum(len(e.repeats) for e in history.experiments)


def while_away(history: History, look: Look | None, now: float, brief: bool = False) -> str:
    """One sentence about what has been finished since; empty where nothing was, or nobody had looked before. `brief`:
    in as few words as can be."""
    if look is None or not 0 <= look.experiments <= len(history.experiments):
        return ""
    new, again = history.experiments[look.experiments :], _repeats(history) - look.repeats
    if not new and again <= 0:
        return ""
    kept = sum(e.number > 0 and e.verdict.outcome == "keep" for e in new)
    crashed = sum(e.verdict.outcome == "crash" for e in new)
    count = sum(e.number > 0 for e in new)  # of experiments, everywhere: those after the baseline
    span = text.span(now - look.at)
    told = f"away {span}: " if brief else f"while you were away ({span}): "
    told += f"{count} experiment{'s' * (count != 1)}" if count or not new else "the baseline"
    told += f", {kept} kept, {crashed} crashed" if count else ""
    told += f", {again} further trial{'s' * (again != 1)}" if again > 0 else ""
    was, best = (find(history, n) if n is not None else None for n in (look.best, history.incumbent))
    if best and best.measurement and was and was.measurement and best.number != was.number:
        before = "now" if brief else f"{text.score(was.measurement.value)} →"
        return told + f"; best {before} {text.score(best.measurement.value)} (#{best.number})"
    return told + "; the best is as it was"


def on_return(history: History, look: Look | None, now: float, brief: bool = False, over: bool = False) -> str:
    """The same, and that a proposal waits: this sentence stands where that is said else. `over`: nobody is there to
    hear an answer."""
    told = while_away(history, look, now, brief)
    if not (told and history.waiting and history.pending):
        return told
    answer = " once the run goes on" if over else ": A answers"
    return f"{told}; #{history.pending.number} waits for your yes{answer}"
