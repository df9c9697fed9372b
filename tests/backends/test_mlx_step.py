"""MLX's training step as a GPU runs it: compiled, a step ahead of what is read, and in bf16 without losing sums."""

from __future__ import annotations

import itertools
import shutil
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from backends.mlx import attention, memory, train

T, V = 32, 64
needs_a_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="MLX's CPU build compiles with g++")


@needs_a_compiler
def test_what_is_compiled_does_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same start, after the step on noise: every schedule moves, and two passes make a step."""
    monkeypatch.setattr(attention, "CHUNK", 16)
    monkeypatch.setattr(attention.chunked, "__defaults__", (16,))
    monkeypatch.setattr(train, "DEVICE_BATCH_SIZE", 2)
    monkeypatch.setattr(train, "TOTAL_BATCH_SIZE", 4 * T)
    ends = []
    for compile_all in (True, False):
        model, optimizer, step = train.prepared(train.Config(T, V, 2), "cpu", compile_all)
        mx.random.seed(1)
        model.initialise()
        rows = np.random.default_rng(2).integers(V, size=(4, 2, 2, T + 1)).astype(np.uint16)
        losses = []
        for batches, progress in zip(rows, (0.0, 0.3, 0.6, 0.9), strict=True):
            loss = step([mx.array(batch) for batch in batches], progress)
            mx.eval(loss, model.state, optimizer.state)
            losses.append(loss.item())
        assert len(set(losses)) == 4
        ends.append((losses, train.weights_of(model)))
    (compiled, one), (written, two) = ends
    assert compiled == pytest.approx(written, rel=1e-6)
    for name, w in two.items():
        np.testing.assert_allclose(np.array(one[name]), np.array(w), atol=1e-5, err_msg=name)


def test_gradients_of_a_frequent_token_add_up() -> None:
    """4,096 times 1 is 256 where the sum itself is bf16, and PyTorch's is not."""
    table = train.Embedding(4, 8, mx.bfloat16)
    tokens = mx.zeros((2, 2048), mx.uint16)
    out, gradients = nn.value_and_grad(table, lambda tokens: table(tokens).sum())(tokens)
    assert (out.dtype, gradients["weight"].dtype) == (mx.bfloat16, mx.bfloat16)
    assert gradients["weight"].tolist() == [[4096.0] * 8, *[[0.0] * 8] * 3]


class Trial:
    """What `train` asks of a trial of eight steps on a Mac."""

    device, seed, rows = "metal", 1, np.zeros((9, T + 1), np.uint16)
    settings = {"sequence_length": T, "vocab_size": V}  # noqa: RUF012

    def __init__(self) -> None:
        self.progress = 0.0
        self.told: dict[str, Any] = {}
        self.losses: list[float] = []

    @property
    def over(self) -> bool:
        return self.progress >= 1

    def ready(self, **told: Any) -> None:
        self.told = told

    def step(self, loss: float, tokens: int) -> None:
        self.losses.append(loss)
        self.progress += 0.125

    def done(self, save: object, depth: int, parameters: int) -> None:
        pass


def test_a_gpu_works_a_step_ahead_but_not_beyond_the_budget_nor_into_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(
        initialise=lambda: None, flops_per_token=lambda: 1, count_parameters=lambda: 1, state={}, config=None
    )
    number = itertools.count()
    parts = model, SimpleNamespace(state={}), lambda batches, progress: mx.array(float(next(number)))
    monkeypatch.setattr(train, "prepared", lambda config, device, compile_all: parts)
    monkeypatch.setattr(train, "DEVICE_BATCH_SIZE", 2)
    monkeypatch.setattr(train, "TOTAL_BATCH_SIZE", 2 * T)
    monkeypatch.setattr(mx, "device_info", lambda: {"device_name": "Apple M2"})
    trial = Trial()
    train.train(trial)
    assert trial.losses == [0, 0, 1, 2, 3, 4, 6, 7]  # the last two are their own steps': nothing is queued behind them
    assert trial.told["settle"] is mx.synchronize


def test_on_metal_memory_is_wired_waited_for_and_kept_for_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, int] = {}
    for name in ("set_wired_limit", "set_memory_limit", "set_cache_limit"):
        monkeypatch.setattr(mx, name, lambda size, name=name: said.update({name: size}))
    monkeypatch.setattr(mx, "device_info", lambda device: {"max_recommended_working_set_size": 1000})
    monkeypatch.setattr(mx, "get_peak_memory", lambda: 700)
    for device in ("cpu", "cuda"):
        memory.use(device)
        memory.keep(device)
    assert said == {}
    memory.use("metal")
    memory.keep("metal")
    assert said == {"set_wired_limit": 1000, "set_memory_limit": 1000, "set_cache_limit": 700}
