"""Causal attention within a window, on whatever the device has.

varlen   FlashAttention-2 through torch.nn.attention.varlen: CUDA of Ampere or later. Untested: needs such a card.
sdpa     torch's own attention with a dense mask: everything else
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def attention_name(device: torch.device | str) -> Literal["varlen", "sdpa"]:
    """Which of the two this device gets."""
    device = torch.device(device)
    return "varlen" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0) else "sdpa"


def choose_attention(device: torch.device | str) -> Attention:
    """The device's attention: (q, k, v, W) -> [B, T, H, D], all of them [B, T, H, D] with T equal.

    A query sees itself and the W positions before it, W+1 keys in all. Scale 1/√D.
    """
    return _varlen if attention_name(device) == "varlen" else _sdpa


def _sdpa(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    length = q.shape[1]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # [B, H, T, D]
    if window >= length - 1:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=_window_mask(length, window, q.device))
    return out.transpose(1, 2)


@functools.lru_cache(maxsize=8)
def _window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """[T, T], true where a query (row) sees a key (column)."""
    with torch.inference_mode(False):  # the cached mask must serve training too, whoever asked first
        position = torch.arange(length, device=device)
        distance = position[:, None] - position[None, :]
        return (distance >= 0) & (distance <= window)


def _varlen(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Untested. Rows are laid end to end as B sequences of T; the kernel takes half precision only."""
    from torch.nn.attention.varlen import varlen_attn

    batch, length = q.shape[:2]
    ends = torch.arange(0, (batch + 1) * length, length, dtype=torch.int32, device=q.device)  # [B+1]
    q, k, v = (t.to(torch.bfloat16).flatten(0, 1) for t in (q, k, v))  # [B·T, H, D]
    out = varlen_attn(q, k, v, ends, ends, length, length, window_size=(window, 0))
    assert isinstance(out, Tensor)
    return out.unflatten(0, (batch, length))
