"""ReLU² and the linear layer behind it, keeping for the backward pass what came in and nothing else.

ReLU and its square are four times the stream each. Here they are computed again, one use after the other; to do so is
cheaper than to keep them, and MLX, which works ahead, would else hold several of their size at once.
"""

from __future__ import annotations

from typing import cast

import mlx.core as mx


def relu_squared_linear(h: mx.array, weight: mx.array) -> mx.array:
    """relu(h)² Wᵀ. h: [.., hidden]; weight: [dim, hidden]; returns [.., dim] in the dtype of h."""
    return cast(mx.array, _product(h, weight))


@mx.custom_function
def _product(h: mx.array, weight: mx.array) -> mx.array:
    return mx.maximum(h, 0).square() @ weight.astype(h.dtype).T


@_product.vjp
def _gradients(primals: tuple[mx.array, ...], cotangent: mx.array, output: mx.array) -> tuple[mx.array, mx.array]:
    h, weight = primals
    a = mx.maximum(h, 0)
    for_weight = (cotangent.flatten(0, -2).T @ a.square().flatten(0, -2)).astype(weight.dtype)
    a, cotangent = mx.depends([a, cotangent], [for_weight])
    return a * ((2 * cotangent) @ weight.astype(h.dtype)), for_weight
