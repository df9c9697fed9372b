"""What can be refused and said of a run before anything is prepared or changed: limits, task, tag, agent, the plan.

`core.opening` goes through this before it begins; a start page asks the same with `look`, while the user still chooses.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import Any

from core import agents
from core.caps import check_cap, check_token_cap, check_use
from core.control import alive
from core.errors import Busy, UsageError
from core.events import EngineStarted, RunStarted
from core.facts import fact
from core.history import History
from core.journal import read
from core.launch import RUNS, Options, back_command, command_for, task_folder
from core.tags import branch_name, check_tag
from core.task import Task, check_files, parse, with_budget
from core.task import read as read_task
from core.workspace import Workspace

LONGEST_SECONDS = 7 * 86400.0  # of one trial


@fact
class Assignment:
    """The task of a run that may begin. `content`: task.toml with the budget that was asked for; `base`: the commit it
    begins at; `changed`: artifact files of the checkout that are not as committed there."""

    folder: str
    task: Task
    content: dict[str, Any]
    base: str
    changed: tuple[str, ...]


@fact
class Outlook:
    """What a start would come to. `plan`: only where nothing stands against it. `troubles`: what does, by option
    ("workspace", "task", "tag", "agent", "train_seconds", "experiments", "hours"), in the words of the refusal."""

    root: Path | None = None
    tag: str = ""
    changed: tuple[str, ...] = ()
    plan: str = ""
    troubles: Mapping[str, str] = field(default_factory=dict)


def look(options: Options) -> Outlook:
    """Try everything that a start tries first, and gather what it would refuse. Changes nothing, raises nothing."""
    troubles: dict[str, str] = {}

    def tried(about: str, attempt: Callable[[], Any]) -> Any:
        try:
            return attempt()
        except UsageError as error:
            troubles.setdefault(about, str(error))
        except OSError as error:
            troubles.setdefault(about, f"{error.filename or options.workspace}: {error.strerror or error}")
        return None

    limitless = replace(options, train_seconds=None, experiments=None, hours=None)
    tried("train_seconds", partial(check_limits, replace(limitless, train_seconds=options.train_seconds)))
    tried("experiments", partial(check_limits, replace(limitless, experiments=options.experiments)))
    tried("hours", partial(check_limits, replace(limitless, hours=options.hours)))
    options = limitless if troubles else options
    tried("agent", partial(agents.check, options.agent, options.agent_options))
    tried("agent", partial(check_use, options.agent, options.max_dollars, options.max_tokens))
    tried("agent", partial(check_token_cap, options.agent, options.agent_options, options.max_tokens))
    tried("max_dollars", partial(check_cap, options.agent, options.agent_options, options.max_dollars))
    workspace: Workspace | None = tried("workspace", lambda: Workspace(Path(options.workspace)))
    if workspace is None:
        return Outlook(troubles=troubles)
    tried("workspace", workspace.check_branches_fit)
    base = tried("workspace", workspace.head)
    tag = tried("tag", lambda: free_tag(workspace, options.tag)) or ""
    assigned: Assignment | None = tried("task", lambda: assignment(workspace, options)) if base else None
    if assigned is not None:
        tried("agent", partial(check_agent, workspace, options, assigned))
    return Outlook(
        root=workspace.root,
        tag=tag,
        changed=assigned.changed if assigned else (),
        plan=plan(options, assigned.task) if assigned and not troubles else "",
        troubles=troubles,
    )


# --- what a start goes through, one after the other ------------------------------------------------------------------


def check_limits(options: Options) -> None:
    """Refuse limits that are none."""
    if options.train_seconds is not None and not 0 < options.train_seconds < 1e9:
        raise UsageError(f"--budget {options.train_seconds:g}: must be a number of seconds above 0")
    if options.train_seconds is not None and options.train_seconds > LONGEST_SECONDS:
        days = options.train_seconds / 86400
        raise UsageError(
            f"--budget {options.train_seconds:.12g}: {days:,.0f} days a trial; it is in seconds, 7 days at most"
        )
    if options.experiments is not None and options.experiments < 0:
        raise UsageError(f"--experiments {options.experiments}: must be 0 (the baseline alone) or more")
    if options.max_dollars is not None and not options.max_dollars > 0:
        raise UsageError(f"--max-dollars {options.max_dollars:g}: must be a number above 0")
    if options.max_tokens is not None and not options.max_tokens > 0:
        raise UsageError(f"--max-tokens {options.max_tokens}: must be a number above 0")
    if options.hours is not None and not options.hours > 0:
        raise UsageError(f"--hours {options.hours:g}: must be a number above 0")


def assignment(workspace: Workspace, options: Options) -> Assignment:
    """The task that is meant, whole and committed. Raises UsageError."""
    folder = task_folder(workspace.root, options)
    task, content = read_task(workspace.root, folder)
    content = with_budget(content, options.train_seconds)
    task = parse(folder, content, workspace.root / folder / "task.toml")
    check_files(workspace.root, task)
    base = workspace.head()
    artifact = [f"{folder}/{name}" if folder else name for name in task.artifact]
    return Assignment(folder, task, content, base, tuple(workspace.changed_files(base, artifact)))


def check_agent(workspace: Workspace, options: Options, wanted: Assignment) -> None:
    """Refuse an agent that could propose nothing for this artifact; the baseline alone needs none."""
    if options.experiments != 0:
        names = {name: f"{wanted.folder}/{name}" if wanted.folder else name for name in wanted.task.artifact}
        agents.check_artifact(options.agent, {name: workspace.read(wanted.base, path) for name, path in names.items()})


def free_tag(workspace: Workspace, wanted: str | None) -> str:
    """The tag that is wanted, if no run has it; None: one made of the date. Raises UsageError."""
    if wanted is None:
        today = datetime.date.today().strftime("%b%d").lower()
        tags = (today if k == 1 else f"{today}-{k}" for k in range(1, 10_000))
        return next(t for t in tags if not (workspace.root / RUNS / t).exists() and not workspace.holds(t))
    check_tag(wanted)
    folder = workspace.root / RUNS / wanted
    if alive(folder):
        raise Busy(f"run {wanted} has an engine already; watch it with: {back_command(folder)}, or take another --tag")
    if has_journal(folder):  # else it is the trace of an engine that died before the first line of its journal
        raise UsageError(f"run {wanted} exists; go on with: {command_for(folder, 'resume')}, or take another --tag")
    if workspace.checked_out(wanted):
        mend = "check out another branch there, or take another --tag"
        raise UsageError(f"branch {branch_name(wanted)} is checked out in a worktree; {mend}")
    if workspace.tip(wanted) is not None:
        mend = f"take another --tag, or remove it with: git branch -D {branch_name(wanted)}"
        raise UsageError(f"branch {branch_name(wanted)} exists, but no run of that tag; {mend}")
    if (other := workspace.below(wanted)) is not None:
        mend = f"take another --tag, or rename it with: git branch -m {other} another-name"
        raise UsageError(f"branch {other} exists, and git has no {branch_name(wanted)} beside it; {mend}")
    if workspace.holds(wanted):
        raise UsageError(f"refs/autoresearch/{wanted}/ holds experiments of an earlier run; take another --tag")
    return wanted


def has_journal(folder: Path) -> bool:
    """Whether a run has begun in this folder."""
    journal = folder / "journal.jsonl"
    return journal.exists() and any(isinstance(event, RunStarted) for event, _ in read(journal))


def plan(options: Options, task: Task) -> str:
    """What a new run will do, said before it starts."""
    limit = f", at most {options.hours:g} h" if options.hours is not None else ""
    if options.experiments is None:
        return f"{_without_end(task)}{limit}"
    what = f"the baseline and {_counted(options.experiments, 'experiment')}"
    return f"{what} {_spans(options.experiments + 1, task)}{limit}"


def plan_on(history: History, engine: EngineStarted, again: Sequence[int], task: Task) -> str:
    """What a run that goes on has before it. `again`: further trials that are asked for with its start."""
    asked = [*history.asked_again, *again]
    trials = f"{_counted(len(asked), 'further trial')} of {', '.join(f'#{n}' for n in sorted(set(asked)))}"
    if engine.only_asked:
        return f"{trials} {_spans(len(asked), task)}, and no proposal"
    hours = None if engine.hours is None else max(0.0, engine.hours - history.active_seconds / 3600)
    left = f", at most {hours:.2g} h more" if hours is not None else ""
    left = f", and {trials}{left}" if asked else left
    if engine.experiments is None:
        return f"{_without_end(task)}{left}"
    more = max(0, engine.experiments - history.proposals)
    first = "" if history.experiments else "the baseline and "
    what = f"{first}{_counted(more, 'experiment' if first else 'more experiment')}"
    return f"{what} {_spans(more + bool(first), task)}{left}"


def _without_end(task: Task) -> str:
    each = task.budget.train_seconds  # what comes on top differs tenfold between machines, and is not known yet
    if _ends_early(task):
        return f"experiments of at most {each:g} s until you stop it"
    rate = f"at most {3600 / each:.0f} an hour" if each <= 3600 else f"at most {86400 / each:.0f} a day"
    return f"experiments of {each:g} s until you stop it, {rate}, start-up and evaluation not counted"


def _spans(trials: int, task: Task) -> str:
    """How long so many trials train."""
    hours = trials * task.budget.train_seconds / 3600
    minutes = round(hours * 60)
    span = f"{hours:.1f} hours" if hours >= 1 else f"{minutes} minutes" if minutes >= 2 else f"{hours * 3600:.0f} s"
    if _ends_early(task):
        evaluation = ", plus evaluation" if "evaluate" in task.commands else ""
        return f"of at most {task.budget.train_seconds:g} s, {span} in all{evaluation}"
    return f"of {task.budget.train_seconds:g} s: {span} of training, plus start-up and evaluation"


def _ends_early(task: Task) -> bool:
    """Whether the budget is only a limit: a command that knows nothing of us ends when it is done."""
    return "prepare" not in task.commands


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
