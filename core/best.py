"""What a run came to: one finished experiment of it, taken out as a patch, as a folder, or as its checkpoint."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from core.checkpoints import KEPT_RECENT, checkpoint_file
from core.errors import RunFailed, UsageError
from core.events import RunStarted
from core.experiment import Experiment
from core.facts import fact
from core.history import History, fold
from core.journal import read
from core.launch import command_for
from core.task import Task, parse

if TYPE_CHECKING:
    from core.workspace import Workspace


@fact
class Pick:
    """A finished experiment and the run that it belongs to; `folder` is the run's."""

    folder: Path
    history: History
    experiment: Experiment

    @property
    def run(self) -> RunStarted:
        assert self.history.run is not None
        return self.history.run

    @property
    def root(self) -> Path:
        """The workspace as it lies now: it may have been moved since the run began."""
        return self.folder.parent.parent

    @property
    def metric(self) -> str:
        """The name of the task's metric."""
        return str(self.run.task["metric"]["name"])

    @property
    def task(self) -> Task:
        """Raises UsageError for an imported run: its table tells of no task."""
        if self.run.imported_from:
            known = f"its scores and words are all there is: {command_for(self.folder, 'results')}"
            raise UsageError(f"run {self.folder.name} is imported: there is no task to run; {known}")
        return parse(self.run.task_folder, self.run.task, self.folder / "journal.jsonl")

    @property
    def checkpoint(self) -> Path:
        return checkpoint_file(self.folder, self.experiment.number, self.experiment.trial)

    @property
    def label(self) -> str:
        return f"experiment {self.experiment.number} of {self.folder.name}"


def pick(run_folder: Path, number: int | None = None) -> Pick:
    """The experiment of this number, or the best so far. Raises UsageError where there is none."""
    history = fold(read(run_folder / "journal.jsonl"))
    if history.run is None:
        raise UsageError(f"{run_folder}: its journal has no first line, so nothing is known of it; start a new run")
    if number is None:
        if history.best is None:
            raise UsageError(f"run {run_folder.name} has no best experiment yet: {_why_none(run_folder, history)}")
        return Pick(run_folder, history, history.best)
    for experiment in history.experiments:
        if experiment.number == number:
            return Pick(run_folder, history, experiment)
    last = history.experiments[-1].number if history.experiments else None
    known = f"there are 0 to {last}" if last is not None else "none is finished yet"
    raise UsageError(f"experiment {number}: not in run {run_folder.name}; {known}")


def _why_none(run_folder: Path, history: History) -> str:
    see = command_for(run_folder, "status")
    if history.experiments:
        return f"its baseline crashed ({history.experiments[0].verdict.reason}); see: {see}"
    return f"its baseline is not measured; see how far it is with: {see}"


def chain(history: History, experiment: Experiment) -> list[Experiment]:
    """The kept experiments that led to this one, from the baseline to itself."""
    imported = history.run is not None and bool(history.run.imported_from)  # of the commits there only some are known
    all_kept = (e for e in history.experiments if e.verdict.outcome == "keep")
    kept: dict[object, Experiment] = {e.number if imported else e.commit: e for e in all_kept}
    led = [experiment]
    while led[0].number:
        before = kept.get(led[0].incumbent if imported else led[0].parent)
        if before is None or before.number >= led[0].number:
            break
        led.insert(0, before)
    return led


# --- taking it out ---------------------------------------------------------------------------------------------------


def patch(pick: Pick) -> str:
    """What the experiment changed since the run began, as `git apply` takes it. Raises UsageError, RunFailed."""
    if pick.run.imported_from:
        told = command_for(pick.folder, f"diff {pick.experiment.number}")
        raise UsageError(
            f"run {pick.folder.name} is imported: what it began with is not known; {told} has its own diff"
        )
    if pick.experiment.commit == pick.run.base:
        raise UsageError(f"{pick.label} is the artifact as the run found it: there is nothing to patch")
    return open_workspace(pick).patch(pick.run.base, pick.experiment.commit)


def check_out(pick: Pick, folder: Path) -> None:
    """Make a workspace of its own in a new or empty folder: the experiment's commit, and the task's own files.

    The user's checkout, index and HEAD are not touched. Whole or not at all. Raises UsageError, RunFailed.
    """
    folder = folder.absolute()
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"{folder}: not empty; name a new or empty folder")
    task = pick.task
    workspace = open_workspace(pick)
    from core.workspace import create

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            made = Path(scratch) / "workspace"
            workspace.checkout(pick.experiment.commit, made)
            _add_what_git_does_not_hold(pick, made)
            _set_as_run(pick, made / task.folder / "task.toml")
            create(made, f"autoresearch: {pick.label}")
            if folder.exists():
                folder.rmdir()
            os.replace(made, folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror or error}") from None


