"""A finished experiment is scored once more: the task's trusted evaluate command on a checkpoint, outside of any run.

The same command, source and validation rows as in the run, on the same device. Nothing is journalled, nothing is left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.best import Pick, checkpoint, lay_out, open_workspace
from core.control import Control
from core.errors import UsageError
from core.evaluator import Answer, Evaluation
from core.facts import fact
from core.launch import command_for
from core.locks import lock_device
from core.measure import CHECKOUTS, FIRST_SEED
from core.prepare import prepare


@fact
class Bench:
    """A folder that goes away again, with a copy of the checkpoint, and what prepare and a trial file say."""

    folder: Path
    prepared: Mapping[str, Any]
    told: Mapping[str, Any]
    checkouts: tuple[Path, ...]  # task folders


@contextmanager
def bench(
    pick: Pick, model: Path, device: str, checkouts: tuple[str, ...], progress: Callable[[str], None]
) -> Iterator[Bench]:
    """Lay out what a process needs that loads this model. The device is locked: a run beside it would be spoilt.

    Raises UsageError where the rows are gone or others, or the device is in use; RunFailed where the commit is gone.
    """
    task, run = pick.task, pick.run
    workspace = open_workspace(pick)
    if not (pick.root / task.folder).is_dir():
        raise UsageError(f"{pick.root / task.folder}: the task's folder is not in the checkout; put it back")
    prepared = prepare(task, pick.root / task.folder, run.device, run.fingerprint or None, progress)
    own = prepared.get("device_lock", device) if device == run.device else device
    held = lock_device(device, str(own), str(pick.folder))
    try:
        if device == run.device and prepared.get("refuse"):
            raise UsageError(str(prepared["refuse"]))
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as scratch:
            folder = Path(scratch)
            copy = folder / "checkpoint.safetensors"
            _copy(model, copy)
            told = {
                "experiment": pick.experiment.number,
                "trial": pick.experiment.trial,
                "device": device,
                "seed": FIRST_SEED + run.seed,
                "budget": {k: getattr(task.budget, k) for k in ("train_seconds", "startup_seconds", "timeout_seconds")},
                "settings": dict(run.settings),
                "checkpoint": str(copy),
            }
            yield Bench(folder, prepared, told, tuple(lay_out(pick, workspace, folder / name) for name in checkouts))
    finally:
        held.close()


def _copy(model: Path, copy: Path) -> None:
    """A copy of its own: what is not trusted gets to read it."""
    try:
        shutil.copyfile(model, copy)
    except OSError as error:
        raise UsageError(f"{error.filename or model}: {error.strerror or error}") from None


def model_to_score(pick: Pick, file: Path | None) -> Path:
    """This checkpoint, or the experiment's own. Raises UsageError where there is none, or nothing that scores it."""
    if "evaluate" not in pick.task.commands:
        mend = f"train it once more with: {command_for(pick.folder, f'again {pick.experiment.number}')}"
        why = "its train command prints the score itself"
        raise UsageError(f"task {pick.task.name} has no evaluate command: {why}; {mend}")
    if file is None:
        return checkpoint(pick)
    if not file.is_file():
        raise UsageError(f"{file}: no such file; a run's checkpoints are in {pick.folder / 'trials'}")
    return file


def rescore(pick: Pick, model: Path, progress: Callable[[str], None]) -> Answer:
    """What the evaluate command says of this checkpoint. Raises UsageError, RunFailed."""
    task = pick.task
    with bench(pick, model, pick.run.device, CHECKOUTS, progress) as place:
        store, work = place.folder / "store", place.folder / "work"
        store.mkdir()
        work.mkdir()
        serve = task.command("serve", place.checkouts[0]) if "serve" in task.commands else []
        told = {
            **place.told,
            "role": "evaluate",
            "prepared": dict(place.prepared),
            "serve": {"command": serve, "folders": [str(folder) for folder in place.checkouts]},
            "work": str(work),
            "store": str(store),
            "incumbent_store": None,  # the audit weighs by a bigram, as for a baseline
        }
        argv = task.command("evaluate", place.checkouts[0])
        evaluation = Evaluation(argv, place.folder / "evaluation", told, place.folder / "evaluate.log")
        control = Control(place.folder, lambda event: None, lambda: "evaluating")
        try:
            return evaluation.finish(control, task.budget.timeout_seconds)
        finally:
            evaluation.close()
            control.close()
