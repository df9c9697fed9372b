"""Causal attention within a window: one function, the best that the device has (paths.py says which there are).

All of them answer for the same statement: a query sees itself and the W positions before it, scores are q·k/√D.
tests/backends/test_attention.py holds each against it, forward and backward, on the device where it can run. What has
run there so far: sdpa and flex on a CPU. fa4 and varlen are untested: they need an NVIDIA card.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.cuda.paths import NAMES, AttentionName, attention_paths

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def attention_name(device: torch.device | str) -> AttentionName:
    """Which of them this device gets."""
    usable = (path.name for path in attention_paths(_capability(device)) if path.usable)
    return next(name for name in usable if name != "varlen" or torch.backends.cuda.is_flash_attention_available())


def choose_attention(device: torch.device | str, name: str = "auto") -> Attention:
    """The device's attention, or the named one: (q, k, v, W) -> [B, T, H, D], all of them [B, T, H, D] with T equal.

    A query sees itself and the W positions before it, W+1 keys in all. Scale 1/√D. fa4 and varlen compute in bf16
    whatever comes in. Raises ValueError for a name that is none.
    """
    if name == "auto":
        name = attention_name(device)
    if name == "fa4":
        _register_fa4()
    if name == "flex":  # its mask and kernel are made once, outside of what is compiled around it
        return torch.compiler.disable(_flex, recursive=False)
    ways: dict[str, Attention] = {"fa4": _fa4, "varlen": _varlen, "sdpa": _sdpa}
    if name not in ways:
        raise ValueError(f"attention {name!r}: no such way; use auto, {', '.join(NAMES)}")
    return ways[name]


def _capability(device: torch.device | str) -> tuple[int, int] | None:
    device = torch.device(device)
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


# --- sdpa: everywhere ------------------------------------------------------------------------------------------------


def _sdpa(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    length = q.shape[1]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # [B, H, T, D]
    if window >= length - 1:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        mask = _window_mask if torch.compiler.is_compiling() else _kept_window_mask  # caches cannot be traced
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask(length, window, q.device))
    return out.transpose(1, 2)


def _window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """[T, T], true where a query (row) sees a key (column)."""
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    return (distance >= 0) & (distance <= window)


@functools.lru_cache(maxsize=8)
def _kept_window_mask(length: int, window: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it must serve training too, whoever asked first
        return _window_mask(length, window, device)


# --- flex ------------------------------------------------------------------------------------------------------------


def _flex(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """On CUDA the kernel is always compiled, for uncompiled it would hold [B, H, T, T]. Untested there."""
    length = q.shape[1]
    mask = _block_mask(length, min(window, length), q.device)
    attend = _compiled_flex() if q.device.type == "cuda" else _flex_attention()
    q, k, v = (t.transpose(1, 2) for t in (q, k, v.to(q.dtype)))  # [B, H, T, D]
    out: Tensor = attend(q, k, v, block_mask=mask)
    return out.transpose(1, 2)


@functools.lru_cache(maxsize=8)
def _block_mask(length: int, window: int, device: torch.device) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query - key <= window)

    with torch.inference_mode(False):
        return create_block_mask(sees, None, None, length, length, device=device)


def _flex_attention() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention  # a second: only who needs it pays

    return flex_attention


@functools.cache
def _compiled_flex() -> Callable[..., Any]:
    return torch.compile(_flex_attention(), dynamic=False)


# --- varlen ----------------------------------------------------------------------------------------------------------


def _varlen(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Untested. Rows are laid end to end as B sequences of T; the kernel takes half precision only."""
    from torch.nn.attention.varlen import varlen_attn

    batch, length = q.shape[:2]
    ends = torch.arange(0, (batch + 1) * length, length, dtype=torch.int32, device=q.device)  # [B+1]
    q, k, v = (t.to(torch.bfloat16).flatten(0, 1) for t in (q, k, v))  # [B·T, H, D]
    left = -1 if window >= length - 1 else window  # -1: no bound, which takes the plain causal kernel
    out = varlen_attn(q, k, v, ends, ends, length, length, window_size=(left, 0))
    assert isinstance(out, Tensor)
    return out.unflatten(0, (batch, length))


# --- fa4 -------------------------------------------------------------------------------------------------------------


def _fa4(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Untested."""
    left = -1 if window >= q.shape[1] - 1 else window
    q, k, v = (t.to(torch.bfloat16).contiguous() for t in (q, k, v))
    out: Tensor = torch.ops.autoresearch.fa4(q, k, v, left)[0]
    return out


@functools.cache
def _register_fa4() -> None:
    """Untested. The package's own function cannot be traced by torch.compile: here it becomes an operator that can.

    The backward pass needs the package's inner function, so the extra pins the version whose signature this is.
    """
    os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "1")  # read when the package is imported
    from flash_attn.cute import interface  # type: ignore[import-not-found]

    @torch.library.custom_op("autoresearch::fa4", mutates_args=())
    def forward(q: Tensor, k: Tensor, v: Tensor, left: int) -> tuple[Tensor, Tensor]:
        out, lse = interface.flash_attn_func(q, k, v, return_lse=True, **_bounds(left))
        return out, lse

    @forward.register_fake
    def _(q: Tensor, k: Tensor, v: Tensor, left: int) -> tuple[Tensor, Tensor]:
        lse = q.new_empty(q.shape[0], q.shape[2], q.shape[1], dtype=torch.float32)  # [B, H, T]
        return torch.empty_like(q), lse

    @torch.library.custom_op("autoresearch::fa4_backward", mutates_args=())
    def backward(
        q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, left: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        bounds = _bounds(left)
        causal, (before, after) = bounds["causal"], bounds["window_size"]
        dq, dk, dv = interface._flash_attn_bwd(
            q, k, v, out, gradient, lse, causal=causal, window_size_left=before, window_size_right=after
        )
        return dq, dk, dv

    @backward.register_fake
    def _(
        q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, left: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        q, k, v, ctx.left = inputs
        ctx.save_for_backward(q, k, v, *output)
        ctx.set_materialize_grads(False)

    def differentiate(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        dq, dk, dv = torch.ops.autoresearch.fa4_backward(*ctx.saved_tensors, gradient.contiguous(), ctx.left)
        return dq, dk, dv, None

    forward.register_autograd(differentiate, setup_context=keep)


def _bounds(left: int) -> dict[str, Any]:
    return {"causal": True, "window_size": (None, None) if left < 0 else (left, 0)}
