"""MLX's lean ReLU² against the plain statement of it: value, gradients, dtypes, and what it holds in memory."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from backends.mlx.activation import relu_squared_linear

mx.set_default_device(mx.cpu)
Layer = Callable[[mx.array, mx.array], mx.array]


def plain(h: mx.array, weight: mx.array) -> mx.array:
    return nn.relu(h).square() @ weight.astype(h.dtype).T


def drawn(*rows: int, hidden: int = 48, dim: int = 12) -> list[mx.array]:
    """h, weight, and what is wanted of the result."""
    rng = np.random.default_rng(hidden)
    shapes = (*rows, hidden), (dim, hidden), (*rows, dim)
    return [mx.array(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def both_ways(layer: Layer, h: mx.array, weight: mx.array, wanted: mx.array) -> list[mx.array]:
    """The result and the two gradients."""
    out, gradients = mx.vjp(layer, [h, weight], [wanted])
    return [*out, *gradients]


def apart(a: mx.array, b: mx.array) -> float:
    a, b = (np.array(x.astype(mx.float32)) for x in (a, b))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("rows", [(7,), (3, 5), (2, 3, 4)], ids=str)
def test_equals_the_plain_statement(rows: tuple[int, ...]) -> None:
    inputs = drawn(*rows)
    for found, expected in zip(both_ways(relu_squared_linear, *inputs), both_ways(plain, *inputs), strict=True):
        assert found.shape == expected.shape
        assert apart(found, expected) < 1e-6


def test_a_bf16_stream_stays_bf16_and_a_float32_weight_gets_a_float32_gradient() -> None:
    h, weight, wanted = drawn(4, 6)
    found = both_ways(relu_squared_linear, h.astype(mx.bfloat16), weight, wanted.astype(mx.bfloat16))
    assert [x.dtype for x in found] == [mx.bfloat16, mx.bfloat16, mx.float32]
    for one, two in zip(found, both_ways(plain, h, weight, wanted), strict=True):
        assert apart(one, two) < 2e-2


def test_less_is_held_at_once() -> None:
    """Through 24 layers, whose inputs have to stay: so much that what MLX holds while it works ahead is little."""
    h, weight, wanted = drawn(4, 64, hidden=64, dim=64)
    mx.eval(h, weight, wanted)

    def layers(layer: Layer) -> Layer:
        def through(h: mx.array, weight: mx.array) -> mx.array:
            for _ in range(24):
                h = layer(h, weight)
            return h

        return through

    peaks = {}
    for name, layer in (("plain", plain), ("lean", relu_squared_linear)):
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        mx.eval(both_ways(layers(layer), h, weight, wanted))
        peaks[name] = (mx.get_peak_memory() - before) / h.nbytes
    assert peaks["lean"] < 0.75 * peaks["plain"], peaks
