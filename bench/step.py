"""What keeping freed memory and calm threads are worth: one training step of the cpu profile, four ways in turn.

    python bench/step.py [--rounds 3]

Prints the median step of each way and its ratio to the way it is done. Beside another program the differences grow:
start this bench twice at once to see it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 24
WAYS = {
    "as it is done": ({"GOMP_SPINCOUNT": "3000"}, True),
    "freed memory given back": ({"GOMP_SPINCOUNT": "3000"}, False),
    "threads spin as libgomp likes": ({}, True),
    "threads never spin": ({"OMP_WAIT_POLICY": "PASSIVE"}, True),
}
STEP = """
import sys, time
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from backends.reference.allocator import keep_freed_memory
if sys.argv[2] == "keep":
    keep_freed_memory()
import train
model = train.build(train.Config(256, 1024), "cpu")
optimizer = train.MuonAdamW(model, polar_dtype=torch.float32)
model.initialise()
draw = np.random.default_rng(0)
passes = train.TOTAL_BATCH_SIZE // (train.DEVICE_BATCH_SIZE * 256)
for _ in range(int(sys.argv[3])):
    rows = [draw.integers(1024, size=(train.DEVICE_BATCH_SIZE, 257), dtype=np.uint16) for _ in range(passes)]
    start = time.perf_counter()
    batches = [torch.from_numpy(r.astype(np.int64)) for r in rows]
    train.train_step(model, optimizer, batches, 0.1).item()
    print(time.perf_counter() - start)
"""


def main() -> None:
    """Measure all ways in turn, so that the machine's moods meet each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="autoresearch-step-") as scratch:
        folder = Path(scratch) / "task"
        scaffold = [sys.executable, "-P", "-m", "backends.cuda", "scaffold", str(folder), "--profile", "cpu"]
        subprocess.run(scaffold, check=True, capture_output=True)
        for _ in range(rounds):
            for way, (environment, keeps) in WAYS.items():
                seconds[way] += _steps(folder, environment, keeps)
    usual = statistics.median(seconds["as it is done"])
    print(f"{'':<32}median step   ratio   ({rounds * (STEPS - 4)} steps each)")
    for way, found in seconds.items():
        median = statistics.median(found)
        print(f"{way:<32}{1000 * median:>8.1f} ms   {median / usual:>5.2f}")


def _steps(folder: Path, environment: dict[str, str], keeps: bool) -> list[float]:
    argv = [sys.executable, "-c", STEP, str(folder), "keep" if keeps else "give", str(STEPS)]
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(argv, env={**clean, **environment}, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()][4:]  # the first ones warm up


if __name__ == "__main__":
    main()
