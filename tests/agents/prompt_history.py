"""Requests as an agent gets them in a run of any length, made without one."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from core.agents import Request
from core.desk import Paper
from core.events import EngineStarted, RunStarted
from core.experiment import Experiment, Measurement, Outcome, Verdict
from core.history import History

SOURCE = "RATE = 0.5\nSIZE = 8\n" + "".join(f"def part_{i}(x):\n    return x + {i}\n" for i in range(240))
TASK = {
    "task": {"name": "toy", "artifact": ["train.py"]},
    "commands": {"train": "run", "evaluate": "score"},
    "metric": {"name": "loss", "direction": "min"},
}


def diff(name: str, before: object, after: object, surplus: int = 0) -> str:
    """The diff of one number, with so many more lines."""
    more = "".join(f"+    extra({i})\n" for i in range(surplus))
    return f"--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,{1 + surplus} @@\n-{name} = {before}\n+{name} = {after}\n{more}"


def experiment(number: int, outcome: Outcome = "discard", delta: float | None = 0.01, **other: Any) -> Experiment:
    """A finished experiment; `delta` as the journal has it: value minus the incumbent's. None with a crash."""
    measured = (
        None if outcome == "crash" else Measurement(1.0 + (delta or 0.0), 300.0, 320.5, 4400.0, {"num_steps": 900})
    )
    reason = {"keep": "better", "discard": "worse", "crash": "RuntimeError: shape 3 is not 4"}[outcome]
    fields: dict[str, Any] = {
        "commit": f"{number:040x}", "parent": "0" * 40, "description": f"change number {number}",
        "hypothesis": "it may help", "diff": diff("RATE", 0.5, round(0.5 + number / 1000, 4)), "lines": 482,
        "details": {}, "measurement": measured, "verdict": Verdict(outcome, reason), "incumbent": 0, "delta": delta,
        "trials": 1, "trial": 1,
    }  # fmt: skip
    if number == 0:
        fields |= {"description": "baseline", "diff": "", "delta": None, "incumbent": None}
    return Experiment(number, **{**fields, **other})


def night(count: int, seed: int = 0) -> tuple[Experiment, ...]:
    """The baseline and so many experiments as a night brings them, with long words and diffs among them."""
    draw = random.Random(seed)
    made = [experiment(0, "keep", None)]
    names = [f"CONSTANT_{i}" for i in range(60)]
    for n in range(1, count + 1):
        name = draw.choice(names)
        text = diff(name, round(draw.random(), 3), round(draw.random(), 3), draw.choice((0, 3, 40, 400)))
        words = f"{name} changed; " + "and then some more was said about it " * draw.choice((0, 1, 8))
        kind = draw.random()
        outcome: Outcome = "keep" if kind < 0.12 else "crash" if kind < 0.22 else "discard"
        delta = None if outcome == "crash" else draw.uniform(-0.01, 0) if outcome == "keep" else draw.uniform(0, 0.1)
        made.append(experiment(n, outcome, delta, diff=text, description=words, hypothesis=words * 3))
    return tuple(made)


def history(experiments: Sequence[Experiment] = (), **other: Any) -> History:
    run = RunStarted(
        "night", "/w", "", {**TASK, **other.pop("task", {})}, "cuda", "cuda:0", "claude", 0, "b" * 40, "f",
        {"profile": "gpu-80gb"}, 300.0, None, None, "plan", notes=("a card with 80 GB: profile gpu-80gb",),
    )  # fmt: skip
    kept = [e.number for e in experiments if e.verdict.outcome == "keep"]
    engine = EngineStarted(1, resumed=False, device="cuda:0")
    fields = {"experiments": tuple(experiments), "incumbent": kept[-1] if kept else None, "run": run, "engine": engine}
    return History(**{**fields, **other})


def request(
    h: History | None = None,
    sources: Mapping[str, str] | None = None,
    program: str = "Find what helps.\n",
    direction: Literal["min", "max"] = "min",
    **other: Any,
) -> Request:
    h = history(night(3)) if h is None else h
    fields: dict[str, Any] = {"notes": h.notes, "new_notes": h.notes[h.notes_read :], "desk": Paper(Path("/nowhere"))}
    return Request(
        h.next_number, {"train.py": SOURCE} if sources is None else sources, program, h, direction, lambda _: True,
        **{**fields, **other},
    )  # fmt: skip
