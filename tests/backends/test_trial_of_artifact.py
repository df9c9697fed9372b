"""One whole trial of the artifact, as the engine runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from engine_end import LIMIT, Engine, told

from backends.cuda import train
from backends.reference import harness, spec


def test_whole_trial_of_the_artifact(tmp_path) -> None:
    """The real train.py in a process of its own: it learns, leaves a checkpoint, and `load` answers for it."""
    source = Path(train.__file__).read_text(encoding="utf-8")
    for name, value in {"DEPTH": 2, "TOTAL_BATCH_SIZE": 256, "DEVICE_BATCH_SIZE": 4, "WARMDOWN_RATIO": 0.1}.items():
        source, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
        assert found == 1, name
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    rng = np.random.default_rng(0)
    starts = rng.integers(64, size=(200, 1))
    np.save(tmp_path / "rows.npy", ((starts + 5 * np.arange(33)) % 64).astype(np.uint16))  # each token says the next

    ours, theirs = socket.socketpair()
    settings = {"sequence_length": 32, "vocab_size": 64}
    trial_file = tmp_path / "trial.json"
    trial_file.write_text(
        json.dumps(told(tmp_path, theirs.fileno(), settings=settings, budget={"train_seconds": 3.0})), encoding="utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, harness.VARIABLE: str(trial_file), "GOMP_SPINCOUNT": "3000"},
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
    assert min(step["loss"] for step in steps) < 0.5 * steps[0]["loss"]
    assert done["summary"]["num_steps"] >= steps[-1]["step"]
    assert done["summary"]["num_params_M"] == round(spec.parameter_count(spec.Config(32, 64, 2)) / 1e6, 3)

    artifact = imported(tmp_path / "train.py")
    model = artifact.load(tmp_path / "checkpoint.safetensors", "cpu")
    tokens = torch.from_numpy((starts[:4] + 5 * np.arange(32)) % 64)
    logits = artifact.logits(model, tokens)
    assert logits.shape == (4, 32, 64)
    assert (logits.argmax(-1) == (tokens + 5) % 64).float().mean() > 0.9


def imported(path: Path) -> ModuleType:
    """A train.py by its path, as `serve` gets it."""
    found = importlib.util.spec_from_file_location("artifact_under_test", path)
    assert found is not None
    assert found.loader is not None
    module = sys.modules["artifact_under_test"] = importlib.util.module_from_spec(found)  # dataclasses look it up
    found.loader.exec_module(module)
    return module
