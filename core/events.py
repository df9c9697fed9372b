"""Every event of a run, in the order in which it can appear. Nothing else.

An event is a frozen dataclass; a journal line is `{"type": …, "time": …, **fields}`. `time` is Unix seconds.
Readers skip types they do not know, so that an older cockpit can follow a newer engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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

__all__ = [  # from here as well
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class RunPaused:
    """The run stands still, because somebody asked or because it must (`reason`)."""

    reason: str
    mend: str


@dataclass(frozen=True, slots=True)
class RunContinued:
    """The end of a pause of the run."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command reached the engine. `effect` says when it takes effect, in words for the user."""

    command: str
    effect: str


@dataclass(frozen=True, slots=True)
class Steered:
    """A note of the user's to the agent, for its next proposals."""

    text: str


@dataclass(frozen=True, slots=True)
class ApprovalTurned:
    """From here on every proposal waits for the user's word, or none does; one that waits is then approved."""

    on: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """`done`: the limit was reached; `stopped`: by the user; `failed`: it cannot go on, `message` says the mend."""

    reason: Literal["done", "stopped", "failed"]
    message: str


# --- an experiment ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApprovalAwaited:
    """The proposal waits for the user's word. `diff` is what would be committed, against the parent."""

    number: int
    diff: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The user's yes. `edits`: the user's own version of the whole edit, `description`: what that is called; None and
    empty: as it was proposed."""

    number: int
    edits: Mapping[str, str] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The user's no: the proposal becomes no experiment, and the agent gets to read the reason."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit exists and is pinned at `ref`. `diff` is against the parent, `lines` counts the artifact's lines."""

    number: int
    commit: str
    ref: str
    diff: str
    lines: int


@dataclass(frozen=True, slots=True)
class TrialStarted:
    number: int
    trial: int
    seed: int
    pid: int


@dataclass(frozen=True, slots=True)
class TrialReady:
    """READY: the training rows were handed over and the clock runs. `startup_seconds` is what came before."""

    number: int
    trial: int
    startup_seconds: float


@dataclass(frozen=True, slots=True)
class TrialHeld:
    """A pause took hold. `step` is None for a command that knows nothing of us and was frozen where it was."""

    number: int
    trial: int
    step: int | None


@dataclass(frozen=True, slots=True)
class TrialContinued:
    number: int
    trial: int
    held_seconds: float


@dataclass(frozen=True, slots=True)
class TrialDone:
    """DONE: the checkpoint is complete and the process group is gone. What follows is evaluation."""

    number: int
    trial: int
    train_seconds: float
    steps: int | None


@dataclass(frozen=True, slots=True)
class TrialVoid:
    """Cut by us or by the power, never by the artifact: it counts for nothing and is run again."""

    number: int
    trial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    number: int
    trial: int
    value: float
    train_seconds: float
    total_seconds: float
    peak_memory_mb: float
    findings: Mapping[str, Any] = field(default_factory=dict)
    self_reported: bool = False


@dataclass(frozen=True, slots=True)
class Crashed:
    """The trial failed by itself. `log_tail`: the last lines of its log, control characters stripped."""

    number: int
    trial: int
    reason: str
    log_tail: str
    total_seconds: float


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict. `delta` is the value minus that of `incumbent`, the experiment it was judged by."""

    number: int
    outcome: Outcome
    reason: str
    incumbent: int | None
    delta: float | None


@dataclass(frozen=True, slots=True)
class BranchMoved:
    number: int
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class ExperimentDone:
    """The last event of an experiment: everything about it is durable."""

    number: int


# --- a finished experiment once more ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgainAsked:
    """The user wants another trial of a finished experiment, with a fresh seed. Its verdict stays as it is."""

    number: int


@dataclass(frozen=True, slots=True)
class AgainStarted:
    """That experiment is in flight once more: the events of a trial follow, with its number."""

    number: int


@dataclass(frozen=True, slots=True)
class AgainDone:
    """The last event of such a trial: its measurement, or its crash, stands beside the first one."""

    number: int


Event = (
    RunStarted | EngineStarted | RunPaused | RunContinued | Acknowledged | Steered | ApprovalTurned | RunEnded
    | Proposing | ProgramRead | CallReserved | CallSettled | AgentWaits | Remembered | ProposalRefused | Proposed
    | ApprovalAwaited | Approved | Rejected | Committed | TrialStarted | TrialReady | TrialHeld | TrialContinued
    | TrialDone | TrialVoid | Measured | Crashed | RepairProposed | Judged | BranchMoved | ExperimentDone
    | AgainAsked | AgainStarted | AgainDone
)  # fmt: skip
