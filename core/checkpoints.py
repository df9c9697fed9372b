"""The checkpoints of a run: those of kept experiments stay, and of the others the last few."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from core.history import History, Pending

KEPT_RECENT = 3  # experiments, whatever became of them


def checkpoint_file(run_folder: Path, number: int, trial: int) -> Path:
    """Where the checkpoint of a trial is kept, if it is."""
    return run_folder / "trials" / f"{number}-{trial}" / "checkpoint.safetensors"


def checkpoint_files(run_folder: Path) -> list[Path]:
    """Every checkpoint that the run holds now."""
    return sorted((run_folder / "trials").glob("*/checkpoint.safetensors"))


def checkpoint_bytes(run_folder: Path) -> list[int]:
    """The size of each of them."""
    sizes = []
    for file in checkpoint_files(run_folder):
        with contextlib.suppress(FileNotFoundError):  # an engine at work prunes them
            sizes.append(file.stat().st_size)
    return sizes


def prune(run_folder: Path, history: History, keep_all: bool) -> None:
    """Delete what is neither of a kept experiment, nor of one of the last few, nor of the one under way.

    Of an experiment's trials the judged one counts, not those that the user asked for later.
    `keep_all`: only those of trials that came to nothing (the engine was killed between training and measurement).
    """
    p = history.pending or Pending(-1)
    finished = [(e.number, e.trial, e.verdict.outcome) for e in history.experiments if e.measurement]
    if p.measurement and not p.again:
        finished.append((p.number, p.trial, p.judged.outcome if p.judged else "keep"))
    stay = {
        checkpoint_file(run_folder, number, trial)
        for place, (number, trial, outcome) in enumerate(finished)
        if keep_all or outcome == "keep" or place >= len(finished) - KEPT_RECENT
    }
    if keep_all:
        again = [(e.number, r.trial) for e in history.experiments for r in e.repeats if r.measurement]
        again += [(p.number, p.trial)] if p.measurement and p.again else []
        stay |= {checkpoint_file(run_folder, number, trial) for number, trial in again}
    for file in checkpoint_files(run_folder):
        if file not in stay:
            file.unlink(missing_ok=True)


def tidy(run_folder: Path, history: History, p: Pending) -> None:
    """Delete the stores that no later experiment needs: all but the incumbent's, whose judged trial has it."""
    trials, best = run_folder / "trials", history.best
    stay = [(best.number, best.trial)] if best else []
    if p.judged and p.judged.outcome == "keep":
        stay = [(p.number, p.trial)]
    over = list(trials.glob(f"{p.number}-*")) + ([trials / f"{best.number}-{best.trial}"] if best else [])
    for folder in set(over) - {trials / f"{number}-{trial}" for number, trial in stay}:
        shutil.rmtree(folder / "store", ignore_errors=True)
    if (log := trials / f"{p.number}-{p.trial}" / "evaluate.log").is_file() and not log.stat().st_size:
        log.unlink()
