"""Write a run folder as an engine would have left it: a journal, telemetry and logs of some invented experiments.

    python tests/tui/recorded_run.py FOLDER [EXPERIMENTS] [--ended | --paused]

The figures are invented; the words, the order of events and the files are the real ones.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core import events as ev
from core import records

STARTED_AT = 1_763_671_200.0
SECONDS = 15.0

SOURCE = '''"""The artifact: a small GPT and how it is trained."""

import torch
import torch.nn.functional as F

DEPTH = 2
ASPECT_RATIO = 64
WINDOW_PATTERN = "SSSL"
TOTAL_BATCH_SIZE = 2**13  # tokens a step
DEVICE_BATCH_SIZE = 16
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5  # the last half of the time budget
FINAL_LR_FRACTION = 0.0
SOFTCAP = 15.0


class MLP(torch.nn.Module):
    """Linear, squared ReLU, linear."""

    def forward(self, x):  # [B, T, C]
        x = F.relu(self.fc(x)).square()
        return self.proj(x)


def schedule(progress):
    """The factor on every learning rate at this share of the budget."""
    if progress < 1.0 - WARMDOWN_RATIO:
        return 1.0
    left = (1.0 - progress) / WARMDOWN_RATIO
    return left + (1.0 - left) * FINAL_LR_FRACTION
'''


@dataclass(frozen=True)
class Idea:
    description: str
    hypothesis: str
    old: str
    new: str
    gain: float | None  # subtracted from the incumbent's value; None: a crash


IDEAS = (
    Idea("raise MATRIX_LR to 0.05", "few steps, so larger ones", "MATRIX_LR = 0.04", "MATRIX_LR = 0.05", 0.0291),
    Idea("warmdown 0.5 to 0.7", "a longer decay averages more", "WARMDOWN_RATIO = 0.5", "WARMDOWN_RATIO = 0.7", 0.0172),
    Idea("softcap 15 to 20", "logits may be held back", "SOFTCAP = 15.0", "SOFTCAP = 20.0", -0.0064),
    Idea("depth 2 to 4", "depth is the cheapest capacity", "DEPTH = 2", "DEPTH = 4", -0.0813),
    Idea("halve the batch", "twice the steps in the same time", "2**13  # tokens", "2**12  # tokens", 0.0638),
    Idea("embedding LR 0.6 to 0.9", "rare tokens get few updates", "EMBEDDING_LR = 0.6", "EMBEDDING_LR = 0.9", -0.0027),
    Idea("double the width", "more capacity per token", "ASPECT_RATIO = 64", "ASPECT_RATIO = 128", None),
    Idea("GELU in place of squared ReLU", "smoother", "F.relu(self.fc(x)).square()", "F.gelu(self.fc(x))", -0.0391),
    Idea("batch 2**12 to 2**11", "the same again", "2**12  # tokens", "2**11  # tokens", 0.0224),
    Idea("FINAL_LR_FRACTION 0 to 0.05", "the last steps should move", "FRACTION = 0.0", "FRACTION = 0.05", 0.0018),
    Idea("weight decay off", "too few steps to overfit", "WEIGHT_DECAY = 0.2", "WEIGHT_DECAY = 0.0", 0.0041),
    Idea("warm up for 5 %", "protects the first steps", "WARMUP_RATIO = 0.0", "WARMUP_RATIO = 0.05", -0.0102),
    Idea("all layers see everything", "T is short, windows save little", '"SSSL"', '"L"', 0.0036),
    Idea("unembedding LR 0.004 to 0.006", "the head lags", "UNEMBEDDING_LR = 0.004", "UNEMBEDDING_LR = 0.006", -0.0009),
    Idea("MATRIX_LR 0.05 to 0.5", "how far does it go", "MATRIX_LR = 0.05", "MATRIX_LR = 0.5", None),
    Idea("scalar LR 0.5 to 0.3", "the residual scales jitter", "SCALAR_LR = 0.5", "SCALAR_LR = 0.3", -0.0015),
    Idea("Adam beta1 0.8 to 0.9", "steadier embeddings", "(0.8, 0.95)", "(0.9, 0.95)", -0.0072),
    Idea("embedding LR 0.6 to 0.75", "half of what failed at 0.9", "EMBEDDING_LR = 0.6", "EMBEDDING_LR = 0.75", 0.0027),
)  # fmt: skip

TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 214, in <module>
    main()
  File "train.py", line 197, in main
    loss.backward()
RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory"""


