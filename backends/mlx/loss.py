"""The mean cross-entropy of softcapped logits, without ever holding the logits of all positions.

The gradient is computed with the loss, a chunk of positions at a time, and only its two results are kept:

    logits = softcap · tanh(x Wᵀ / softcap)        loss = mean of (log Σ exp(logits) − logits[target])
"""

from __future__ import annotations

from typing import cast

import mlx.core as mx

# float32 logits of one chunk. A GPU wants large matrix products; a CPU wants the chunk to stay in its cache.
CHUNK_BYTES = 256 << 20
CPU_CHUNK_BYTES = 4 << 20


def softcapped_cross_entropy(x: mx.array, weight: mx.array, targets: mx.array, softcap: float) -> mx.array:
    """Mean nats of the targets. x: [N, dim]; weight: [V, dim]; targets: integers [N]; returns a float32 scalar.

    The same as nn.losses.cross_entropy of softcap * tanh((x @ weight.T) / softcap) in float32, gradients included, but
    for the order of sums. Matrix products run in x's dtype. Gradients of gradients are not to be had.
    """
    on_cpu = mx.default_device() == mx.cpu
    chunk = max(1, (CPU_CHUNK_BYTES if on_cpu else CHUNK_BYTES) // (4 * weight.shape[0]))

    @mx.custom_function
    def loss(x: mx.array, weight: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        return with_gradients(x, weight, targets, softcap, chunk)

    @loss.vjp
    def gradients(
        primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, mx.array]:
        _, for_x, for_weight = outputs
        return for_x * cotangents[0].astype(for_x.dtype), for_weight * cotangents[0].astype(for_weight.dtype)

    nats, _, _ = cast("tuple[mx.array, ...]", loss(x, weight))
    return nats


def with_gradients(
    x: mx.array, weight: mx.array, targets: mx.array, softcap: float, chunk: int
) -> tuple[mx.array, mx.array, mx.array]:
    """The mean nats, and their gradients in the dtypes of x [N, dim] and of weight [V, dim]."""
    count = x.shape[0]
    w = weight.astype(x.dtype)
    total = mx.zeros((), mx.float32)
    for_x: list[mx.array] = []
    for_weight = mx.zeros(weight.shape, mx.float32)  # one chunk's share of it is small: sums of many need float32
    for start in range(0, count, chunk):
        piece, wanted = x[start : start + chunk], targets[start : start + chunk]
        if for_x:  # one chunk after the other: what is lazy would else hold the logits of all of them
            piece = mx.depends([piece], [total, for_x[-1], for_weight])[0]
        nats, dx, dw = chunk_gradients(piece, w, wanted, softcap, count)
        total, for_weight = total + nats, for_weight + dw
        for_x.append(dx)
    return total / count, mx.concatenate(for_x), for_weight.astype(weight.dtype)


def chunk_gradients(
    x: mx.array, weight: mx.array, targets: mx.array, softcap: float, count: int
) -> tuple[mx.array, mx.array, mx.array]:
    """Summed nats of a chunk, and the gradients of nats / count: scalar, [n, dim], [V, dim]."""
    t = mx.tanh((x @ weight.T).astype(mx.float32) / softcap)  # [n, V]
    at_target = mx.arange(weight.shape[0]) == targets[:, None]
    log_sums = mx.logsumexp(softcap * t, axis=-1, keepdims=True)  # [n, 1]
    nats = (log_sums[:, 0] - softcap * mx.take_along_axis(t, targets[:, None], axis=-1)[:, 0]).sum()
    p = mx.exp(softcap * t - log_sums) - at_target
    dz = (p * (1 - t * t) / count).astype(x.dtype)  # through the cap: its slope is 1 − tanh²
    return nats, dz @ weight, dz.T @ x