def _add_what_git_does_not_hold(pick: Pick, made: Path) -> None:
    """task.toml and the program may lie beside the commit: they are read from the checkout."""
    task = pick.task
    for name in ("task.toml", *((task.program,) if task.program else ())):
        theirs, ours = pick.root / task.folder / name, made / task.folder / name
        if ours.exists():
            continue
        if not theirs.is_file():
            where = f"neither in commit {pick.experiment.commit[:7]} nor in the workspace"
            raise UsageError(f"{theirs}: {where}, and the folder would not run without it; put it back")
        ours.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(theirs, ours)


def _set_as_run(pick: Pick, file: Path) -> None:
    """The run's own [settings], where they are not those of this task.toml: they may never have been committed."""
    text = file.read_text(encoding="utf-8")
    there = tomllib.loads(text).get("settings", {})
    wanted = dict(pick.task.settings)
    if isinstance(dataset := pick.run.settings.get("dataset"), str) and "dataset" in wanted:
        wanted["dataset"] = dataset  # a path was relative to the folder it was written in
    for name, value in wanted.items():
        if there.get(name) != value:
            text = _with_setting(text, name, f"{name} = {json.dumps(value, ensure_ascii=False)}")
    file.write_text(text, encoding="utf-8")


def _with_setting(text: str, name: str, line: str) -> str:
    old = re.search(rf"^{re.escape(name)} *=[^\n]*", text, re.MULTILINE)
    if old:
        return text[: old.start()] + line + text[old.end() :]
    head, table, rest = text.partition("[settings]")
    if not table:
        return f"{text.rstrip()}\n\n[settings]\n{line}\n"
    comment, _, rest = rest.partition("\n")
    return f"{head}{table}{comment}\n{line}\n{rest}"


def lay_out(pick: Pick, workspace: Workspace, tree: Path) -> Path:
    """The experiment's files in the new folder `tree`, with links to what git does not hold. Returns the task's."""
    folder = tree / pick.task.folder
    workspace.checkout(pick.experiment.commit, tree)
    for name in pick.task.link:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(pick.root / pick.task.folder / name)
    return folder


def open_workspace(pick: Pick) -> Workspace:
    """The repository of the run, with the experiment's commit in it. Raises RunFailed."""
    from core.workspace import Workspace

    still = f"what each experiment changed is still in the journal: {command_for(pick.folder, 'diff N')}"
    try:
        workspace = Workspace(pick.root)
    except UsageError as error:
        raise RunFailed(f"{str(error).partition(';')[0]}, so its commits cannot be read; {still}") from None
    for commit in (pick.run.base, pick.experiment.commit):
        if not workspace.has(commit):
            raise RunFailed(f"commit {commit[:7]} is no longer in {workspace.root}; {still}")
    return workspace


# --- its checkpoint --------------------------------------------------------------------------------------------------


def checkpoint(pick: Pick) -> Path:
    """Where the trained model lies. Raises UsageError with the reason where it does not."""
    if pick.checkpoint.is_file():
        return pick.checkpoint
    raise UsageError(f"{pick.label} has no checkpoint: {_why_gone(pick)}")


def _why_gone(pick: Pick) -> str:
    outcome = pick.experiment.verdict.outcome
    if pick.run.imported_from:
        return f"run {pick.folder.name} is imported, and its table holds no models"
    if outcome == "crash" or pick.experiment.measurement is None:
        return f"it ended without a score ({pick.experiment.verdict.reason})"
    if "evaluate" not in pick.task.commands:
        return "this task prints its score, and its train command left no checkpoint"
    if outcome == "discard":
        rule = f"only kept experiments and the last {KEPT_RECENT} keep theirs, unless a run has --keep-checkpoints"
        return f"it was discarded; {rule}"
    return f"{pick.checkpoint} was removed"


def copy_checkpoint(pick: Pick, file: Path, *, force: bool) -> int:
    """Copy the trained model to `file`, whole or not at all. Returns its bytes. Raises UsageError."""
    source = checkpoint(pick)
    if file.is_dir():
        raise UsageError(f"{file}: a folder; name a file in it, such as {file / 'best.safetensors'}")
    if file.exists() and not force:
        raise UsageError(f"{file}: exists; overwrite it with --force, or name another file")
    if file.exists() and file.samefile(source):
        raise UsageError(f"{file}: that is the run's own checkpoint; name another file")
    part = file.with_name(f".{file.name}.part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{file}: cannot be written: {error.strerror or error}") from None
    return file.stat().st_size
