"""A small scoring task on real text, byte by byte, and the real `evaluate` and `serve` processes run on it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from backends.reference import bpb
from core import sandbox

TINY = Path(__file__).with_name("tiny.py")
LENGTH, VOCAB_SIZE, BOS, ROWS, BATCH_ROWS = 64, 260, 256, 256, 32
SERVE = [sys.executable, "-P", "-m", "backends.cuda", "serve"]
EVALUATE = [sys.executable, "-P", "-c", "from backends.reference.evaluate import main; main(seed=0)"]
LIMIT_SECONDS = 60.0


def text_rows() -> np.ndarray:
    """Bytes of the standard library, BOS before each file, cut into rows: uint16 [·, T+1]."""
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:60]
    stream = np.concatenate([np.array([BOS, *file.read_bytes()[:16_000]], np.uint16) for file in files])
    count = (len(stream) - 1) // LENGTH
    starts = np.arange(count)[:, None] * LENGTH
    return stream[starts + np.arange(LENGTH + 1)]


def prepare(folder: Path) -> dict[str, Any]:
    """Rows, byte tables and a checkpoint of tiny.py in `folder`: what `prepare` would answer, and `checkpoint`."""
    rows = text_rows()
    token_bytes = np.array([1] * 256 + [0] * 4, np.int32)
    upstream = np.array([1] * 128 + [3] * 128 + [0] * 4, np.int32)
    arrays = {"validation_rows": rows[-ROWS:], "train_rows": rows[:-ROWS]}
    arrays |= {"token_bytes": token_bytes, "token_bytes_upstream": upstream}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    pairs = np.stack(np.broadcast_arrays(*np.ogrid[:VOCAB_SIZE, :VOCAB_SIZE]), axis=-1).astype(np.uint16)
    bigrams = -bpb.bigram_nats(rows[:-ROWS], pairs.reshape(-1, 2), VOCAB_SIZE).reshape(VOCAB_SIZE, VOCAB_SIZE)
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(VOCAB_SIZE, 16)).astype(np.float32)
    save_file(
        {"bigrams": bigrams, "embedding": embedding, "unembedding": 0.1 * embedding.T.copy()},
        folder / "checkpoint.safetensors",
    )
    paths = {name: str(folder / f"{name}.npy") for name in arrays}
    return {**paths, "checkpoint": str(folder / "checkpoint.safetensors")}


def trial_of(
    folder: Path, prepared: dict[str, Any], source: str, serve: list[str] = SERVE, **changes: Any
) -> dict[str, Any]:
    """The trial file's content for one evaluation in `folder`, with two fresh checkouts of `source` as train.py."""
    folders = [folder / f"serve-{i}" / "cuda" for i in (1, 2)]
    for checkout in folders:
        checkout.mkdir(parents=True)
        (checkout / "train.py").write_text(source)
    for name in ("store", "empty"):
        (folder / name).mkdir()
    trial = {
        "role": "evaluate",
        "experiment": 0,
        "trial": 1,
        "device": "cpu",
        "seed": 42,
        "budget": {"train_seconds": 1.0, "startup_seconds": 60.0, "timeout_seconds": LIMIT_SECONDS},
        "settings": {"eval_tokens": ROWS * LENGTH, "eval_batch_rows": BATCH_ROWS},
        "control": None,
        "checkpoint": prepared["checkpoint"],
        "prepared": prepared,
        "serve": {"command": serve, "folders": [str(checkout) for checkout in folders]},
        "answer": str(folder / "measurement.json"),
        "store": str(folder / "store"),
        "incumbent_store": None,
    }
    return {**trial, **changes}


@contextlib.contextmanager
def evaluation(folder: Path, trial: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The running `evaluate` process of this trial and the engine's end of its control socket."""
    ours, theirs = socket.socketpair()
    trial_file = folder / "evaluate.json"
    trial_file.write_text(json.dumps({**trial, "control": theirs.fileno()}))
    with ours, (folder / "output").open("wb") as output:
        with theirs:
            process = sandbox.spawn(
                EVALUATE,
                cwd=folder / "empty",
                env={**sandbox.environment(trial_file), "OMP_NUM_THREADS": "1"},  # steady on a busy machine
                pass_fds=[theirs.fileno()],
                output=output.fileno(),
            )
        try:
            yield process, ours
        finally:
            sandbox.kill_tree(process)
            process.wait()


def score(folder: Path, prepared: dict[str, Any], source: str, **changes: Any) -> dict[str, Any]:
    """Evaluate `source` from beginning to end; the answer."""
    trial = trial_of(folder, prepared, source, **changes)
    with evaluation(folder, trial) as (process, control):
        control.sendall(b'{"type":"go"}\n')
        status = process.wait(LIMIT_SECONDS)
        assert status == 0, (folder / "output").read_text()
    return json.loads(Path(trial["answer"]).read_text())
