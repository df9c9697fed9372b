"""The serve half of scoring, over a real socket: questions ahead of answers, slices of a batch, failures in turn."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.cuda import serve
from backends.reference import wire

T, V = 512, 64
LIMIT_SECONDS = 30
ARTIFACT = """\
import torch
def load(checkpoint, device):
    return torch.nn.Embedding.from_pretrained(torch.arange(64 * 64.0).reshape(64, 64).sin())
def logits(model, tokens):
    if tokens.max() == 63:
        raise RuntimeError("63 is too much")
    return model(tokens)
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The asking end of a connection to the real `answer`, which has loaded the artifact above."""
    (tmp_path / "train.py").write_text(ARTIFACT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    ours, theirs = socket.socketpair()
    answers = serve.Answers(theirs)

    def run() -> None:
        try:
            serve.answer(theirs, answers, {"checkpoint": "none", "device": "cpu", "settings": {}})
        except RuntimeError as error:
            answers.fail(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ask(ours, {"do": "load", "vocab_size": V})
    assert wire.receive(ours, 0, wire.Patience(LIMIT_SECONDS))[0] == {"done": "load"}
    yield ours
    ours.close()
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    sys.modules.pop("train", None)


def ask(connection: socket.socket, head: dict[str, object], body: bytes = b"") -> None:
    wire.send(connection, head, body, wire.Patience(LIMIT_SECONDS))


def drawn(seed: int, rows: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).integers(V - 1, size=(rows, T + 1)).astype(np.uint16)


def ask_nats(connection: socket.socket, rows: np.ndarray) -> None:
    ask(connection, {"do": "nats", "shape": rows.shape}, rows.tobytes())


def nats(rows: np.ndarray) -> np.ndarray:
    table = torch.arange(V * V * 1.0).reshape(V, V).sin()
    tokens = torch.from_numpy(rows.astype(np.int64))
    found = functional.cross_entropy(table[tokens[:, :-1]].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return found.view(len(rows), T).numpy()


def test_two_questions_may_be_under_way_however_large(served: socket.socket) -> None:
    """Questions and answers here are larger than what a socket holds."""
    batches = [drawn(seed) for seed in range(4)]
    ask_nats(served, batches[0])
    for number, batch in enumerate(batches):
        if number + 1 < len(batches):
            ask_nats(served, batches[number + 1])
        head, body = wire.receive(served, 4 * batch.size, wire.Patience(LIMIT_SECONDS))
        assert head == {"done": "nats"}
        np.testing.assert_array_equal(np.frombuffer(body, np.float32).reshape(-1, T), nats(batch))


def test_a_failure_comes_in_its_turn(served: socket.socket) -> None:
    good, bad = drawn(1), drawn(2)
    bad[3, 5] = 63
    ask_nats(served, good)
    ask_nats(served, bad)
    patience = wire.Patience(LIMIT_SECONDS)
    assert wire.receive(served, 4 * good.size, patience)[0] == {"done": "nats"}
    assert wire.receive(served, 4 * good.size, patience)[0] == {"failed": "error", "detail": "63 is too much"}


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 7])
def test_slices_answer_like_the_whole(rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    table = torch.arange(V * V * 1.0).reshape(V, V).sin()

    def logits(model: None, tokens: torch.Tensor) -> torch.Tensor:
        shapes.append((*tokens.shape, V))
        return table[tokens]

    train = SimpleNamespace(logits=logits)
    rows = torch.from_numpy(drawn(3, rows=7).astype(np.int64))
    positions = torch.tensor([0, 5, T - 1, 7, 1, 2, 3])
    whole = serve.position_nats(train, None, rows, V), serve.position_logits(train, None, rows[:, :-1], V, positions)
    assert shapes == [(7, T, V)] * 2
    shapes.clear()
    monkeypatch.setattr(serve, "LOGITS_BYTES", 4 * T * V * rows_at_a_time)
    cut = serve.position_nats(train, None, rows, V), serve.position_logits(train, None, rows[:, :-1], V, positions)
    assert all(torch.equal(a, b) for a, b in zip(whole, cut, strict=True))
    half = len(shapes) // 2
    assert shapes[:half] == shapes[half:]  # claim and audit are computed in the same shapes
    assert max(shape[0] for shape in shapes) == rows_at_a_time
