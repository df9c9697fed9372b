"""The harness over a real socket: rows, clock, pause, NaN, checkpoint; and one whole trial of the artifact."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from backends.cuda import train
from backends.reference import harness, spec

LIMIT = 60.0  # seconds before a wait counts as failed
ROWS = np.arange(5 * 4, dtype=np.uint16).reshape(5, 4)


class Engine:
    """The engine's end of the socket."""

    def __init__(self, connection: socket.socket, rows: Path) -> None:
        self.socket, self.rows = connection, rows
        self.socket.settimeout(LIMIT)
        self.unread = b""

    def say(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def go(self) -> None:
        descriptor = os.open(self.rows, os.O_RDONLY)
        socket.send_fds(self.socket, [b'{"type":"go"}\n'], [descriptor])
        os.close(descriptor)

    def hear(self) -> dict[str, Any]:
        while b"\n" not in self.unread:
            data = self.socket.recv(65536)
            assert data, "the trial closed its end"
            self.unread += data
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def hear_until(self, kind: str) -> list[dict[str, Any]]:
        heard = [self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(self.hear())
        return heard


def told(folder: Path, control: int, **changes: Any) -> dict[str, Any]:
    return {
        "role": "train",
        "device": "cpu",
        "seed": 42,
        "budget": {"train_seconds": 1000.0, "startup_seconds": 60.0, "timeout_seconds": 2000.0},
        "settings": {"sequence_length": 3, "vocab_size": 64},
        "control": control,
        "checkpoint": str(folder / "checkpoint.safetensors"),
        **changes,
    }


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Engine, socket.socket]]:
    np.save(tmp_path / "rows.npy", ROWS)
    ours, theirs = socket.socketpair()
    yield Engine(ours, tmp_path / "rows.npy"), theirs
    ours.close()
    theirs.close()
    gc.unfreeze()
    gc.enable()


def started(ends: tuple[Engine, socket.socket], folder: Path, **changes: Any) -> harness.Trial:
    """A trial whose clock runs; READY is already off the wire."""
    engine, theirs = ends
    trial = harness.Trial(told(folder, theirs.fileno(), **changes), theirs)
    engine.go()
    trial.ready()
    assert engine.hear() == {"type": "ready"}
    return trial


