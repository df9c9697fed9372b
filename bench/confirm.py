"""Is the gain of a run real? Train its baseline and its best again, with fresh seeds, and compare the means.

    python bench/confirm.py [RUN_FOLDER] [--seeds 3]

Without a run folder: the latest run of the demo, or a new one of 20 experiments. Prints every score.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from core import control
from core.history import History, fold
from core.journal import read
from core.launch import Options, demo_folder, launch, runs

FIRST_FRESH_SEED = 1000


def main() -> None:
    """Print each score, the two means and how far apart they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = given.run_folder or _demo()
    history = fold(read(folder / "journal.jsonl"))
    assert history.run is not None
    assert history.best is not None
    print(f"run {history.run.tag}: {history.proposals} experiments, {history.count('keep')} kept")
    means = []
    for experiment in (history.experiments[0], history.best):
        assert experiment.measurement is not None
        scores = [_again(history, experiment.commit, FIRST_FRESH_SEED + k) for k in range(given.seeds)]
        means.append(statistics.mean(scores))
        shown = " ".join(f"{s:.4f}" for s in scores)
        first = experiment.measurement.value
        print(f"#{experiment.number:<3} in the run {first:.4f}; fresh seeds: {shown}; mean {means[-1]:.4f}")
    print(f"difference of the means: {100 * (means[0] - means[1]) / means[0]:.2f} % of the baseline's")


def _demo() -> Path:
    if not runs(demo_folder()):
        command = str(Path(sys.executable).parent / "autoresearch")
        words = [command, "demo", "--plain", "--experiments", "20", "--seed", "0"]
        subprocess.run(words, check=True)
    return runs(demo_folder())[-1]


def _again(history: History, commit: str, seed: int) -> float:
    """The score of the artifact at a commit, trained from another seed in a workspace of its own."""
    run = history.run
    assert run is not None
    with tempfile.TemporaryDirectory(prefix="autoresearch-confirm-") as scratch:
        clone = Path(scratch) / "workspace"
        subprocess.run(["git", "clone", "-q", "--no-checkout", run.workspace, str(clone)], check=True)
        subprocess.run(["git", "fetch", "-q", "origin", "refs/autoresearch/*:refs/confirm/*"], cwd=clone, check=True)
        subprocess.run(["git", "checkout", "-q", "--detach", commit], cwd=clone, check=True)
        options = Options(
            workspace=str(clone), task=run.task_folder or ".", device=run.device, seed=seed,
            train_seconds=run.train_seconds, experiments=0,
        )  # fmt: skip
        folder = launch(options, lambda line: None)
        engine = int((folder / "engine.lock").read_text().split()[0])
        subprocess.run(["tail", f"--pid={engine}", "-f", "/dev/null"], check=True)
        assert not control.alive(folder)
        measured = fold(read(folder / "journal.jsonl")).experiments[0].measurement
        shutil.rmtree(folder, ignore_errors=True)
    assert measured is not None
    return measured.value


if __name__ == "__main__":
    main()
