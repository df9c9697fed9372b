"""Everything between the user's wish and a run that may begin: checks first, then locks, then the first journal line.

Whatever is refused here is refused before anything was changed.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from core import agents, sandbox
from core.control import alive, cache_folder, lock, lock_device
from core.errors import Busy, UsageError
from core.events import EngineStarted, RunStarted
from core.history import History, fold
from core.journal import Journal, read, replace_durably, results_tsv
from core.launch import BACKENDS, RUNS, Options, best_backend, find_run, known_backend
from core.prepare import prepare, ready_device
from core.run import Run, file_digest
from core.task import Task, check_files, parse, with_budget
from core.task import read as read_task
from core.workspace import Workspace, branch_name, check_tag

_locks: list[IO[str]] = []  # held until the process ends, however it ends
_OVERHEAD_SECONDS = 5.0  # start-up and evaluation of a trial, for the plan's estimate only


def open_run(options: Options, progress: Callable[[str], None]) -> Run:
    """A new run, or one that goes on, with its locks held and its first events journalled."""
    return _resume(options, progress) if options.resume is not None else _new(options, progress)


def _new(options: Options, progress: Callable[[str], None]) -> Run:
    _check_limits(options)
    workspace = Workspace(Path(options.workspace))
    folder = _task_folder(workspace.root, options)
    task, content = read_task(workspace.root, folder)
    content = with_budget(content, options.train_seconds)
    task = parse(folder, content, workspace.root / folder / "task.toml")
    check_files(workspace.root, task)
    artifact = [f"{folder}/{name}" if folder else name for name in task.artifact]
    workspace.check_branches_fit()
    base = workspace.head()
    changed = workspace.changed_files(base, artifact)
    tag = _free_tag(workspace, options.tag)
    agent = agents.get(options.agent, options.seed)
    prepared = prepare(task, workspace.root / folder, options.device, None, progress)
    _lock_device(prepared, workspace.root / RUNS / tag)
    ready_device(prepared, workspace.root / folder, progress)
    notes = [*prepared.get("notes", ())]
    if changed:
        notes.append(f"not committed, so not in the baseline: your edits of {', '.join(changed)}")
    plan = _plan(options, task)
    run_folder = _make_folder(workspace.root, tag)
    started = RunStarted(
        tag=tag,
        workspace=str(workspace.root),
        task_folder=folder,
        task=content,
        backend=str(prepared.get("backend", "")),
        device=prepared["device"],
        agent=agents.absolute(options.agent),
        seed=options.seed,
        base=base,
        fingerprint=str(prepared.get("fingerprint", "")),
        settings=prepared.get("settings", {}),
        train_seconds=task.budget.train_seconds,
        experiments=options.experiments,
        hours=options.hours,
        plan=plan,
        frozen={name: file_digest(workspace.root / folder / name) for name in task.frozen},
        notes=tuple(notes),
        version=importlib.metadata.version("autoresearch-tui"),
    )
    journal = Journal(run_folder / "journal.jsonl")
    history = fold([(started, journal.append(started))])
    engine = EngineStarted(
        os.getpid(), False, started.device, options.experiments, options.hours, options.keep_checkpoints
    )
    return _wire(run_folder, workspace, history, journal, agent, prepared, engine)


def _resume(options: Options, progress: Callable[[str], None]) -> Run:
    workspace = Workspace(Path(options.workspace))
    run_folder = find_run(workspace.root, options.resume or None)
    _check_limits(options)
    _lock_run(run_folder)
    history = fold(read(run_folder / "journal.jsonl", strict=True))
    if history.run is None:
        raise UsageError(f"{run_folder}: its journal has no first line; nothing can be resumed from it")
    started = history.run
    task = parse(started.task_folder, started.task, run_folder / "journal.jsonl")
    engine = _limits(options, history)
    _check_branch(workspace, history)
    agent = agents.get(started.agent, started.seed)
    prepared = prepare(task, workspace.root / started.task_folder, started.device, started.fingerprint, progress)
    _lock_device(prepared, run_folder)
    ready_device(prepared, workspace.root / started.task_folder, progress)
    workspace.remove_stale_locks(started.tag)
    progress(f"resuming {started.tag} at experiment {history.next_number}")
    journal = Journal(run_folder / "journal.jsonl")
    return _wire(run_folder, workspace, history, journal, agent, prepared, engine)


def _wire(
    folder: Path,
    workspace: Workspace,
    history: History,
    journal: Journal,
    agent: agents.Agent,
    prepared: Any,
    engine: EngineStarted,
) -> Run:
    work = cache_folder() / "work" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    sandbox.sweep(work)  # what a killed engine left running, and its folders
    shutil.rmtree(work, ignore_errors=True)
    run = Run(folder, workspace, history, journal, agent, prepared, work)
    replace_durably(folder / "results.tsv", results_tsv(history))
    run.record(engine)
    run.prune_checkpoints()
    return run


# --- checks ----------------------------------------------------------------------------------------------------------


def _task_folder(root: Path, options: Options) -> str:
    """The folder of the task, relative to the workspace."""
    backend = options.backend
    known_backend(backend)  # or it raises
    if options.task is not None:
        path = (Path(options.workspace) / options.task).resolve()
        path = path.parent if path.name == "task.toml" else path
        if not path.is_relative_to(root):
            raise UsageError(f"--task {options.task}: lies outside the workspace {root}")
        return "" if path == root else path.relative_to(root).as_posix()
    if backend is not None:
        return backend
    here = Path(options.workspace).resolve()
    if (here / "task.toml").is_file():
        return "" if here == root else here.relative_to(root).as_posix()
    for name in (best_backend(), *BACKENDS):
        if (root / name / "task.toml").is_file():
            return name
    return ""


def _check_limits(options: Options) -> None:
    if options.train_seconds is not None and not 0 < options.train_seconds < 1e9:
        raise UsageError(f"--budget {options.train_seconds:g}: must be a number of seconds above 0")
    if options.experiments is not None and options.experiments < 0:
        raise UsageError(f"--experiments {options.experiments}: must be 0 (the baseline alone) or more")
    if options.hours is not None and not options.hours > 0:
        raise UsageError(f"--hours {options.hours:g}: must be a number above 0")


def _free_tag(workspace: Workspace, wanted: str | None) -> str:
    if wanted is None:
        today = datetime.date.today().strftime("%b%d").lower()
        tags = (today if k == 1 else f"{today}-{k}" for k in range(1, 10_000))
        return next(t for t in tags if not (workspace.root / RUNS / t).exists() and not workspace.holds(t))
    check_tag(wanted)
    folder = workspace.root / RUNS / wanted
    if _begun(folder):
        if alive(folder):
            raise Busy(f"run {wanted} has an engine already; watch it with: autoresearch, or take another --tag")
        raise UsageError(f"run {wanted} exists; go on with: autoresearch resume {wanted}, or take another --tag")
    if workspace.checked_out(wanted):
        mend = "check out another branch there, or take another --tag"
        raise UsageError(f"branch {branch_name(wanted)} is checked out in a worktree; {mend}")
    if workspace.tip(wanted) is not None:
        mend = f"take another --tag, or remove it with: git branch -D {branch_name(wanted)}"
        raise UsageError(f"branch {branch_name(wanted)} exists, but no run of that tag; {mend}")
    if workspace.holds(wanted):
        raise UsageError(f"refs/autoresearch/{wanted}/ holds experiments of an earlier run; take another --tag")
    return wanted


def _begun(folder: Path) -> bool:
    """Whether a run folder is more than the trace of an engine that died before the first line of its journal."""
    return alive(folder) or _has_journal(folder)


def _has_journal(folder: Path) -> bool:
    journal = folder / "journal.jsonl"
    return journal.exists() and any(isinstance(event, RunStarted) for event, _ in read(journal))


def _check_branch(workspace: Workspace, history: History) -> None:
    """The branch must be where the journal says, or on the other side of the move that was in flight."""
    assert history.run is not None
    tag, p = history.run.tag, history.pending
    if workspace.checked_out(tag):
        mend = "check out another branch there, then resume"
        raise UsageError(f"branch {branch_name(tag)} is checked out in a worktree; {mend}")
    at = workspace.tip(tag)
    in_flight = p.committed.commit if p and p.committed and p.judged and p.judged.outcome == "keep" else None
    if at not in {history.tip} | ({in_flight} if in_flight else set()):
        stands = f"stands at {at[:7]}, which this run did not do" if at else "is gone"
        before = history.tip
        back = f"git branch -f {branch_name(tag)} {before}" if before else f"git branch -D {branch_name(tag)}"
        raise UsageError(f"branch {branch_name(tag)} {stands}; put it back with: {back}, then resume")


def _limits(options: Options, history: History) -> EngineStarted:
    """The limits from here on: those it had, or so many more."""
    assert history.run is not None
    before = history.engine
    experiments = before.experiments if before else history.run.experiments
    hours = before.hours if before else history.run.hours
    done = history.proposals
    if options.experiments is not None:
        experiments = done + options.experiments
    if options.hours is not None:
        hours = history.active_seconds / 3600 + options.hours
    if history.pending is None and experiments is not None and done >= experiments and history.experiments:
        more = f"autoresearch resume {history.run.tag} --experiments 20"
        raise UsageError(f"run {history.run.tag} has done its {done} experiments; for more: {more}")
    keep_checkpoints = options.keep_checkpoints or bool(before and before.keep_checkpoints)
    return EngineStarted(os.getpid(), True, history.run.device, experiments, hours, keep_checkpoints)


def _plan(options: Options, task: Task) -> str:
    """What the run will do, said before it starts."""
    each = task.budget.train_seconds + _OVERHEAD_SECONDS
    limit = f", at most {options.hours:g} h" if options.hours is not None else ""
    if options.experiments is None:
        return (
            f"experiments of {task.budget.train_seconds:g} s until you stop it, about {3600 / each:.0f} an hour{limit}"
        )
    hours = (options.experiments + 1) * each / 3600
    minutes = round(hours * 60)
    span = f"{hours:.1f} hours" if hours >= 1 else f"{minutes} minutes" if minutes >= 2 else f"{hours * 3600:.0f} s"
    what = f"{options.experiments} experiment{'s' if options.experiments != 1 else ''}"
    return f"the baseline and {what} of {task.budget.train_seconds:g} s, about {span}{limit}"


# --- locks -----------------------------------------------------------------------------------------------------------


def _make_folder(root: Path, tag: str) -> Path:
    folder = root / RUNS / tag
    (root / RUNS).mkdir(exist_ok=True)
    (root / RUNS / ".gitignore").write_text("*\n", encoding="utf-8")
    folder.mkdir(mode=0o700, exist_ok=True)
    _lock_run(folder)
    if _has_journal(folder):
        raise Busy(f"run {tag} was started by somebody else in this moment; take another --tag")
    return folder


def _lock_run(folder: Path) -> None:
    busy = f"run {folder.name} has an engine already; watch it with: autoresearch"
    _locks.append(lock(folder / "engine.lock", busy))


def _lock_device(prepared: Mapping[str, Any], run_folder: Path) -> None:
    device = prepared["device"]
    _locks.append(lock_device(device, str(prepared.get("device_lock", device)), str(run_folder)))
