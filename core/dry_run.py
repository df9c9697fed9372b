"""What the agent of a run would be asked first, and what that can cost. Nothing is started, prepared or called."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from core import agents
from core.caps import check_cap, check_token_cap, check_use, model_of, runs_commands
from core.desk import Paper
from core.errors import UsageError
from core.events import EngineStarted, RunStarted
from core.history import fold
from core.launch import Options
from core.outlook import Assignment, assignment, check_limits, free_tag, plan
from core.proposals import program
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
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
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as scratch:
        request = _request(workspace, wanted, options, tag, Path(scratch))
        text, model, tokens, dollars = _ask(request, options)
    missing = "the real one also says what the machine is and how the baseline scored"
    return FirstPrompt(text, model, tokens, dollars, missing, plan(options, wanted.task))


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
