"""`autoresearch evaluate`: score a checkpoint again, as a run does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import RunFailed, UsageError
from core.launch import demo_folder, find_workspace
from tui.best import EXPERIMENT, FILE, device, progress
from tui.options import TAG, WORKSPACE, find
from tui.text import delta, exact, one_line
from tui.watch import say

if TYPE_CHECKING:
    from core.best import Pick

EQUAL_WITHIN = 1e-5  # of the recorded score, for the same checkpoint on the same device


@click.command()
@TAG
@WORKSPACE
@EXPERIMENT
@click.option("--checkpoint", type=FILE, metavar="FILE", help="Score this file, not the experiment's own model.")
def evaluate(tag: str | None, workspace: Path | None, experiment: int | None, checkpoint: Path | None) -> int:
    """Score a checkpoint again, as a run does.

    By the task's trusted evaluate command, on the run's validation rows and device: it needs a run, also for a file of
    your own (`autoresearch run --experiments 0` makes one of the baseline alone). Nothing is journalled.
    The model is built by the source of the best experiment, or of experiment N. Exit status 1: it was rejected.
    """
    from core.best import pick
    from core.rescore import model_to_score, rescore

    here = workspace or Path.cwd()
    if find_workspace(here) is None and (workspace is not None or find_workspace(demo_folder()) is None):
        mend = "make one of the baseline alone with: autoresearch run --experiments 0"
        raise UsageError(f"{here}: no run here yet, and a model is scored by a run's source, on its rows; {mend}")
    picked = pick(find(workspace, tag), experiment)
    model = model_to_score(picked, checkpoint)
    what = checkpoint or f"the model of {picked.label}"
    say(f"scoring {what}: {device(picked)}")
    answer = rescore(picked, model, progress())
    if answer.end != "done":
        detail = f"; {answer.detail.strip().splitlines()[-1]}" if answer.detail.strip() else ""
        raise RunFailed(f"no score: {one_line(answer.reason + detail)}")
    name, value, findings = picked.task.metric.name, answer.value, answer.findings
    lines = [f"{what}, with the source of experiment {picked.experiment.number}"]
    lines.append(f"  {name:<18}{exact(value)}   {_beside_recorded(picked, value, own=checkpoint is None)}")
    if isinstance(upstream := findings.get("val_bpb_upstream"), int | float):
        lines.append(f"  {'val_bpb_upstream':<18}{exact(upstream)}")
    lines += _audit(findings)
    click.echo("\n".join(lines))
    return 0


def _beside_recorded(picked: Pick, value: float, *, own: bool) -> str:
    measured = picked.experiment.measurement
    if measured is None:
        return f"recorded: no score ({picked.experiment.verdict.reason})"
    recorded = f"recorded {exact(measured.value)}"
    if abs(value - measured.value) <= EQUAL_WITHIN:
        return f"{recorded}: equal within {EQUAL_WITHIN:g}, {device(picked)}"
    other = "" if own else "; another checkpoint than the recorded one: comparable if trained on the same rows"
    return f"{recorded}: {delta(value - measured.value)}, {device(picked)}{other}"


def _audit(findings: Mapping[str, Any]) -> list[str]:
    """What the reference task's audit found; tasks of the user's own have findings of their own."""
    said = [findings.get(key) for key in ("audited_positions", "audit_largest_nats", "audit_mean_nats")]
    if not all(isinstance(number, int | float) for number in said):
        return []
    positions, largest, mean = said
    return [f"  {'audit':<18}{positions} positions asked again: largest difference {largest:g} nats, mean {mean:g}"]
