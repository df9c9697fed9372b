"""What both backends agree on: the shapes, names, initial values and schedules of the reference GPT.

The artifacts (`backends/cuda/train.py`, `backends/mlx/train.py`) write the model out themselves, because an agent
edits them. This page is what an unedited artifact must equal; the tests compare the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# --- the model -------------------------------------------------------------------------------------------------------

EPS = 1.1920929e-07  # RMSNorm, in every precision: float32's machine epsilon
ROTARY_BASE = 10_000.0
SOFTCAP = 15.0
GATE_CHANNELS = 32  # the value gate reads this many channels of the normed block input
MLP_RATIO = 4


@dataclass(frozen=True, slots=True)
class Config:
    """The reference GPT's sizes: T, V and depth say everything, the rest are the original's constants."""

    sequence_length: int
    vocab_size: int
    depth: int
    aspect_ratio: int = 64
    head_dim: int = 128
    window_pattern: str = "SSSL"

    @property
    def dim(self) -> int:
        """depth × aspect_ratio, rounded up to whole heads."""
        return math.ceil(self.depth * self.aspect_ratio / self.head_dim) * self.head_dim

    @property
    def heads(self) -> int:
        return self.dim // self.head_dim

    @property
    def windows(self) -> tuple[int, ...]:
        """Per layer W: a query sees itself and the W tokens before it. The last layer always sees everything."""
        full = {"L": self.sequence_length, "S": self.sequence_length // 2}
        pattern = [self.window_pattern[i % len(self.window_pattern)] for i in range(self.depth - 1)]
        return tuple(full[c] for c in [*pattern, "L"])

    @property
    def value_layers(self) -> tuple[int, ...]:
        """Layers with value embeddings: every other one, the last among them."""
        return tuple(i for i in range(self.depth) if i % 2 == (self.depth - 1) % 2)


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint: safetensors name -> shape. Matrices are [out, in] and stored as they are used."""
    d, v = config.dim, config.vocab_size
    out: dict[str, tuple[int, ...]] = {"embedding.weight": (v, d), "unembedding.weight": (v, d)}
    out |= {"lambda_resid": (config.depth,), "lambda_x0": (config.depth,)}
    for i in range(config.depth):
        out |= {f"blocks.{i}.attention.{name}.weight": (d, d) for name in ("q", "k", "v", "out")}
        out[f"blocks.{i}.mlp.fc.weight"] = (MLP_RATIO * d, d)
        out[f"blocks.{i}.mlp.out.weight"] = (d, MLP_RATIO * d)
    for i in config.value_layers:
        out[f"blocks.{i}.attention.gate.weight"] = (config.heads, GATE_CHANNELS)
        out[f"value_embeddings.{i}.weight"] = (v, d)
    return out


def parameter_count(config: Config) -> int:
    """All parameters, embeddings included."""
    return sum(math.prod(shape) for shape in shapes(config).values())


def flops_per_token(config: Config) -> int:
    """Training FLOPs a token: 6 a parameter that is multiplied, 12·dim·W for a layer's attention."""
    tables = ("embedding.", "value_embeddings.", "lambda_")
    matrices = sum(math.prod(shape) for name, shape in shapes(config).items() if not name.startswith(tables))
    attention = sum(12 * config.dim * min(window, config.sequence_length) for window in config.windows)
    return 6 * matrices + attention


def initial(name: str, config: Config) -> tuple[Literal["normal", "uniform", "constant"], float]:
    """How a tensor starts: ("normal", std), ("uniform", bound) for U(−bound, bound), or ("constant", value)."""
    if name == "embedding.weight":
        return "normal", 1.0
    if name == "unembedding.weight":
        return "normal", 0.001
    if name.startswith("lambda_"):
        return "constant", {"lambda_resid": 1.0, "lambda_x0": 0.1}[name]
    if name.endswith(("out.weight", "gate.weight")):
        return "constant", 0.0
    return "uniform", math.sqrt(3 / config.dim)


# --- schedules -------------------------------------------------------------------------------------------------------


def learning_rate_scale(progress: float, warmup: float = 0.0, warmdown: float = 0.5, final: float = 0.0) -> float:
    """What every learning rate is multiplied by at `progress` in [0, 1] of the counted time."""
    if progress < warmup:
        return progress / warmup
    if progress <= 1 - warmdown:
        return 1.0
    return final + (1 - final) * (1 - progress) / warmdown


def muon_momentum(step: int) -> float:
    """0.85 at step 0, 0.95 from step 300 on."""
    return 0.85 + 0.1 * min(step / 300, 1.0)


def weight_decay(progress: float, initial_decay: float = 0.2) -> float:
    """Linear to 0 over the whole budget."""
    return initial_decay * (1 - progress)