def ideas(count: int) -> Iterator[Idea]:
    yield from IDEAS[:count]
    draw = random.Random(7)
    for number in range(len(IDEAS) + 1, count + 1):
        gain = draw.choice((0.0006, -0.0011, -0.0042, -0.0133, -0.0023))
        yield Idea(f"softcap tried at {number}", "a sweep", "", f"SOFTCAP = {number}.5", gain)


class Recorder:
    """Writes events with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = STARTED_AT
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = (folder / "journal.jsonl").open("w")

    def put(self, event: ev.Event, after_seconds: float = 0.0) -> None:
        self.now += after_seconds
        self.journal.write(json.dumps(records.to_record(event, self.now), ensure_ascii=False) + "\n")
        self.journal.flush()

    def telemetry(self, number: int, start: float, end: float, until: float = 1.0) -> None:
        """A trial's reports and log, its loss falling from `start` to `end`."""
        trial = self.folder / "trials" / f"{number}-1"
        trial.mkdir(parents=True, exist_ok=True)
        reports, log = reports_and_log(number, start, end, until)
        (trial / "telemetry.jsonl").write_text(reports)
        (trial / "log").write_text(log)


@functools.lru_cache(256)  # hundreds of tests write the same runs
def reports_and_log(number: int, start: float, end: float, until: float) -> tuple[str, str]:
    draw, steps = random.Random(number), 110
    reports, log = "", "data     stdlib, 11.9 MB, 9,214 documents\nmodel    3.4 M parameters, depth 2, dim 128\n"
    for step in range(int(steps * until)):
        progress = step / steps
        loss = end + (start - end) * math.exp(-6 * progress) + draw.uniform(-0.05, 0.05)
        record = {
            "type": "step", "step": step, "loss": round(loss, 4), "progress": round(progress, 4),
            "tokens_per_second": 59_800.0 + draw.uniform(-900, 900), "memory_mb": 512.0 + number,
            "eta_seconds": round(SECONDS * (1 - progress), 2), "seconds": round(SECONDS * progress, 2),
            "mfu": None,
        }  # fmt: skip
        reports += json.dumps(record) + "\n"
        if step % 10 == 0:
            log += f"step {step:4d}  loss {loss:.4f}  lr x1.00  {record['tokens_per_second']:,.0f} tok/s\n"
    return reports, log


def diff_of(old: str, new: str) -> str:
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "a/train.py", "b/train.py"))


