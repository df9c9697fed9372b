"""Cheats in a whole run of the real thing: scored honestly or rejected, and the loop goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import ended

from core.launch import Options, launch

sys.path.insert(0, str(Path(__file__).parent / "backends" / "cheats"))
from edits import cheat

CHEATS = ("prints a forged score", "looks ahead", "looks ahead in a quarter of its rows", "lies by 0.02")


def test_a_whole_run_of_cheats(reference, tmp_path):
    honest = (reference / "cuda/train.py").read_text()
    steps = [{"description": name, "edits": {"train.py": cheat(name, honest)}} for name in CHEATS]
    patches = tmp_path / "cheats.jsonl"
    patches.write_text("".join(json.dumps(step) + "\n" for step in steps))
    options = Options(str(reference), agent=f"scripted:{patches}", device="cpu", train_seconds=2)
    h = ended(launch(options, lambda line: None), 180)
    verdicts = {e.description: e for e in h.experiments}
    baseline, forged = verdicts["baseline"].measurement, verdicts["prints a forged score"].measurement
    assert baseline is not None
    assert forged is not None
    assert forged.value == pytest.approx(baseline.value, rel=0.2)  # two seconds of training, and not 0.1
    for name in CHEATS[1:]:
        assert verdicts[name].verdict.outcome == "crash"
        assert verdicts[name].verdict.reason.startswith("rejected: ")
    assert [e.number for e in h.experiments] == list(range(len(CHEATS) + 1))
