"""The harness over a real socket: telemetry, divergence, the engine's death, the checkpoint."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_end import ROWS, Engine, started, told

from backends.reference import harness, profiles


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Engine, socket.socket]]:
    np.save(tmp_path / "rows.npy", ROWS)
    ours, theirs = socket.socketpair()
    yield Engine(ours, tmp_path / "rows.npy"), theirs
    ours.close()
    theirs.close()
    gc.unfreeze()
    gc.enable()


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
    assert profiles.peak_flops(card) == peak


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
