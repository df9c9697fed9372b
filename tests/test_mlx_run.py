"""The whole line on MLX: a run with honest and forged edits, its scores, and what is made of its best model."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import autoresearch, commit_all, ended

from core.launch import Options, launch
from core.scaffold import scaffold

sys.path.insert(0, str(Path(__file__).parent / "backends" / "cheats"))
from mlx_edits import cheat

CHEATS = ("prints a forged score", "looks ahead", "lies by 0.02")
SMALL = "sequence_length = 64\nvocab_size = 512\neval_tokens = 2048\n"


def test_a_run_on_mlx_scores_honestly(demo_folders: Path) -> None:
    workspace = demo_folders / "w"
    scaffold(workspace, "mlx", "demo", "cpu", "stdlib")
    with (workspace / "mlx/task.toml").open("a") as task:
        task.write(SMALL)
    train = workspace / "mlx/train.py"
    train.write_text(re.sub(r"(?m)^TOTAL_BATCH_SIZE = \d+", "TOTAL_BATCH_SIZE = 512", train.read_text()))
    commit_all(workspace)
    patches = demo_folders / "cheats.jsonl"
    steps = [{"description": name, "edits": {"train.py": cheat(name, train.read_text())}} for name in CHEATS]
    patches.write_text("".join(json.dumps(step) + "\n" for step in steps))
    options = Options(
        str(workspace), backend="mlx", agent=f"scripted:{patches}", device="cpu", tag="t", train_seconds=3
    )
    h = ended(launch(options, lambda line: None), 240)
    assert (h.run.backend, h.run.device) == ("mlx", "cpu")
    verdicts = {e.description: e for e in h.experiments}
    baseline, forged = verdicts["baseline"].measurement, verdicts["prints a forged score"].measurement
    assert baseline is not None
    assert forged is not None
    assert 2.0 < baseline.value < 9.0
    assert baseline.findings["audit_largest_nats"] < 2e-3
    assert forged.value == pytest.approx(baseline.value, rel=0.2)  # three seconds of training, and not 0.1
    for name in CHEATS[1:]:
        assert verdicts[name].verdict.outcome == "crash"
        assert verdicts[name].verdict.reason.startswith("rejected: ")
    again = autoresearch("evaluate", "t", "--experiment", "0", cwd=workspace, limit=120)
    assert again.returncode == 0, again.stderr
    assert "equal within 1e-05, mlx on cpu" in again.stdout
    text = autoresearch("best", "t", "--sample", "def ", "--tokens", "3", cwd=workspace)
    assert text.returncode == 0, text.stderr
    assert text.stdout.startswith("def ")
