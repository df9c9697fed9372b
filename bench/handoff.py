"""From DONE of one trial to the first step of the next: how it divides, with the standby process and without it.

    python bench/handoff.py [--rounds 2] [--trials 4] [--budget 15]

Real runs on the CPU with a scripted agent, with and without in turn, so that the machine's moods meet both. Prints the
medians of each part, the steps that a trial came to, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.launch import Options, launch
from core.scaffold import scaffold

WAYS = ("standby", "plain start")
PARTS = {
    "end of the trial's processes": "end",
    "evaluation: load": "load",
    "evaluation: try": "try",
    "evaluation: pass": "pass",
    "evaluation: audit": "audit",
    "evaluation: checkouts, answer": "rest",
    "verdict, branch, proposal, commit": "verdict",
    "checkouts, start": "start",
    "told -> READY": "ready",
    "READY -> first step": "first",
}


def main() -> None:
    """Run both ways in turn and print what lies between two trials."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=4, help="handoffs in each run (default 4)")
    parser.add_argument("--budget", type=float, default=15.0, help="training seconds of a trial (default 15)")
    given = parser.parse_args()
    gaps: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    steps: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="autoresearch-handoff-") as scratch:
        for turn in range(given.rounds):
            for way in WAYS:
                folder = _run(Path(scratch) / f"{turn}-{way[:5]}", way, given.trials, given.budget)
                events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
                gaps[way] += _handoffs(folder, events)
                steps[way] += [e["findings"]["num_steps"] for e in events if e["type"] == "Measured"][1:]
    medians = {way: {k: statistics.median(gap[k] for gap in gaps[way]) for k in gaps[way][0]} for way in WAYS}
    print(f"{'seconds, medians':<36}" + "".join(f"{way:>13}" for way in WAYS))
    for name, key in {**PARTS, "DONE -> first step": "all"}.items():
        print(f"{name:<36}" + "".join(f"{medians[way][key]:>13.2f}" for way in WAYS))
    print(f"{'steps of a trial':<36}" + "".join(f"{statistics.median(steps[way]):>13.0f}" for way in WAYS))
    with_it, without = (medians[way]["all"] for way in WAYS)
    print(f"{len(gaps[WAYS[0]])} handoffs each; the plain start takes {without / with_it:.2f} times as long")
    rounded = {way: {k: round(v, 3) for k, v in medians[way].items()} for way in WAYS}
    found: dict[str, Any] = {"bench": "handoff", "handoffs": len(gaps[WAYS[0]]), "budget_seconds": given.budget}
    print(json.dumps({**found, "ratio": round(without / with_it, 3), "steps": steps, "seconds": rounded}))


def _run(workspace: Path, way: str, trials: int, budget: float) -> Path:
    """A finished run of so many trials after the baseline. Returns its folder."""
    scaffold(workspace, "cuda", "cpu")
    task = workspace / "cuda" / "task.toml"
    if way != "standby":
        task.write_text(re.sub(r"(?m)^standby = .*\n", "", task.read_text()))
        who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        subprocess.run(["git", *who, "commit", "-qam", "no standby"], cwd=workspace, check=True)
    source = (workspace / "cuda" / "train.py").read_text()
    script = workspace.parent / f"{workspace.name}.jsonl"
    proposals = ({"description": f"remark {k}", "edits": {"train.py": f"{source}# {k}\n"}} for k in range(trials))
    script.write_text("".join(json.dumps(proposal) + "\n" for proposal in proposals))
    options = Options(str(workspace), device="cpu", agent=f"scripted:{script}", train_seconds=budget)
    folder = launch(options, lambda line: print(line, file=sys.stderr))
    engine = int((folder / "engine.lock").read_text().split()[0])
    subprocess.run(["tail", f"--pid={engine}", "-f", "/dev/null"], check=True)
    return folder


def _handoffs(folder: Path, events: list[dict[str, Any]]) -> Iterator[dict[str, float]]:
    """Seconds of each part, for every two trials that follow one another."""
    numbers = sorted({e["number"] for e in events if e["type"] == "Measured"})
    of = {(e["number"], e["type"]): e for e in events if "number" in e}
    at = {key: e["time"] for key, e in of.items()}
    for this in numbers[:-1]:
        after = this + 1
        done = at[this, "TrialReady"] + of[this, "TrialDone"]["train_seconds"]
        telemetry = folder / "trials" / f"{after}-{of[after, 'TrialReady']['trial']}" / "telemetry.jsonl"
        spans: dict[str, float] = of[this, "Measured"]["findings"]["eval_seconds"]
        gap = {
            "end": at[this, "TrialDone"] - done,
            **spans,
            "rest": at[this, "Measured"] - at[this, "TrialDone"] - sum(spans.values()),
            "verdict": at[after, "Committed"] - at[this, "Measured"],
            "start": at[after, "TrialStarted"] - at[after, "Committed"],
            "ready": at[after, "TrialReady"] - at[after, "TrialStarted"],
            "first": float(json.loads(telemetry.read_text().splitlines()[0])["seconds"]),
        }
        yield {**gap, "all": sum(gap.values())}


if __name__ == "__main__":
    main()
