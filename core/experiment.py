"""Finished facts: what was proposed, run, measured and decided. All frozen; nothing here is half filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from core.facts import fact

Outcome = Literal["keep", "discard", "crash"]


@fact
class Proposal:
    """An edit before it exists in git.

    edits: path relative to the task folder -> the whole new text of that file.
    details: whatever the agent wants to remember of it (the constants that `search` changed, …); JSON values only.
    """

    edits: Mapping[str, str]
    description: str
    hypothesis: str
    details: Mapping[str, Any] = field(default_factory=dict)


@fact
class Measurement:
    """What one trial came to.

    value: the metric, as the trusted evaluator computed it (or as the command printed it, if `self_reported`).
    train_seconds: from READY to DONE on the engine's clock, less pauses.
    total_seconds: from the start of the first process to the end of evaluation, less pauses.
    findings: what the evaluator (and, where it can only come from there, the trial) says besides; JSON values only.
    """

    value: float
    train_seconds: float
    total_seconds: float
    peak_memory_mb: float
    findings: Mapping[str, Any] = field(default_factory=dict)
    self_reported: bool = False


@fact
class Verdict:
    """keep, discard or crash, and why: `worse`, `equal, not shorter`, `skipped`, `timeout`, `nan`, `rejected: …`."""

    outcome: Outcome
    reason: str


@fact
class Repair:
    """An attempt at an experiment that crashed, before the one that stands for it."""

    commit: str
    reason: str


@fact
class Repeat:
    """Another trial of a finished experiment, asked for by the user. `reason` says why it has no measurement."""

    trial: int
    measurement: Measurement | None
    reason: str = ""


@fact
class Experiment:
    """One committed proposal and what became of it. Number 0 is the baseline.

    lines: total lines of the artifact at this commit (the tie rule compares them).
    delta: value minus the value of the incumbent it was judged by; None for the baseline and for crashes.
    diff: unified diff of the artifact against its parent; for the baseline, empty.
    repeats: trials after the verdict; they change nothing about it.
    edited: whether the user changed the proposal before approving it.
    repairs: attempts that crashed and were mended by the agent, before the one that this experiment is.
    """

    number: int
    commit: str
    parent: str
    description: str
    hypothesis: str
    diff: str
    lines: int
    details: Mapping[str, Any]
    measurement: Measurement | None
    verdict: Verdict
    incumbent: int | None
    delta: float | None
    trials: int
    trial: int  # the number of the one that was judged: its logs and checkpoint are in trials/<number>-<trial>
    log_tail: str = ""
    repeats: tuple[Repeat, ...] = ()
    edited: bool = False
    repairs: tuple[Repair, ...] = ()
