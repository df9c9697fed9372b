"""MLX's chunked loss against the plain statement of it: value, gradients, and what it holds in memory."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from backends.mlx import loss

mx.set_default_device(mx.cpu)
N, DIM, V, CAP = 70, 24, 50, 15.0
Loss = Callable[[mx.array, mx.array, mx.array, float], mx.array]


def plain(x: mx.array, weight: mx.array, targets: mx.array, softcap: float) -> mx.array:
    logits = softcap * mx.tanh((x @ weight.astype(x.dtype).T).astype(mx.float32) / softcap)  # [N, V]
    return nn.losses.cross_entropy(logits, targets, reduction="mean")


def drawn(scale: float = 1.0, count: int = N) -> tuple[mx.array, mx.array, mx.array]:
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(count, DIM)), scale * rng.normal(size=(V, DIM))
    return mx.array(x.astype(np.float32)), mx.array(weight.astype(np.float32)), mx.array(rng.integers(V, size=count))


def results(function: Loss, x: mx.array, weight: mx.array, targets: mx.array, softcap: float = CAP) -> list[np.ndarray]:
    """The loss, and the gradients of three times it."""
    value, gradients = mx.value_and_grad(lambda x, w: 3.0 * function(x, w, targets, softcap), argnums=(0, 1))(x, weight)
    assert [g.dtype for g in gradients] == [x.dtype, weight.dtype]
    return [np.array(a.astype(mx.float32)) for a in (value, *gradients)]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.fixture(params=[1, 7, 64, N, 1000])
def chunk_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(loss, "CPU_CHUNK_BYTES", 4 * V * request.param)
    return int(request.param)


@pytest.mark.parametrize("scale", [0.2, 20.0], ids=["quiet", "at the cap"])
def test_equals_the_plain_statement(chunk_rows: int, scale: float) -> None:
    inputs = drawn(scale)
    for found, expected in zip(results(loss.softcapped_cross_entropy, *inputs), results(plain, *inputs), strict=True):
        assert apart(found, expected) < 1e-6


@pytest.mark.parametrize("softcap", [1.0, 300.0])
def test_other_caps(softcap: float) -> None:
    inputs = drawn(20.0)
    ours, usual = (results(function, *inputs, softcap) for function in (loss.softcapped_cross_entropy, plain))
    for found, expected in zip(ours, usual, strict=True):
        assert np.isfinite(found).all()
        assert apart(found, expected) < 1e-5


def test_the_test_notices_a_missing_cap() -> None:
    inputs = drawn(20.0)
    assert apart(results(loss.softcapped_cross_entropy, *inputs)[1], results(plain, *inputs, 300.0)[1]) > 1e-2


def test_a_bf16_stream_has_bf16_gradients_and_a_float32_weight_float32_ones(chunk_rows: int) -> None:
    x, weight, targets = drawn()
    found = results(loss.softcapped_cross_entropy, x.astype(mx.bfloat16), weight, targets)
    for one, two in zip(found, results(plain, x, weight, targets), strict=True):
        assert apart(one, two) < 2e-2


def test_the_logits_of_all_positions_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CPU_CHUNK_BYTES", 4 * V * 256)
    inputs = drawn(count=16_384)  # logits of 3.3 MB
    mx.eval(inputs)
    peaks = {}
    for name, function in (("chunked", loss.softcapped_cross_entropy), ("plain", plain)):
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        results(function, *inputs)
        peaks[name] = mx.get_peak_memory() - before
    assert peaks["chunked"] < peaks["plain"] / 3