def busy(seconds: float) -> None:
    """Let time pass on the clock that the harness reads."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_come_in_stored_order_and_wrap_round(ends, tmp_path) -> None:
    batches = started(ends, tmp_path).batches(2)
    got = np.concatenate([next(batches) for _ in range(5)])
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, np.concatenate([ROWS, ROWS]))


def test_order_does_not_depend_on_the_batch(ends, tmp_path) -> None:
    trial = started(ends, tmp_path)
    large, small = trial.batches(7), trial.batches(1)
    np.testing.assert_array_equal(next(large), np.concatenate([next(small) for _ in range(7)]))


def test_rows_are_read_only(ends, tmp_path) -> None:
    batch = next(started(ends, tmp_path).batches(2))
    with pytest.raises(ValueError, match="read-only"):
        batch[0, 0] = 1


def test_wrong_rows_file_is_explained(ends, tmp_path, capsys) -> None:
    engine, theirs = ends
    np.save(engine.rows, ROWS.astype(np.int64))
    engine.go()
    with pytest.raises(SystemExit) as end:
        harness.Trial(told(tmp_path, theirs.fileno()), theirs).ready()
    assert end.value.code == 1
    assert "int64" in capsys.readouterr().err


def test_go_without_rows_is_explained(ends, tmp_path, capsys) -> None:
    engine, theirs = ends
    engine.say(type="go")
    with pytest.raises(SystemExit):
        harness.Trial(told(tmp_path, theirs.fileno()), theirs).ready()
    assert "handover" in capsys.readouterr().err


# --- clock and pause -------------------------------------------------------------------------------------------------


def test_progress_moves_and_ends(ends, tmp_path) -> None:
    trial = started(ends, tmp_path, budget={"train_seconds": 0.02})
    deadline = time.monotonic() + LIMIT
    seen = [trial.progress]
    while not trial.over and time.monotonic() < deadline:
        seen.append(trial.progress)
    assert trial.over
    assert trial.progress == 1.0
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 1


def test_clock_stands_still_while_held(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)
    seen: list[float] = []

    def pause_and_resume() -> None:
        engine.hear_until("held")
        seen.append(trial.progress)
        busy(0.05)
        seen.append(trial.progress)
        engine.say(type="resume", frozen_seconds=0.0)

    engine.say(type="pause")
    thread = threading.Thread(target=pause_and_resume, daemon=True)
    thread.start()
    trial.step(3.0, 6)
    thread.join(LIMIT)
    assert seen[0] == seen[1]
    assert trial.progress >= seen[1]
    before = trial.progress
    trial.step(3.0, 6)  # not paused any more: does not hold
    assert trial.progress > before


def test_every_pause_is_answered_with_its_step(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)
    held: list[int] = []

    def answer() -> None:
        held.append(engine.hear_until("held")[-1]["step"])
        engine.say(type="resume", frozen_seconds=0.0)

    for pause in (False, True, True):
        if pause:
            engine.say(type="pause")
            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
        trial.step(3.0, 6)
        if pause:
            thread.join(LIMIT)
    assert held == [2, 3]


def test_frozen_seconds_before_a_hold_do_not_count(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path, budget={"train_seconds": 0.02})
    deadline = time.monotonic() + LIMIT
    while not trial.over and time.monotonic() < deadline:
        pass
    # The process was stopped in the middle of a step, and both messages were waiting when it went on.
    engine.say(type="pause")
    engine.say(type="resume", frozen_seconds=60.0)
    trial.step(3.0, 6)
    assert not trial.over
    assert trial.progress == 0.0


def test_freeze_within_a_hold_is_not_taken_off_twice(ends, tmp_path) -> None:
    """The engine lost patience and froze the trial just after the trial had stopped its own clock."""
    engine, _ = ends
    trial = started(ends, tmp_path)
    busy(0.05)
    before = trial.progress

    def freeze_and_thaw() -> None:
        engine.hear_until("held")
        busy(0.05)
        engine.say(type="resume", frozen_seconds=0.05)

    engine.say(type="pause")
    thread = threading.Thread(target=freeze_and_thaw, daemon=True)
    thread.start()
    trial.step(3.0, 6)
    thread.join(LIMIT)
    assert trial.progress >= before


# --- telemetry and ends ----------------------------------------------------------------------------------------------


def test_telemetry_is_sparse_and_complete(ends, tmp_path) -> None:
    engine, _ = ends
    began = time.monotonic()
    trial = started(ends, tmp_path)
    for _ in range(500):
        trial.step(2.5, 6)
    seconds = time.monotonic() - began
    trial.done(lambda path, metadata: path.touch(), depth=2, num_params=1_500_000)
    *steps, done = engine.hear_until("done")
    assert 1 <= len(steps) <= 1 + seconds / harness.REPORT_SECONDS
    first = steps[0]
    assert first.keys() == {
        "type", "step", "loss", "progress", "tokens_per_second", "memory_mb", "eta_seconds", "mfu"
    }  # fmt: skip
    assert (first["step"], first["loss"], first["mfu"]) == (1, 2.5, None)
    assert first["memory_mb"] > 1
    assert 0 < first["eta_seconds"] <= 1000
    assert done["summary"] == {
        "num_steps": 500,
        "total_tokens_M": 0.003,
        "num_params_M": 1.5,
        "depth": 2,
        "mfu_percent": None,
        "peak_memory_mb": None,
    }


def test_a_deaf_engine_does_not_stop_training(ends, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(harness, "REPORT_SECONDS", 0.0)
    trial = started(ends, tmp_path)
    for _ in range(5_000):  # about 1 MB of reports that nobody reads
        trial.step(2.5, 6)
    assert trial.steps == 5_000


def test_mfu_on_a_known_card(ends, tmp_path) -> None:
    engine, theirs = ends
    trial = harness.Trial(told(tmp_path, theirs.fileno()), theirs)
    engine.go()
    trial.ready(flops_per_token=1e6, accelerator="NVIDIA H100 80GB HBM3", memory_mb=lambda: 45060.0)
    for _ in range(30):
        trial.step(2.5, 1000)
    trial.done(lambda path, metadata: path.touch(), depth=8, num_params=1)
    summary = engine.hear_until("done")[-1]["summary"]
    assert summary["mfu_percent"] > 0
    assert summary["peak_memory_mb"] == 45060.0


@pytest.mark.parametrize(
    ("card", "peak"), [("NVIDIA H100 80GB HBM3", 989.5e12), ("NVIDIA H100 PCIe", 756e12), ("Some Card", None)]
)
def test_peak_of_a_card(card: str, peak: float | None) -> None:
    assert spec.peak_flops(card) == peak


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 100.5])
def test_divergence_ends_the_trial(ends, tmp_path, capsys, loss) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)
    trial.step(99.0, 6)
    with pytest.raises(SystemExit) as end:
        trial.step(loss, 6)
    assert end.value.code == 1
    failed = engine.hear_until("failed")[-1]
    assert failed["reason"] == "nan"
    assert failed["detail"] == f"loss {loss:g} at step 2"
    assert failed["detail"] in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["before go", "in a step", "held"])
def test_trial_ends_with_its_engine(ends, tmp_path, moment) -> None:
    engine, theirs = ends
    trial = harness.Trial(told(tmp_path, theirs.fileno()), theirs)
    if moment != "before go":
        engine.go()
        trial.ready()
    if moment == "held":
        engine.say(type="pause")
    engine.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(SystemExit) as end:
        trial.ready() if moment == "before go" else trial.step(3.0, 6)
    assert end.value.code == 1


def test_checkpoint_appears_only_when_complete(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)

    def unfinished(path: Path, metadata: dict[str, str]) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trial.done(unfinished, depth=1, num_params=1)
    assert not trial.checkpoint.exists()

    told_of: list[dict[str, str]] = []
    trial.done(lambda path, metadata: (path.write_bytes(b"whole"), told_of.append(metadata)), depth=1, num_params=1)
    assert engine.hear_until("done")[-1]["type"] == "done"
    assert trial.checkpoint.read_bytes() == b"whole"
    assert told_of == [{"sequence_length": "3", "vocab_size": "64"}]


def test_without_an_engine_it_says_how_to_run(monkeypatch, capsys) -> None:
    monkeypatch.delenv(harness.VARIABLE, raising=False)
    with pytest.raises(SystemExit) as end:
        harness.connect()
    assert end.value.code == 2
    assert "autoresearch run" in capsys.readouterr().err


# --- one whole trial -------------------------------------------------------------------------------------------------


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
        env={**os.environ, harness.VARIABLE: str(trial_file), "OMP_WAIT_POLICY": "PASSIVE"},
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
