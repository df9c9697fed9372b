"""The mean cross-entropy of softcapped logits, without ever holding the logits of all positions.

At the reference size the float32 logits of one forward pass are 8.6 GB, and a plain loss keeps several such tensors.
Here the gradient is computed with the loss, a chunk of positions at a time, and only its two results are kept:

    logits = softcap · tanh(x Wᵀ / softcap)        loss = mean of (log Σ exp(logits) − logits[target])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# float32 logits of one chunk. A GPU wants large matrix products; a CPU wants the chunk to stay in its cache.
CHUNK_BYTES = 256 << 20
CPU_CHUNK_BYTES = 4 << 20


def softcapped_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
    """Mean nats of the targets. x: [N, dim]; weight: [V, dim]; targets: int64 [N]; returns a float32 scalar.

    The same as F.cross_entropy(softcap * tanh(F.linear(x, weight).float() / softcap), targets), gradients included,
    but for the order of sums. Matrix products run in autocast's dtype where that is on, else in x's. Gradients of
    gradients are not to be had.
    """
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    chunk = max(1, (CPU_CHUNK_BYTES if kind == "cpu" else CHUNK_BYTES) // (4 * weight.size(0)))
    return _Loss.apply(x, weight, targets, softcap, chunk, dtype)


class _Loss(torch.autograd.Function):
    """Computes both gradients in the forward pass; the backward pass scales them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, softcap: float, chunk: int, dtype: torch.dtype
    ) -> Tensor:
        count, teach = len(x), any(ctx.needs_input_grad[:2])
        total = torch.zeros((), device=x.device)
        if not teach:
            with torch.autocast(x.device.type, enabled=False):
                w = weight.to(dtype)
                for start in range(0, count, chunk):
                    piece = slice(start, start + chunk)
                    total += chunk_nats(x[piece].to(dtype), w, targets[piece], softcap)
            return total / count
        fused = x.device.type == "cuda" and not torch.compiler.is_compiling()
        step = _compiled_gradients() if fused else chunk_gradients
        x_gradient = torch.empty_like(x)
        # One chunk's share of it is small: sums of many shares need float32.
        weight_gradient = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        with torch.autocast(x.device.type, enabled=False):
            w = weight.to(dtype)
            for start in range(0, count, chunk):
                piece = slice(start, start + chunk)
                nats, dx, dw = step(x[piece].to(dtype), w, targets[piece], softcap, count)
                total += nats
                x_gradient[piece] = dx
                weight_gradient += dw
        ctx.save_for_backward(x_gradient, weight_gradient.to(weight.dtype))
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x_gradient, weight_gradient = ctx.saved_tensors
        dx = x_gradient * gradient.to(x_gradient.dtype) if ctx.needs_input_grad[0] else None
        dw = weight_gradient * gradient.to(weight_gradient.dtype) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None, None, None


def chunk_nats(x: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
    """Summed nats. x: [n, dim]; weight: [V, dim]; targets: [n]; float32 scalar."""
    logits = softcap * torch.tanh((x @ weight.T).float() / softcap)  # [n, V]
    return (logits.logsumexp(-1) - logits.gather(1, targets[:, None])[:, 0]).sum()


def chunk_gradients(
    x: Tensor, weight: Tensor, targets: Tensor, softcap: float, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Summed nats of a chunk, and the gradients of nats / count: scalar, [n, dim], [V, dim]."""
    t = (x @ weight.T).float().div_(softcap).tanh_()  # [n, V]; in place, for a CPU pays for every new page
    at_target = targets[:, None]
    top = t.amax(-1, keepdim=True)  # [n, 1]
    p = (t - top).mul_(softcap).exp_()
    sums = p.sum(-1, keepdim=True)  # [n, 1]
    nats = (sums.log() + softcap * (top - t.gather(1, at_target))).sum()
    p.mul_(1 / (sums * count))
    if torch.compiler.is_compiling():  # a comparison becomes part of the kernel around it, a scatter would split it
        p = p - (torch.arange(p.size(1), device=p.device) == at_target) / count
    else:
        p.scatter_add_(1, at_target, torch.full_like(sums, -1 / count))
    dz = p.mul_(t.square_().neg_().add_(1)).to(x.dtype)  # through the cap: its slope is 1 − tanh²
    return nats, dz @ weight, dz.T @ x


@functools.cache
def _compiled_gradients() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """On a GPU each chunk is three matrix products and two fused kernels. Untested: needs such a card."""
    return torch.compile(chunk_gradients, dynamic=False)
