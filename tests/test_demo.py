"""The whole line on the real backend: demo, real text, real training, trusted scores, kept and pinned."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from conftest import autoresearch, ended, git, history, until

from core import control
from core.launch import Options, launch


def telemetry(folder: Path, trial: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "trials" / trial / "telemetry.jsonl").read_text().splitlines()]


def test_the_demo_trains_scores_and_keeps(demo_folders):
    words = ("demo", "--plain", "--experiments", "1", "--seed", "0", "--budget", "4", "--device", "cpu")
    done = autoresearch(*words, cwd=demo_folders, limit=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "demonstration" in done.stdout
    assert "loss" in done.stdout
    workspace = demo_folders / "data" / "autoresearch" / "demo"
    folder = next(p.parent for p in workspace.glob(".autoresearch/*/journal.jsonl"))
    h = history(folder)
    assert [e.number for e in h.experiments] == [0, 1]
    baseline = h.experiments[0].measurement
    assert 2.0 < baseline.value < 8.0
    assert not baseline.self_reported
    assert baseline.findings["val_bpb_upstream"] == pytest.approx(baseline.value, rel=0.02)
    assert 4.0 <= baseline.train_seconds < 4.0 + h_overtime(h)
    assert h.run.fingerprint
    assert h.experiments[1].diff.startswith("diff --git a/cuda/train.py b/cuda/train.py\n--- a/cuda/train.py")
    assert git(workspace, "status", "--porcelain") == ""
    assert (folder / "trials/0-1/checkpoint.safetensors").exists()
    assert (folder / "trials/1-1/checkpoint.safetensors").exists()  # one of the last few, whatever its verdict
    again = autoresearch("demo", "--json", "--experiments", "0", "--budget", "2", cwd=demo_folders, limit=100)
    assert again.returncode == 0
    kinds = [json.loads(line)["type"] for line in again.stdout.splitlines()]
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunEnded"
    assert len(list(workspace.glob(".autoresearch/*/journal.jsonl"))) == 2


def h_overtime(h) -> float:
    return max(3.0, 0.05 * h.run.train_seconds)


def test_a_pause_takes_nothing_from_training_and_its_schedule(reference):
    options = Options(str(reference), tag="t", device="cpu", train_seconds=6, experiments=0)
    folder = launch(options, lambda line: None)
    steps = folder / "trials/0-1/telemetry.jsonl"
    until(lambda: steps.exists() and len(steps.read_text().splitlines()) > 3, 60)
    assert control.send(folder, "pause") == "holds at the next step"
    until(lambda: history(folder).pending.held_since is not None)
    held = history(folder).pending.held_since
    seen = len(steps.read_text().splitlines())
    until(lambda: time.time() - held > 5)
    assert len(steps.read_text().splitlines()) <= seen + 1
    assert control.send(folder, "resume") == "goes on"
    h = ended(folder, 60)
    measured = h.experiments[0].measurement
    assert 6.0 <= measured.train_seconds < 6.0 + h_overtime(h)
    for line in telemetry(folder, "0-1"):
        assert line["progress"] == pytest.approx(min(1.0, line["seconds"] / 6.0), abs=0.03)


def test_other_rows_are_refused_on_resume(reference):
    options = Options(str(reference), tag="t", device="cpu", train_seconds=2, experiments=0)
    folder = launch(options, lambda line: None)
    ended(folder, 60)
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace(history(folder).run.fingerprint, "0" * 64))
    refused = autoresearch("resume", "t", "--experiments", "1", cwd=reference)
    assert refused.returncode == 2, refused.stderr
    assert len([line for line in refused.stderr.splitlines() if line.startswith("autoresearch: ")]) == 1
