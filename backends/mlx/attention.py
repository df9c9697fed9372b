"""Causal attention within a window, exact, without scores of all queries against all keys.

MLX's own attention is fused for answering only: training holds [B, H, T, T] scores, windows or not. Here queries go in
chunks, each against the keys that its window reaches, and the backward pass computes a chunk's scores once more
instead of keeping them. One chunk follows the other, so that one chunk's scores are all that ever exists.

tests/backends/test_mlx_attention.py holds it against the dense statement, forward and backward, on a CPU. On Metal and
on MLX's CUDA build it is untested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import mlx.core as mx

from backends.mlx.paths import CHUNK


def attend(q: mx.array, k: mx.array, v: mx.array, window: int) -> mx.array:
    """q, k, v, result: [B, H, T, D]. A query sees itself and the W positions before it, W+1 keys in all. Scale 1/√D."""
    return dense(q, k, v, window) if q.shape[2] <= CHUNK else chunked(q, k, v, window)


def dense(q: mx.array, k: mx.array, v: mx.array, window: int) -> mx.array:
    """The last queries against all keys: q [B, H, C, D]; k, v [B, H, K, D], C ≤ K; [B, H, C, D]."""
    queries, keys = q.shape[2], k.shape[2]
    mask: str | mx.array = "causal" if window >= keys - 1 else window_mask(queries, keys, window)
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[3] ** -0.5, mask=mask)


def window_mask(queries: int, keys: int, window: int) -> mx.array:
    """bool [C, K], true where a query sees a key; the last query and the last key are of the same position."""
    distance = mx.arange(keys - queries, keys)[:, None] - mx.arange(keys)[None, :]
    return (distance >= 0) & (distance <= window)


def chunked(q: mx.array, k: mx.array, v: mx.array, window: int, chunk: int = CHUNK) -> mx.array:
    """The same as `dense` with as many queries as keys. All [B, H, T, D]."""

    @mx.custom_function
    def attention(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        out: list[mx.array] = []
        for at, seen in spans(q.shape[2], window, chunk):
            part = [q[:, :, at], k[:, :, seen], v[:, :, seen]]
            queries, keys, values = mx.depends(part, out[-1:]) if out else part
            out.append(dense(queries, keys, values, window))
        return mx.concatenate(out, axis=2)

    @attention.vjp
    def gradients(
        primals: tuple[mx.array, ...], cotangent: mx.array, output: mx.array
    ) -> tuple[mx.array, mx.array, mx.array]:
        q, k, v = primals
        dq: list[mx.array] = []
        dk, dv = mx.zeros_like(k), mx.zeros_like(v)
        for at, seen in spans(q.shape[2], window, chunk):
            part = [q[:, :, at], k[:, :, seen], v[:, :, seen], cotangent[:, :, at]]
            *part, wanted = mx.depends(part, [dq[-1], dk, dv]) if dq else part
            _, (for_q, for_k, for_v) = mx.vjp(lambda q, k, v: dense(q, k, v, window), part, [wanted])
            dq.append(for_q)
            dk, dv = dk.at[:, :, seen].add(for_k), dv.at[:, :, seen].add(for_v)
        return mx.concatenate(dq, axis=2), dk, dv

    return cast(mx.array, attention(q, k, v))


def spans(length: int, window: int, chunk: int) -> Iterator[tuple[slice, slice]]:
    """The queries of each chunk and the keys that one or other of them sees."""
    for start in range(0, length, chunk):
        end = min(start + chunk, length)
        yield slice(start, end), slice(max(0, start - window), end)
