"""Which ways of computing attention a device has, best first. No torch in here: `check` asks, and must be quick.

fa4      FlashAttention-4 (package flash-attn-4, the extra `fa4`): Hopper and Blackwell data-centre cards
varlen   FlashAttention-2 as torch ships it (torch.nn.attention.varlen): Ampere and later
flex     FlexAttention, compiled to a Triton kernel: Ampere and later
sdpa     torch's own attention with a dense mask: everything else
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal, get_args

from core import installing

AttentionName = Literal["fa4", "varlen", "flex", "sdpa"]
NAMES: tuple[AttentionName, ...] = get_args(AttentionName)
FA4_VERSION = "4.0.0b36"  # a beta, and its backward pass is called by an inner name: no other version will do
_FA4_MAJORS = (9, 10)  # compute capabilities; the kernels for consumer Blackwell (12.x) are younger and are left out
_TESTED_ON = {"fa4": "nothing yet", "varlen": "nothing yet", "flex": "a CPU, forward only", "sdpa": "a CPU"}


@dataclass(frozen=True, slots=True)
class AttentionPath:
    """One way: whether this device can go it, why (not), and on what its test has run."""

    name: AttentionName
    usable: bool
    why: str
    tested_on: str


def attention_paths(capability: tuple[int, int] | None) -> list[AttentionPath]:
    """The ways, best first, for an NVIDIA card of this compute capability; None: a device that is no such card.

    The first usable one is what `auto` takes. A capability of (0, 0) is not known, and gets what every card can do.
    """
    fa4 = _why_not_fa4(capability)
    ampere = "" if capability and capability >= (8, 0) else _why_not_ampere(capability)
    why_not = {"fa4": fa4, "varlen": ampere, "flex": ampere, "sdpa": ""}
    return [AttentionPath(name, not why_not[name], why_not[name] or "usable", _TESTED_ON[name]) for name in NAMES]


def _why_not_fa4(capability: tuple[int, int] | None) -> str:
    if not capability or capability[0] not in _FA4_MAJORS:
        return "needs Hopper or Blackwell (compute capability 9.x or 10.x)"
    mend = f"type: {installing.command('fa4')}"
    try:
        installed = importlib.metadata.version("flash-attn-4")
    except importlib.metadata.PackageNotFoundError:
        return f"not installed; {mend}"
    return "" if installed == FA4_VERSION else f"version {installed} is installed, {FA4_VERSION} is needed; {mend}"


def _why_not_ampere(capability: tuple[int, int] | None) -> str:
    return "needs Ampere or later (compute capability 8.0)" if capability else "needs an NVIDIA card"
