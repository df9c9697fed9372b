"""One whole trial of MLX's artifact, as the engine runs it; and what it compiles."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from engine_end import LIMIT, Engine, told

from backends.mlx import feed, serve, train
from backends.reference import harness, spec


def test_whole_trial_of_the_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real train.py in a process of its own: it learns, leaves a checkpoint, and `load` answers for it."""
    source = Path(train.__file__).read_text(encoding="utf-8")
    for name, value in {"DEPTH": 2, "TOTAL_BATCH_SIZE": 256, "DEVICE_BATCH_SIZE": 4, "WARMDOWN_RATIO": 0.1}.items():
        source, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
        assert found == 1, name
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    starts = np.random.default_rng(0).integers(64, size=(200, 1))
    np.save(tmp_path / "rows.npy", ((starts + 5 * np.arange(33)) % 64).astype(np.uint16))  # each token says the next

    ours, theirs = socket.socketpair()
    settings = {"sequence_length": 32, "vocab_size": 64}
    trial_file = tmp_path / "trial.json"
    trial = told(tmp_path, theirs.fileno(), settings=settings, budget={"train_seconds": 8.0})
    trial_file.write_text(json.dumps(trial), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, harness.VARIABLE: str(trial_file)},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    try:
        engine = Engine(ours, tmp_path / "rows.npy")
        assert engine.hear() == {"type": "ready"}
        engine.go()
        *steps, done = engine.hear_until("done")
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait(LIMIT)
        ours.close()
    assert steps[0]["loss"] == pytest.approx(np.log(64), abs=0.1)
    assert min(step["loss"] for step in steps) < 0.8 * steps[0]["loss"]
    assert done["summary"]["num_steps"] >= steps[-1]["step"]
    assert done["summary"]["num_params_M"] == round(spec.parameter_count(spec.Config(32, 64, 2)) / 1e6, 3)

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    artifact = serve.import_artifact(tmp_path)
    monkeypatch.setitem(sys.modules, "train", artifact)
    model = artifact.load(tmp_path / "checkpoint.safetensors", "cpu")
    tokens = mx.array(((starts[:4] + 5 * np.arange(32)) % 64).astype(np.int32))
    assert artifact.logits(model, tokens).shape == (4, 32, 64)


def test_what_is_compiled_ahead_is_what_training_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of the same number, shape and dtype: anything else would be compiled in counted time."""
    for name, value in {"TOTAL_BATCH_SIZE": 256, "DEVICE_BATCH_SIZE": 4}.items():
        monkeypatch.setattr(train, name, value)
    seen: list[list[mx.array]] = []

    def step(batches: list[mx.array], progress: float) -> mx.array:
        seen.append(batches)
        return mx.zeros(())

    monkeypatch.setattr(train, "train_step", lambda model, optimizer, compile_step: step)
    train.prepared(train.Config(32, 64, 2), "cpu", compile_all=True)
    rows = feed.batches(np.zeros((9, 33), np.uint16), 4)
    expected = [next(rows) for _ in range(train.accumulation(32))]
    assert [(b.shape, b.dtype) for b in seen[0]] == [(b.shape, b.dtype) for b in expected]
