"""Chunked attention against one dense statement of it, forward and backward, and what it holds in memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest

from backends.mlx import attention

mx.set_default_device(mx.cpu)
# B, H, T, D and the chunk: T of one chunk, of several, and of no whole number of chunks
SHAPES = [((2, 2, 32, 16), 32), ((1, 3, 40, 8), 16), ((2, 1, 64, 16), 16)]
WINDOWS = [0, 1, 7, 15, 16, 17, 31, 39, 62, 63, 64, 2048]
Attend = Callable[[mx.array, mx.array, mx.array], mx.array]


def statement(q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int) -> np.ndarray:
    """In float64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    position = np.arange(q.shape[2])
    distance = position[:, None] - position[None, :]
    scores = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])
    scores = np.where((distance < 0) | (distance > window), -np.inf, scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


def inputs(shape: tuple[int, ...], count: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(sum(shape)).normal(size=(count, *shape)).astype(np.float32))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-9))


def both_ways(attend: Attend, qkv: list[np.ndarray], wanted: np.ndarray) -> list[np.ndarray]:
    """The result and the three gradients."""
    out, gradients = mx.vjp(attend, [mx.array(x) for x in qkv], [mx.array(wanted)])
    return [np.array(x) for x in (*out, *gradients)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("shape", "chunk"), SHAPES, ids=str)
def test_equals_the_dense_statement(shape: tuple[int, ...], chunk: int, window: int) -> None:
    *qkv, wanted = inputs(shape, 4)
    dense = both_ways(lambda q, k, v: attention.dense(q, k, v, window), qkv, wanted)
    chunked = both_ways(lambda q, k, v: attention.chunked(q, k, v, window, chunk), qkv, wanted)
    assert apart(dense[0], statement(*qkv, window)) < 2e-6
    for name, one, two in zip(("out", "q", "k", "v"), chunked, dense, strict=True):
        if np.linalg.norm(two) > 1e-5:  # a query that sees one key has no gradient
            assert apart(one, two) < 2e-6, name


def test_the_test_notices_a_window_one_too_wide() -> None:
    qkv = inputs(SHAPES[1][0])
    found = np.array(attention.chunked(*map(mx.array, qkv), 7, 16))
    assert apart(found, statement(*qkv, 8)) > 3e-2


def test_rows_that_are_long_enough_go_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "CHUNK", 16)
    monkeypatch.setattr(attention.chunked, "__defaults__", (16,))
    taken = []
    monkeypatch.setattr(attention, "dense", lambda q, k, v, window: taken.append((q.shape[2], k.shape[2])) or q)
    mx.eval(attention.attend(*(mx.zeros((1, 1, 16, 4)),) * 3, 16))
    assert taken == [(16, 16)]
    taken.clear()
    mx.eval(attention.attend(*(mx.zeros((1, 1, 40, 4)),) * 3, 7))
    assert taken == [(16, 16), (16, 23), (8, 15)]  # no chunk meets a key that none of its queries sees


def test_bf16_stays_bf16() -> None:
    qkv = [mx.array(x).astype(mx.bfloat16) for x in inputs(SHAPES[1][0])]
    out, gradients = mx.vjp(lambda q, k, v: attention.chunked(q, k, v, 7, 16), qkv, [qkv[0]])
    assert {x.dtype for x in (*out, *gradients)} == {mx.bfloat16}


def test_scores_of_all_pairs_never_exist() -> None:
    """[B, H, T, T] would be 8 MB here, and its softmax and gradients as much again."""
    *qkv, wanted = (mx.array(x) for x in inputs((1, 2, 1024, 16), 4))
    mx.eval(qkv, wanted)
    peaks = {}
    for name, attend in (("dense", attention.dense), ("chunked", attention.chunked)):
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        mx.eval(mx.vjp(lambda q, k, v, attend=attend: attend(q, k, v, 128), qkv, [wanted]))
        peaks[name] = mx.get_peak_memory() - before
    assert peaks["chunked"] < peaks["dense"] / 4