def commit_of(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest()


def write_run(
    folder: Path, experiments: int = 25, *, live: bool = True, tag: str = "nov20", ended: bool | None = None
) -> Path:
    """The journal of a baseline and `experiments` proposals; `live` leaves the last of them in mid-training.

    ended: whether the run is then done; None: unless it is live.
    """
    rec = Recorder(folder)
    task = {
        "task": {"name": "reference-gpt-cuda", "artifact": ["train.py"]},
        "metric": {"name": "val_bpb", "direction": "min"},
    }
    rec.put(ev.RunStarted(
        tag=tag, workspace="/home/ada/gpt", task_folder="cuda", task=task, backend="cuda", device="cpu", agent="search",
        seed=0, base=commit_of(0), fingerprint="stdlib-3f21", settings={"profile": "cpu"}, train_seconds=SECONDS,
        experiments=50, hours=None, plan="50 experiments of 15 s, about 0.3 hours",
        notes=("a CPU: this is a demonstration size",),
    ))  # fmt: skip
    rec.put(ev.EngineStarted(pid=4242, resumed=False, device="cpu", experiments=50))
    source, value, incumbent = SOURCE, 2.4413, 0
    _experiment(rec, 0, None, Idea("baseline", "", "", "", 0.0), source, source, value, value)
    for number, idea in enumerate(ideas(experiments), start=1):
        edited = source.replace(idea.old, idea.new) if idea.old else re.sub(r"SOFTCAP = \S+", idea.new, source)
        if edited == source:
            raise ValueError(f"idea {number} changes nothing: {idea.old}")
        new_value = None if idea.gain is None else round(value - idea.gain, 6)
        rec.put(ev.Proposing(number, incumbent), 0.2)
        if number == 6:
            rec.put(ev.ProposalRefused(number, "a duplicate of experiment 3", "softcap 15 to 20"), 0.3)
        last = live and number == experiments
        _experiment(rec, number, incumbent, idea, source, edited, value, new_value, unfinished=last)
        if not last and idea.gain is not None and idea.gain > 0 and new_value is not None:
            source, value, incumbent = edited, new_value, number
    if not live if ended is None else ended:
        rec.put(ev.RunEnded("done", f"{experiments} experiments done"), 0.1)
    rec.journal.close()
    return folder


def _experiment(
    rec: Recorder, number: int, incumbent: int | None, idea: Idea, old: str, new: str,
    before: float, value: float | None, unfinished: bool = False,
) -> None:  # fmt: skip
    parent = commit_of(incumbent) if incumbent is not None else commit_of(0)
    diff = diff_of(old, new)
    edits = {"train.py": new} if number else {}
    rec.put(ev.Proposed(number, parent, incumbent, edits, idea.description, idea.hypothesis, {}), 0.1)
    lines = new.count("\n")
    rec.put(ev.Committed(number, commit_of(number), f"refs/autoresearch/nov20/{number}", diff, lines), 0.02)
    rec.put(ev.TrialStarted(number, 1, 42, 5000 + number), 0.01)
    if value is None:
        rec.telemetry(number, 7.6, 4.0, until=0.1)
        with (rec.folder / "trials" / f"{number}-1" / "log").open("a") as log:
            log.write(TRACEBACK + "\n")
        rec.put(ev.TrialReady(number, 1, 1.9), 1.9)
        rec.put(ev.Crashed(number, 1, "oom" if number % 2 else "nan", TRACEBACK, 4.1), 2.2)
        rec.put(ev.Judged(number, "crash", "oom" if number % 2 else "nan", incumbent, None))
        rec.put(ev.ExperimentDone(number), 0.01)
        return
    rec.telemetry(number, 7.6, value * 1.62, until=0.62 if unfinished else 1.0)
    rec.put(ev.TrialReady(number, 1, 1.9), 1.9)
    if unfinished:
        rec.now += 0.62 * SECONDS
        return
    rec.put(ev.TrialDone(number, 1, SECONDS + 0.1, 110), SECONDS)
    rec.put(
        ev.Measured(
            number, 1, value, SECONDS + 0.1, SECONDS + 5.2, 512.0 + number, {"val_bpb_upstream": value - 0.001}
        ),
        3.1,
    )
    kept = number == 0 or value < before
    outcome: ev.Outcome = "keep" if kept else "discard"
    reason = "baseline" if number == 0 else "better" if kept else "worse"
    rec.put(ev.Judged(number, outcome, reason, incumbent, None if number == 0 else round(value - before, 6)), 0.01)
    if kept:
        rec.put(ev.BranchMoved(number, parent if number else None, commit_of(number)), 0.01)
    rec.put(ev.ExperimentDone(number), 0.01)


def append(folder: Path, *events: ev.Event, at: float) -> None:
    """Write more events behind those of a run, all of them at that time."""
    with (folder / "journal.jsonl").open("a") as journal:
        for event in events:
            journal.write(json.dumps(records.to_record(event, at), ensure_ascii=False) + "\n")


def main() -> None:
    folder, *words = sys.argv[1:]
    count = int(words[0]) if words else 25
    write_run(Path(folder), count, live="--ended" not in words)
    if "--paused" in words:
        append(Path(folder), ev.TrialHeld(count, 1, 68), at=STARTED_AT + 40.0 * count)


if __name__ == "__main__":
    main()
