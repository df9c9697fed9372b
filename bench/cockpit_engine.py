"""The engine's end of a recorded run, without a trial: it holds the lock, writes telemetry, finishes experiments.

    PYTHONPATH=tests/tui python bench/cockpit_engine.py FOLDER [--rows 20] [--every SECONDS]

It prints a line once it is at work, and ends when its standard input does.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from pathlib import Path

from recorded_run import SOURCE, Idea, Recorder, commit_of

from core import events as ev
from core import locks


class Growing(Recorder):
    """A recorded run that goes on: it writes behind what is there, at the time of the clock on the wall."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.journal = (folder / "journal.jsonl").open("a")
        self.reports = (folder / "trials" / f"{number}-1" / "telemetry.jsonl").open("a")
        self.step = 0

    def put(self, event: ev.Event, after_seconds: float = 0.0) -> None:
        self.now = time.time()
        super().put(event)

    def report(self, seconds: float) -> None:
        """One more line of telemetry of the trial in flight."""
        self.step += 1
        record = {
            "type": "step", "step": self.step, "loss": round(3.0 + 4 * math.exp(-self.step / 200), 4),
            "progress": seconds % 300 / 300, "tokens_per_second": 59_800.0 + 900 * math.sin(self.step),
            "memory_mb": 512.0, "eta_seconds": round(300 - seconds % 300, 2), "seconds": round(seconds, 2), "mfu": None,
        }  # fmt: skip
        self.reports.write(json.dumps(record) + "\n")
        self.reports.flush()

    def finish(self) -> None:
        """The trial is done and worse; the next experiment begins."""
        n = self.number
        self.put(ev.TrialDone(n, 1, 15.1, self.step))
        self.put(ev.Measured(n, 1, 2.3 + 0.01 * math.sin(n), 15.1, 20.2, 512.0, {}))
        self.put(ev.Judged(n, "discard", "worse", 0, 0.0113))
        self.put(ev.ExperimentDone(n))
        self.number = n = n + 1
        self.put(ev.Proposing(n, 0))
        idea = Idea(f"softcap tried at {n}", "a sweep", "SOFTCAP = 15.0", f"SOFTCAP = {n}.5", None)
        edited = SOURCE.replace(idea.old, idea.new)
        self.put(ev.Proposed(n, commit_of(0), 0, {"train.py": edited}, idea.description, idea.hypothesis, {}))
        diff = (
            "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n"
            f"@@ -19,3 +19,3 @@\n WARMDOWN_RATIO = 0.5\n-{idea.old}\n+{idea.new}\n \n"
        )
        self.put(ev.Committed(n, commit_of(n), f"refs/autoresearch/nov20/{n}", diff, edited.count("\n")))
        self.put(ev.TrialStarted(n, 1, 42, 5000))
        self.put(ev.TrialReady(n, 1, 1.9))
        trial = self.folder / "trials" / f"{n}-1"
        trial.mkdir(parents=True)
        (trial / "log").write_text("data     stdlib\n")
        self.reports.close()
        self.reports, self.step = (trial / "telemetry.jsonl").open("a"), 0


def main() -> None:
    parser = argparse.ArgumentParser(description="the engine's end of a recorded run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=float, default=20.0, help="of telemetry a second; 0: none")
    parser.add_argument("--every", type=float, default=math.inf, help="seconds an experiment takes")
    wanted = parser.parse_args()
    number = max(int(path.name.split("-")[0]) for path in (wanted.folder / "trials").iterdir())
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with locks.lock(wanted.folder / "engine.lock", "busy"):
        run, started = Growing(wanted.folder, number), time.monotonic()
        print("at work", flush=True)
        due = started + wanted.every
        while not ended.wait(1 / wanted.rows if wanted.rows else 0.5):
            if wanted.rows:
                run.report(time.monotonic() - started)
            if time.monotonic() >= due:
                run.finish()
                due += wanted.every


if __name__ == "__main__":
    main()
