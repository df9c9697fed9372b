"""What the agent of a run would be asked first, and what that can cost. Nothing is started, prepared or called."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from core import agents
from core.caps import TOO_LOW, check_cap, check_token_cap, check_use, model_of, runs_commands
from core.desk import Paper
from core.errors import UsageError
from core.events import EngineStarted, RunStarted
from core.facts import fact
from core.history import fold
from core.launch import Options
from core.outlook import Assignment, assignment, check_limits, free_tag, plan
from core.proposals import program
from core.workspace import Workspace


@fact
class FirstPrompt:
    """The prompt, whose it is, and the most that asking it once can come to. tokens, dollars: None where not known.

    missing: what the real one will hold besides.
    """

    text: str
    model: str
    tokens: int | None
    dollars: float | None
    missing: str
    plan: str


def first_prompt(options: Options) -> FirstPrompt:
    """What a run with these options would ask first, the baseline left out. Raises UsageError as a start does."""
    check_limits(options)
    workspace = Workspace(Path(options.workspace))
    workspace.check_branches_fit()
    wanted = assignment(workspace, options)
    tag = free_tag(workspace, options.tag)
    agents.check(options.agent, options.agent_options)
    check_use(options.agent, options.max_dollars, options.max_tokens)
    check_cap(options.agent, options.agent_options, options.max_dollars)
    check_token_cap(options.agent, options.agent_options, options.max_tokens)
    text, model, tokens, dollars = _asked(workspace, wanted, options, tag)
    missing = "the real one also says what the machine is and how the baseline scored"
    return FirstPrompt(text, model, tokens, dollars, missing, plan(options, wanted.task))


def caps_too_low(workspace: Workspace, wanted: Assignment, options: Options, tag: str) -> list[str]:
    """That the agent's first call fits into no cap, for a start to say it before a baseline is trained for nothing."""
    model = model_of(options.agent, options.agent_options)
    capped = options.max_dollars is not None or options.max_tokens is not None
    if model is None or not capped or options.experiments == 0:
        return []
    try:
        _, _, tokens, dollars = _asked(workspace, wanted, options, tag)
    except UsageError:  # what is too large for a prompt pauses the run with its mend
        return []
    ends = "the ideas are never asked for" if options.agent.startswith("hybrid") else "the run ends after its baseline"
    said = f"{TOO_LOW}the first call to {model} can come to {{}}, so it is not made and {ends}; "
    said += "stop and start with a higher one, or then: autoresearch resume {} {}"
    notes = []
    if options.max_dollars is not None and dollars is not None and dollars > options.max_dollars:
        most = f"${math.ceil(dollars * 100) / 100:.2f} and the cap is ${options.max_dollars:g}"
        notes.append(said.format(most, tag, "--max-dollars N"))
    if options.max_tokens is not None and tokens is not None and tokens > options.max_tokens:
        most = f"{tokens:,} tokens and the cap is {options.max_tokens:,}"
        notes.append(said.format(most, tag, "--max-tokens N"))
    return notes


def _asked(
    workspace: Workspace, wanted: Assignment, options: Options, tag: str
) -> tuple[str, str, int | None, float | None]:
    """The first prompt, whose it is, and the most that asking it can come to. Raises UsageError."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as scratch:
        try:
            return _ask(_request(workspace, wanted, options, tag, Path(scratch)), options)
        except agents.Unable as trouble:
            raise UsageError(f"{trouble.reason}; {trouble.mend}") from None


def _ask(request: agents.Request, options: Options) -> tuple[str, str, int | None, float | None]:
    model = model_of(options.agent, options.agent_options)
    if model is not None:
        from core.agents.claude import preview

        text, tokens, dollars = preview(request, options.agent_options)
        return text, model, tokens, dollars
    if runs_commands(options.agent):
        from core.agents.command import prompt_text

        return prompt_text(request), options.agent, None, None
    raise UsageError(f"--dry-run: the agent {options.agent.partition(':')[0]} asks no model, so it has no prompt")


def _request(workspace: Workspace, wanted: Assignment, options: Options, tag: str, scratch: Path) -> agents.Request:
    """As the engine's first one, without what only a machine made ready can tell."""
    task = wanted.task
    started = RunStarted(
        tag=tag, workspace=str(workspace.root), task_folder=wanted.folder, task=wanted.content,
        backend=options.backend or "", device=options.device, agent=options.agent, seed=options.seed, base=wanted.base,
        fingerprint="", settings=dict(task.settings), train_seconds=task.budget.train_seconds,
        experiments=options.experiments, hours=options.hours, plan=plan(options, task),
    )  # fmt: skip
    engine = EngineStarted(0, False, options.device, options.experiments, options.hours)
    prefix = f"{wanted.folder}/" if wanted.folder else ""
    sources = {name: workspace.read(wanted.base, f"{prefix}{name}") for name in task.artifact}

    def is_new(edits: object) -> bool:
        return edits != sources

    return agents.Request(
        1, sources, program(workspace.root, task), fold([(started, 0.0), (engine, 0.0)]), task.metric.direction,
        is_new, Paper(scratch), contract=task.contract,
    )  # fmt: skip
