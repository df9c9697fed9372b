"""MLX's serve over a real socket: questions ahead of answers, slices of a batch, failures in turn; and its feed."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from cheats import scoring

from backends.mlx import feed, serve
from backends.reference import wire
from core import sandbox

T, V = 512, 64
LIMIT_SECONDS = 30
ARTIFACT = """\
import mlx.core as mx
def load(checkpoint, device):
    mx.set_default_device(mx.cpu)
    return mx.sin(mx.arange(64 * 64.0).reshape(64, 64))
def logits(model, tokens):
    if tokens.max().item() == 63:
        raise RuntimeError("63 is too much")
    return model[tokens]
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[socket.socket]:
    """The asking end of a connection to the real verb, which has loaded the artifact above."""
    (tmp_path / "train.py").write_text(ARTIFACT)
    ours, theirs = socket.socketpair()
    trial = tmp_path / "trial.json"
    with ours, theirs:
        trial.write_text(f'{{"control": {theirs.fileno()}, "checkpoint": "/none", "device": "cpu"}}')
        process = sandbox.spawn(
            [sys.executable, "-P", "-m", "backends.mlx", "serve"],
            cwd=tmp_path,
            env=sandbox.environment(trial),
            pass_fds=[theirs.fileno()],
            output=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            ask(ours, {"do": "load", "vocab_size": V})
            assert wire.receive(ours, 0, wire.Patience(LIMIT_SECONDS))[0] == {"done": "load"}
            yield ours
        finally:
            sandbox.kill_tree(process)
            process.wait()


def ask(connection: socket.socket, head: dict[str, object], body: bytes = b"") -> None:
    wire.send(connection, head, body, wire.Patience(LIMIT_SECONDS))


def drawn(seed: int, rows: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).integers(V - 1, size=(rows, T + 1)).astype(np.uint16)


def ask_nats(connection: socket.socket, rows: np.ndarray) -> None:
    ask(connection, {"do": "nats", "shape": rows.shape}, rows.tobytes())


def nats(rows: np.ndarray) -> np.ndarray:
    table = mx.sin(mx.arange(V * V * 1.0).reshape(V, V))
    tokens = mx.array(rows.astype(np.int32))
    return np.array(nn.losses.cross_entropy(table[tokens[:, :-1]], tokens[:, 1:]))


def test_two_questions_may_be_under_way_however_large(served: socket.socket) -> None:
    """Questions and answers here are larger than what a socket holds."""
    batches = [drawn(seed) for seed in range(3)]
    ask_nats(served, batches[0])
    for number, batch in enumerate(batches):
        if number + 1 < len(batches):
            ask_nats(served, batches[number + 1])
        head, body = wire.receive(served, 4 * batch.size, wire.Patience(LIMIT_SECONDS))
        assert head == {"done": "nats"}
        np.testing.assert_allclose(np.frombuffer(body, np.float32).reshape(-1, T), nats(batch), atol=1e-5)


def test_a_failure_comes_in_its_turn(served: socket.socket) -> None:
    good, bad = drawn(1), drawn(2)
    bad[3, 5] = 63
    ask_nats(served, good)
    ask_nats(served, bad)
    patience = wire.Patience(LIMIT_SECONDS)
    assert wire.receive(served, 4 * good.size, patience)[0] == {"done": "nats"}
    head, _ = wire.receive(served, 4 * good.size, patience)
    assert head["failed"] == "error"
    assert "RuntimeError: 63 is too much" in head["detail"]


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 7])
def test_slices_answer_like_the_whole(rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    table = mx.sin(mx.arange(V * V * 1.0).reshape(V, V))

    def logits(model: None, tokens: mx.array) -> mx.array:
        shapes.append((*tokens.shape, V))
        return table[tokens]

    train = SimpleNamespace(logits=logits)
    rows = mx.array(drawn(3, rows=7).astype(np.int32))
    positions = mx.array([0, 5, T - 1, 7, 1, 2, 3])
    whole = serve.position_nats(train, None, rows, V), serve.position_logits(train, None, rows[:, :-1], V, positions)
    assert shapes == [(7, T, V)] * 2
    shapes.clear()
    monkeypatch.setattr(serve, "LOGITS_BYTES", 4 * T * V * rows_at_a_time)
    cut = serve.position_nats(train, None, rows, V), serve.position_logits(train, None, rows[:, :-1], V, positions)
    assert all(mx.array_equal(a, b).item() for a, b in zip(whole, cut, strict=True))
    half = len(shapes) // 2
    assert shapes[:half] == shapes[half:]  # claim and audit are computed in the same shapes
    assert max(shape[0] for shape in shapes) == rows_at_a_time


def test_rows_come_as_they_are_stored_and_begin_again() -> None:
    rows = scoring.text_rows()[:7]
    seen = list(itertools.islice(feed.batches(rows, 3), 5))
    assert {batch.dtype for batch in seen} == {mx.uint16}
    expected = rows[np.arange(15) % 7].reshape(5, 3, -1)
    np.testing.assert_array_equal(np.stack([np.array(batch) for batch in seen]), expected)
