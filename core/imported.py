"""A run of the original, read into a run folder of ours: its results.tsv, and its diffs where the commits still exist.

The table (github.com/karpathy/autoresearch): a row an experiment, tab-separated, `commit val_bpb memory_gb status
description`. The original resets its discards away, so most of their commits are gone; its first row may say `baseline`
in place of a commit. Times are not in it.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core import events as ev
from core.errors import UsageError
from core.experiment import Outcome
from core.facts import fact
from core.history import History, fold
from core.journal import TSV_COLUMNS, Journal, read, replace_durably, results_tsv
from core.launch import RUNS
from core.workspace import Workspace

ARTIFACT = "train.py"
_COLUMNS = len(TSV_COLUMNS)


@fact
class Row:
    """One line of the table. value None: a crash."""

    commit: str
    value: float | None
    memory_mb: float
    outcome: Outcome
    description: str


def read_table(path: Path) -> tuple[str, list[Row]]:
    """The metric's name and the rows. Raises UsageError that names the line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; name a checkout that holds a results.tsv") from None
    head = lines[0].split("\t") if lines else []
    if len(head) < _COLUMNS or (head[0], head[2], head[3]) != ("commit", "memory_gb", "status"):
        wanted = " ".join(TSV_COLUMNS).format(metric="val_bpb")
        raise UsageError(f"{path}: not a results.tsv; its first line must name the columns {wanted}, with tabs between")
    rows = [_row(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if not rows:
        raise UsageError(f"{path}: it holds no experiment yet")
    return head[1], rows


def _row(path: Path, number: int, line: str) -> Row:
    cells = line.split("\t", _COLUMNS - 1)
    try:
        commit, value, memory, status, description = cells
        measured, megabytes = float(value), 1024 * float(memory)
        outcomes: dict[str, Outcome] = {"keep": "keep", "discard": "discard", "crash": "crash"}
        outcome = outcomes[status.strip()]
    except (ValueError, KeyError):
        raise UsageError(f"{path}, line {number}: not `commit score memory keep|discard|crash description`") from None
    if not (math.isfinite(measured) and math.isfinite(megabytes)):
        raise UsageError(f"{path}, line {number}: its numbers are not finite")
    return Row(commit.strip(), None if outcome == "crash" else measured, megabytes, outcome, description.strip())


def import_run(checkout: Path, tag: str) -> Path:
    """Write the run folder `<checkout>/.autoresearch/<tag>`, whole or not at all. Returns it. Raises UsageError.

    Where it is there already, from this table as it is now, nothing is written.
    """
    table = checkout / "results.tsv" if checkout.is_dir() else checkout
    metric, rows = read_table(table)
    root = table.parent
    folder = root / RUNS / tag
    if folder.exists():
        history = fold(read(folder / "journal.jsonl"))
        if _is_of(history, table, rows):
            return folder
        ours = history.run is not None and history.run.imported_from == str(table)
        what = "holds this table as it was earlier" if ours else "exists"
        raise UsageError(f"{folder} {what}; take another --tag, or remove that folder")
    part = folder.with_name(f".{tag}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (root / RUNS / ".gitignore").write_text("*\n", encoding="utf-8")
        journal = Journal(part / "journal.jsonl")
        history = fold((event, journal.append(event)) for event in _events(table, folder, metric, rows))
        journal.close()
        replace_durably(part / "results.tsv", results_tsv(history))
        os.replace(part, folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _is_of(history: History, table: Path, rows: list[Row]) -> bool:
    """Whether this history is that of the table."""
    if history.run is None or history.run.imported_from != str(table) or len(history.experiments) != len(rows):
        return False
    for e, row in zip(history.experiments, rows, strict=True):
        value, memory = (e.measurement.value, e.measurement.peak_memory_mb) if e.measurement else (None, row.memory_mb)
        told = (value, memory, e.verdict.outcome, e.description)
        if told != (row.value, row.memory_mb, row.outcome, row.description) or not e.commit.startswith(row.commit):
            return False
    return True


def _events(table: Path, folder: Path, metric: str, rows: list[Row]) -> Iterator[ev.Event]:
    workspace = _workspace(table.parent)
    yield ev.RunStarted(
        tag=folder.name, workspace=str(table.parent), task_folder="", backend="", device="", agent="", seed=0, base="",
        task={"task": {"name": "imported", "artifact": [ARTIFACT]}, "metric": {"name": metric, "direction": "min"}},
        fingerprint="", settings={}, train_seconds=0.0, experiments=None, hours=None, plan="",
        notes=(f"imported from {table} into {folder}", "the table has no times and no hypotheses"),
        imported_from=str(table),
    )  # fmt: skip
    incumbent, best = None, math.nan
    for number, row in enumerate(rows):
        found = workspace.resolve(row.commit) if workspace else None
        commit, parent = found or (row.commit, "")
        diff = workspace.diff(parent, commit, [ARTIFACT]) if workspace and found and parent and number else ""
        yield ev.Proposed(number, parent, incumbent, {}, row.description, "", {})
        yield ev.Committed(number, commit, "", diff, 0)
        if row.value is None:
            yield ev.Crashed(number, 1, "crash", "", 0.0)
        else:
            yield ev.Measured(number, 1, row.value, 0.0, 0.0, row.memory_mb, {}, self_reported=True)
        delta = None if row.value is None or incumbent is None else row.value - best
        reason = "crash" if row.value is None else "baseline" if not number else ""
        reason = reason or ("better" if row.outcome == "keep" else "worse" if (delta or 0) > 0 else "not kept")
        yield ev.Judged(number, row.outcome, reason, incumbent, delta)
        yield ev.ExperimentDone(number)
        if row.outcome == "keep" and row.value is not None:
            incumbent, best = number, row.value
    yield ev.RunEnded("done", f"imported from {table}: {len(rows) - 1} experiments after the baseline")


def _workspace(folder: Path) -> Workspace | None:
    try:
        return Workspace(folder)
    except UsageError:
        return None  # a table without its repository: scores and words, no diffs
