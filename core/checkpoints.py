"""The checkpoints of a run: those of kept experiments stay, and of the others the last few."""

from __future__ import annotations

import contextlib
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

    `keep_all`: only those of trials that came to nothing (the engine was killed between training and measurement).
    """
    p = history.pending or Pending(-1)
    finished = [(e.number, e.trial, e.verdict.outcome) for e in history.experiments if e.measurement]
    if p.measurement:
        finished.append((p.number, p.trial, p.judged.outcome if p.judged else "keep"))
    stay = {
        checkpoint_file(run_folder, number, trial)
        for place, (number, trial, outcome) in enumerate(finished)
        if keep_all or outcome == "keep" or place >= len(finished) - KEPT_RECENT
    }
    for file in checkpoint_files(run_folder):
        if file not in stay:
            file.unlink(missing_ok=True)
