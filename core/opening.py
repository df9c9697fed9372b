"""Everything between the user's wish and a run that may begin: checks first, then locks, then the first journal line.

Whatever is refused here is refused before anything was changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from core import agents, sandbox
from core.caps import check_cap, check_token_cap, check_use
from core.dry_run import caps_too_low
from core.errors import Busy, UsageError
from core.events import AgainAsked, ApprovalTurned, EngineStarted, RunStarted
from core.facts import replace
from core.history import History, fold
from core.journal import Journal, read, replace_durably, results_tsv
from core.launch import RUNS, Options, back_command, command_for, find_run
from core.locks import cache_folder, lock, lock_device
from core.outlook import assignment, check_agent, check_limits, free_tag, has_journal, plan, plan_on
from core.prepare import prepare, ready_device
from core.run import Run, file_digest
from core.tags import branch_name
from core.task import Task, parse
from core.wishes import check_again
from core.workspace import Workspace

_locks: list[IO[str]] = []  # held until the process ends, however it ends


def open_run(options: Options, progress: Callable[[str], None]) -> Run:
    """A new run, or one that goes on, with its locks held and its first events journalled."""
    return _resume(options, progress) if options.resume is not None else _new(options, progress)


def _new(options: Options, progress: Callable[[str], None]) -> Run:
    check_limits(options)
    workspace = Workspace(Path(options.workspace))
    workspace.check_branches_fit()
    wanted = assignment(workspace, options)
    task, folder = wanted.task, wanted.folder
    tag = free_tag(workspace, options.tag)
    agent = agents.get(options.agent, options.seed, options.agent_options)
    check_use(options.agent, options.max_dollars, options.max_tokens)
    check_cap(options.agent, options.agent_options, options.max_dollars)
    check_token_cap(options.agent, options.agent_options, options.max_tokens)
    check_agent(workspace, options, wanted)
    prepared = prepare(task, workspace.root / folder, options.device, None, progress)
    _lock_device(prepared, workspace.root / RUNS / tag)
    ready_device(prepared, workspace.root / folder, progress)
    notes = [*prepared.get("notes", ())]
    if wanted.changed:
        notes.append(f"not committed, so not in the baseline: your edits of {', '.join(wanted.changed)}")
    notes += caps_too_low(workspace, wanted, options, tag)
    run_folder = _make_folder(workspace.root, tag)
    started = RunStarted(
        tag=tag,
        workspace=str(workspace.root),
        task_folder=folder,
        task=wanted.content,
        backend=str(prepared.get("backend", "")),
        device=prepared["device"],
        agent=agents.absolute(options.agent),
        seed=options.seed,
        base=wanted.base,
        fingerprint=str(prepared.get("fingerprint", "")),
        settings=prepared.get("settings", {}),
        train_seconds=task.budget.train_seconds,
        experiments=options.experiments,
        hours=options.hours,
        plan=plan(options, task),
        frozen={name: file_digest(workspace.root / folder / name) for name in task.frozen},
        notes=tuple(notes),
        version=importlib.metadata.version("autoresearch-tui"),
    )
    journal = Journal(run_folder / "journal.jsonl")
    history = fold([(started, journal.append(started))])
    engine = EngineStarted(
        os.getpid(), False, started.device, options.experiments, options.hours, options.keep_checkpoints,
        dict(options.agent_options), options.max_dollars, options.max_tokens,
    )  # fmt: skip
    return _wire(run_folder, workspace, history, journal, agent, prepared, engine, options.approve)


def _resume(options: Options, progress: Callable[[str], None]) -> Run:
    workspace = Workspace(Path(options.workspace))
    run_folder = find_run(workspace.root, options.resume or None)
    check_limits(options)
    _lock_run(run_folder)
    history = fold(read(run_folder / "journal.jsonl", strict=True))
    if history.run is None:
        raise UsageError(f"{run_folder}: its journal has no first line; nothing can be resumed from it")
    started = history.run
    if started.imported_from:
        raise UsageError(f"run {started.tag} is another program's, imported: nothing of it can go on here")
    task = parse(started.task_folder, started.task, run_folder / "journal.jsonl")
    engine = _limits(options, history, task)
    _check_branch(workspace, history)
    name = started.agent
    agent = agents.Absent(name) if engine.only_asked else agents.get(name, started.seed, engine.agent_options)
    check_use(started.agent, options.max_dollars, options.max_tokens)  # one that it has had is no reason to end here
    check_cap(started.agent, engine.agent_options, engine.max_dollars)
    check_token_cap(started.agent, engine.agent_options, engine.max_tokens)
    prepared = prepare(task, workspace.root / started.task_folder, started.device, started.fingerprint, progress)
    _lock_device(prepared, run_folder)
    ready_device(prepared, workspace.root / started.task_folder, progress)
    workspace.remove_stale_locks(started.tag)
    progress(f"resuming {started.tag}: {engine.plan}")
    journal = Journal(run_folder / "journal.jsonl")
    return _wire(run_folder, workspace, history, journal, agent, prepared, engine, options.approve, options.again)


def _wire(
    folder: Path,
    workspace: Workspace,
    history: History,
    journal: Journal,
    agent: agents.Agent,
    prepared: Any,
    engine: EngineStarted,
    approve: bool | None,
    again: Sequence[int] = (),
) -> Run:
    work = cache_folder() / "work" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    sandbox.sweep(work)  # what a killed engine left running, and its folders
    shutil.rmtree(work, ignore_errors=True)
    run = Run(folder, workspace, history, journal, agent, prepared, work)
    replace_durably(folder / "results.tsv", results_tsv(history))
    run.record(engine)
    if approve is not None and approve is not history.approval:
        run.record(ApprovalTurned(approve))
    for number in again:
        run.record(AgainAsked(number))
    run.prune_checkpoints()
    return run


# --- checks ----------------------------------------------------------------------------------------------------------


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


def _limits(options: Options, history: History, task: Task) -> EngineStarted:
    """The limits from here on: those it had, or so many more; and the plan that comes of them."""
    assert history.run is not None
    before = history.engine
    experiments = before.experiments if before else history.run.experiments
    hours = before.hours if before else history.run.hours
    done, only_asked = history.proposals, options.experiments == 0
    if options.experiments:
        experiments = done + options.experiments
    if options.hours is not None:
        hours = history.active_seconds / 3600 + options.hours
    if only_asked:
        _check_asked(options, history)
        if (options.hours, options.max_dollars, options.max_tokens) != (None, None, None):
            raise UsageError(
                "--experiments 0 does further trials alone: it takes no --hours, --max-dollars, --max-tokens"
            )
    finished = history.pending is None and not history.asked_again and bool(history.experiments)
    if finished and not only_asked and experiments is not None and done >= experiments:
        run_folder = Path(options.workspace) / RUNS / history.run.tag
        more = f"{command_for(run_folder, 'resume')} --experiments 20"
        raise UsageError(f"run {history.run.tag} has done its {done} experiments; for more: {more}")
    keep_checkpoints = options.keep_checkpoints or bool(before and before.keep_checkpoints)
    spends = {**(before.agent_options if before else {}), **options.agent_options}
    dollars = options.max_dollars if options.max_dollars is not None else before.max_dollars if before else None
    tokens = options.max_tokens if options.max_tokens is not None else before.max_tokens if before else None
    device = history.run.device
    engine = EngineStarted(
        os.getpid(), True, device, experiments, hours, keep_checkpoints, spends, dollars, tokens, only_asked
    )
    return replace(engine, plan=plan_on(history, engine, options.again, task))


def _check_asked(options: Options, history: History) -> None:
    """An engine for further trials alone must have one to do."""
    assert history.run is not None
    for number in options.again:
        check_again(history, number)
    if not (options.again or history.asked_again or (history.pending and history.pending.again)):
        run_folder = Path(options.workspace) / RUNS / history.run.tag
        ask = f"ask for one with: {command_for(run_folder, 'again N')}, or: {command_for(run_folder, 'confirm')}"
        raise UsageError(f"--experiments 0 does only the further trials that were asked for, and none was; {ask}")


# --- locks -----------------------------------------------------------------------------------------------------------


def _make_folder(root: Path, tag: str) -> Path:
    folder = root / RUNS / tag
    (root / RUNS).mkdir(exist_ok=True)
    (root / RUNS / ".gitignore").write_text("*\n", encoding="utf-8")
    folder.mkdir(mode=0o700, exist_ok=True)
    _lock_run(folder)
    if has_journal(folder):
        raise Busy(f"run {tag} was started by somebody else in this moment; take another --tag")
    return folder


def _lock_run(folder: Path) -> None:
    busy = f"run {folder.name} has an engine already; watch it with: {back_command(folder)}"
    _locks.append(lock(folder / "engine.lock", busy))


def _lock_device(prepared: Mapping[str, Any], run_folder: Path) -> None:
    device = prepared["device"]
    _locks.append(lock_device(device, str(prepared.get("device_lock", device)), str(run_folder)))
