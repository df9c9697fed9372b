"""Every event of a run, in the order in which it can appear. Nothing else.

An event is a frozen dataclass; a journal line is `{"type": …, "time": …, **fields}`. `time` is Unix seconds.
Readers skip types they do not know, so that an older cockpit can follow a newer engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from core.again_events import AgainAsked, AgainDone, AgainStarted
from core.agent_events import (
    AgentWaits,
    CallReserved,
    CallSettled,
    ProgramRead,
    ProposalRefused,
    Proposed,
    Proposing,
    Remembered,
    RepairProposed,
)
from core.experiment import Outcome
from core.facts import fact

__all__ = [  # from here as well
    "AgainAsked",
    "AgainDone",
    "AgainStarted",
    "AgentWaits",
    "CallReserved",
    "CallSettled",
    "ProgramRead",
    "ProposalRefused",
    "Proposed",
    "Proposing",
    "Remembered",
    "RepairProposed",
]

# --- the run ---------------------------------------------------------------------------------------------------------


@fact
class RunStarted:
    """Always the first line of a journal. `task` is task.toml as read; `fingerprint` names data and tokenizer."""

    tag: str
    workspace: str
    task_folder: str  # relative to the workspace, "" for its root
    task: Mapping[str, Any]
    backend: str  # "cuda", "mlx", or "" for a task of the user's own
    device: str
    agent: str
    seed: int
    base: str  # the commit the baseline is read from
    fingerprint: str
    settings: Mapping[str, Any]  # [settings] as `prepare` resolved them
    train_seconds: float
    experiments: int | None  # proposals after the baseline; None: until stopped
    hours: float | None
    plan: str  # the sentence said before the start
    frozen: Mapping[str, str] = field(default_factory=dict)  # frozen file -> sha256 at the start
    notes: tuple[str, ...] = ()
    version: str = ""
    imported_from: str = ""  # the table of another program's run: nothing of it can go on


@fact
class EngineStarted:
    """An engine took the run's lock: the first time, or again (`resumed`)."""

    pid: int
    resumed: bool
    device: str = ""
    experiments: int | None = None  # the limit in force from here on
    hours: float | None = None
    keep_checkpoints: bool = False  # all of them, not only those of kept experiments and of the last few
    agent_options: Mapping[str, Any] = field(default_factory=dict)  # model, effort, prices, …; in force from here on
    max_dollars: float | None = None  # in all, this run's earlier engines included
    max_tokens: int | None = None
    only_asked: bool = False  # no proposals: further trials that the user has asked for, and then its end
    plan: str = ""  # of one that goes on: the sentence said before it did


@fact
class RunPaused:
    """The run stands still, because somebody asked or because it must (`reason`)."""

    reason: str
    mend: str


@fact
class RunContinued:
    """The end of a pause of the run."""


@fact
class Acknowledged:
    """A command reached the engine. `effect` says when it takes effect, in words for the user."""

    command: str
    effect: str


@fact
class Steered:
    """A note of the user's to the agent, for its next proposals."""

    text: str


@fact
class ApprovalTurned:
    """From here on every proposal waits for the user's word, or none does; one that waits is then approved."""

    on: bool


@fact
class RunEnded:
    """`done`: the limit was reached; `stopped`: by the user; `failed`: it cannot go on, `message` says the mend."""

    reason: Literal["done", "stopped", "failed"]
    message: str


# --- an experiment ---------------------------------------------------------------------------------------------------


@fact
class ApprovalAwaited:
    """The proposal waits for the user's word. `diff` is what would be committed, against the parent."""

    number: int
    diff: str


@fact
class Approved:
    """The user's yes. `edits`: the user's own version of the whole edit, `description`: what that is called; None and
    empty: as it was proposed."""

    number: int
    edits: Mapping[str, str] | None = None
    description: str = ""


@fact
class Rejected:
    """The user's no: the proposal becomes no experiment, and the agent gets to read the reason."""

    number: int
    reason: str


@fact
class Committed:
    """The commit exists and is pinned at `ref`. `diff` is against the parent, `lines` counts the artifact's lines."""

    number: int
    commit: str
    ref: str
    diff: str
    lines: int


@fact
class TrialStarted:
    """Its process is there. Imports and compilation come before the clock starts."""

    number: int
    trial: int
    seed: int
    pid: int


@fact
class TrialReady:
    """READY: the training rows were handed over and the clock runs. `startup_seconds` is what came before."""

    number: int
    trial: int
    startup_seconds: float


@fact
class TrialHeld:
    """A pause took hold. `step` is None for a command that knows nothing of us and was frozen where it was."""

    number: int
    trial: int
    step: int | None


@fact
class TrialContinued:
    """The end of a pause within a trial, and how long it was."""

    number: int
    trial: int
    held_seconds: float


@fact
class TrialDone:
    """DONE: the checkpoint is complete and the process group is gone. What follows is evaluation."""

    number: int
    trial: int
    train_seconds: float
    steps: int | None


@fact
class TrialVoid:
    """Cut by us or by the power, never by the artifact: it counts for nothing and is run again."""

    number: int
    trial: int
    reason: str
    engine_gone: bool = False  # the engine went down in it, which may have been the artifact's doing after all


@fact
class Measured:
    """The trial has a score: see `core.experiment.Measurement`."""

    number: int
    trial: int
    value: float
    train_seconds: float
    total_seconds: float
    peak_memory_mb: float
    findings: Mapping[str, Any] = field(default_factory=dict)
    self_reported: bool = False


@fact
class Crashed:
    """The trial failed by itself. `log_tail`: the last lines of its log, control characters stripped."""

    number: int
    trial: int
    reason: str
    log_tail: str
    total_seconds: float


@fact
class Judged:
    """The verdict. `delta` is the value minus that of `incumbent`, the experiment it was judged by."""

    number: int
    outcome: Outcome
    reason: str
    incumbent: int | None
    delta: float | None


@fact
class BranchMoved:
    """The branch points at another commit: the experiment was kept."""

    number: int
    old: str | None
    new: str


@fact
class ExperimentDone:
    """The last event of an experiment: everything about it is durable."""

    number: int


Event = (
    RunStarted | EngineStarted | RunPaused | RunContinued | Acknowledged | Steered | ApprovalTurned | RunEnded
    | Proposing | ProgramRead | CallReserved | CallSettled | AgentWaits | Remembered | ProposalRefused | Proposed
    | ApprovalAwaited | Approved | Rejected | Committed | TrialStarted | TrialReady | TrialHeld | TrialContinued
    | TrialDone | TrialVoid | Measured | Crashed | RepairProposed | Judged | BranchMoved | ExperimentDone
    | AgainAsked | AgainStarted | AgainDone
)  # fmt: skip
