"""The search space of an artifact: what is known of its constants by their names.

Every tunable number has a coordinate in which moves are natural: the logarithm of a rate or a size, -log2(1 - beta)
of a moving average, the count itself of layers. What is said here by name is general knowledge about training small
networks; a constant of any other name gets a range around its value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from core.agents.constants import Value
from core.facts import fact

# log: rates and other positive numbers. size: powers of two. count: small whole numbers. unit: within [0, 1].
# beta: just below 1. choice: one of a few.
Scale = Literal["log", "size", "count", "unit", "beta", "choice"]
Scalar = bool | int | float | str


@fact
class Family:
    """What is known of hyperparameters with such names.

    importance: how much a change usually matters, 0 to 1. first: the direction to try first. step: a first move;
    reach: the furthest one; both in coordinates. up, down: why one would go there.
    """

    names: str
    scale: Scale
    importance: float
    first: Literal[1, -1]
    step: float
    reach: float
    up: str
    down: str


TOTAL_BATCH = r"((TOTAL|GLOBAL)_)?BATCH_(SIZE|TOKENS)|TOKENS_PER_(STEP|BATCH)"
DEVICE_BATCH = r"(DEVICE|MICRO)_BATCH(_SIZE)?"
LENGTH = r"(MAX_)?SEQ(UENCE)?_LEN(GTH)?|CONTEXT_LEN(GTH)?"
_SEED = r"(^|_)(SEEDS?|RANDOM_STATE|RNG)(_|$)"
_LOCKED = (
    _SEED,
    r"(^|_)(DEVICES?|CUDA|GPUS?|RANK|WORLD|WORKERS|THREADS|PATH|DIR|FOLDER|FILE|URL|HOST|PORT|DTYPE|VERSION)(_|$)",
    r"(^|_)(VOCAB|EVAL|VAL|LOG|PRINT|SAVE|SECONDS|BUDGET|TIMEOUT)(_|$)",
    f"^({LENGTH})$",
)

_PATTERNS = ("SSSL", "SSL", "SL", "L")  # attention windows layer by layer: short, or the full context
_STEADIER, _FASTER = "larger batches give steadier gradients", "smaller batches give more steps in the budget"
_LONGER, _SHORTER = "few steps fit in the budget, so longer ones may go further", "smaller steps may settle lower"
_LARGER, _SMALLER = "a larger model learns more from each token", "a smaller model takes more steps in the budget"

# The first that matches counts.
_FAMILIES = (
    Family(f"^({TOTAL_BATCH})$", "size", 1.0, -1, 1, 2, _STEADIER, _FASTER),
    Family(f"^({DEVICE_BATCH})$", "size", 0.2, -1, 1, 1, "fuller passes may be faster", "smaller ones may be faster"),
    Family(r"(FINAL|MIN)_.*(FRAC|RATIO)", "unit", 0.4, 1, 0.05, 0.2,
           "the last steps need not be empty ones", "a lower last rate settles better"),
    Family(r"^((MATRIX|MUON|BASE|MAX)_)?(LR|LEARNING_RATE)$", "log", 0.85, 1, 1.0, 2, _LONGER, _SHORTER),
    Family(r"EMBED.*_(LR|LEARNING_RATE)$", "log", 0.75, 1, 1.0, 2, _LONGER, _SHORTER),
    Family(r"(^|_)(LR|LEARNING_RATE)$", "log", 0.5, 1, 1.0, 2, _LONGER, _SHORTER),
    Family(r"WARMDOWN|COOLDOWN|DECAY_(RATIO|FRAC)", "unit", 0.65, 1, 0.2, 0.4,
           "a longer decay of the rate averages more noise away", "more of the budget at the full rate"),
    Family(r"WARMUP_(RATIO|FRAC)", "unit", 0.3, 1, 0.05, 0.15,
           "a gentle start may bear higher rates", "less of the budget at low rates"),
    Family(r"(^|_)(DEPTH|N_?LAYERS?|NUM_LAYERS|LAYERS)$", "count", 0.55, -1, 1, 1, _LARGER, _SMALLER),
    Family(r"ASPECT_RATIO|WIDTH|EMBD|D_MODEL|(EMBED|EMBEDDING|HIDDEN)_(DIM|SIZE)", "size", 0.45, -1, 1, 1,
           _LARGER, _SMALLER),
    Family(r"HEAD_(DIM|SIZE)", "size", 0.4, -1, 1, 1, "fewer, wider heads", "more, narrower heads"),
    Family(r"(^|_)HEADS?$", "size", 0.4, 1, 1, 1, "more, narrower heads", "fewer, wider heads"),
    Family(r"WINDOW|PATTERN", "choice", 0.4, 1, 1, 1, "another mix of short and long attention windows", ""),
    Family(r"WEIGHT_DECAY|(^|_)WD$", "log", 0.4, -1, 1, 2,
           "more decay keeps the weights small", "a short run has little to forget"),
    Family(r"BETAS?\d?$|MOMENTUM|(^|_)EMA", "beta", 0.35, 1, 0.5, 1.5,
           "a longer memory smooths the updates", "a shorter memory follows the gradient sooner"),
    Family(r"DROPOUT|(^|_)(PROB|P)$", "unit", 0.35, -1, 0.1, 0.3,
           "more regularisation", "in one pass over the data little needs regularising"),
    Family(r"RATIO|FRAC", "unit", 0.3, 1, 0.1, 0.3, "", ""),
    Family(r"ROPE|ROTARY|THETA", "log", 0.35, 1, 2, 5,
           "slower rotations reach further back", "faster rotations tell near from far"),
    Family(r"(^|_)(EPS|EPSILON|TOL)(_|$)", "log", 0.08, 1, 3, 7, "", ""),
)  # fmt: skip
_UNKNOWN = Family("", "log", 0.3, 1, 0.6, 2, "", "")


@fact
class Hyperparameter:
    """One tunable number, switch or choice, at the incumbent's value.

    key: the constant's name, or `NAME[i]` for an element of a tuple. low, high: what its coordinate may be at all.
    step: a first move; reach: the furthest from here; both in coordinates. options: of a choice.
    """

    key: str
    constant: str
    index: int | None
    value: Scalar
    family: Family
    scale: Scale
    low: float
    high: float
    step: float
    reach: float
    options: tuple[Scalar, ...] = ()

    def coordinate(self, value: Scalar) -> float | None:
        """Where a value lies on this scale; None if it does not."""
        if self.scale == "choice":
            return float(self.options.index(value)) if value in self.options else None
        if isinstance(value, str | bool):
            return None
        if self.scale in ("log", "size"):
            size = -value if isinstance(self.value, int | float) and self.value < 0 else value
            return math.log2(size) if size > 0 else None
        if self.scale == "beta":
            return -math.log2(1 - value) if value < 1 else None
        return float(value)

    def at(self, x: float) -> Scalar:
        """The value at a coordinate, rounded as a person would write it; within this hyperparameter's bounds."""
        x = min(max(x, self.low), self.high)
        match self.scale:
            case "choice":
                return self.options[round(x)]
            case "count":
                return round(x)
            case "size":
                return 1 << round(x)
            case "unit":
                return _rounded(x)
            case "beta":
                return round(1 - _rounded(2**-x), 9)
        size = 2**x
        if isinstance(self.value, int):
            whole = round(_rounded(size)) if size >= 100 else max(1, round(size))
            return -whole if self.value < 0 else whole
        return -_rounded(size) if isinstance(self.value, float) and self.value < 0 else _rounded(size)

    def word(self, way: int) -> str:
        """What the value does along this way: of one below 0 the size is what has a scale."""
        mirrored = self.scale in ("log", "size") and isinstance(self.value, int | float) and self.value < 0
        return "up" if (way > 0) != mirrored else "down"

    @property
    def whole(self) -> bool:
        """Whether its coordinates are whole numbers."""
        return self.scale in ("size", "count")

    @property
    def x(self) -> float:
        """The coordinate of the incumbent's value."""
        found = self.coordinate(self.value)
        assert found is not None
        return found


def _rounded(number: float) -> float:
    return float(f"{number:.2g}")


def hyperparameters(constants: Mapping[str, Value]) -> tuple[Hyperparameter, ...]:
    """What may be tuned among these constants. Seeds, devices, paths, sizes of the data and the like never are."""
    found = []
    for name, value in constants.items():
        items: list[tuple[str, int | None, Scalar]] = [(name, None, value)] if not isinstance(value, tuple) else []
        if isinstance(value, tuple):
            items = [(f"{name}[{i}]", i, element) for i, element in enumerate(value)]
        for key, index, scalar in items:
            family = _family_of(name.rpartition(":")[2])
            made = _hyperparameter(key, name, index, scalar, family) if family else None
            if made is not None:
                found.append(made)
    return tuple(found)


def _family_of(name: str) -> Family | None:
    if re.search(_SEED, name):
        return None
    for family in _FAMILIES[:2]:  # DEVICE_BATCH_SIZE names no device
        if re.search(family.names, name):
            return family
    if any(re.search(pattern, name) for pattern in _LOCKED):
        return None
    return next((family for family in _FAMILIES if re.search(family.names, name)), _UNKNOWN)


def _hyperparameter(key: str, name: str, index: int | None, value: Scalar, family: Family) -> Hyperparameter | None:
    options: tuple[Scalar, ...] = ()
    shape: tuple[Scale, float, float, float, float] | None
    if isinstance(value, bool):
        options = (False, True)
        shape = "choice", 0, 1, 1, 1
    elif isinstance(value, str):
        options = tuple(dict.fromkeys((*_PATTERNS, value)))
        shape = ("choice", 0, len(options) - 1, 1, 1) if family.scale == "choice" and set(value) <= set("SL") else None
    elif family.scale == "unit" and 0 <= value <= 1:
        low, high = 0.05 if value >= 0.05 else 0.0, 0.95 if "DROPOUT" in name else 1.0
        shape = "unit", low, high, family.step, family.reach
    elif family.scale == "beta" and 0 < value < 1:
        shape = "beta", 0.0, 13.3, family.step, family.reach
    elif isinstance(value, int):
        shape = _whole(value, family)
    elif value == 0:
        shape = "unit", 0.0, 1.0, 0.05, 0.2
    else:
        log = family if family.scale == "log" else _UNKNOWN
        shape = "log", -200.0, 200.0, log.step, log.reach
    return Hyperparameter(key, name, index, value, family, *shape, options) if shape else None


def _whole(value: int, family: Family) -> tuple[Scale, float, float, float, float] | None:
    """Scale, bounds, step and reach of an int; None for one that looks like a mark rather than an amount."""
    if value < 0 or value >= 2**63:
        return None
    power = value & (value - 1) == 0
    if value == 0:
        return "count", 0, 2**40, 1, 2
    if family.scale == "count" or (value < 8 and family.scale != "size"):
        return "count", 1, 2**40, 1, max(1, round(value / 2))
    if power:
        return "size", 0, 62, 1, family.reach if family.scale == "size" else 1
    return "log", 0, 62, 0.6, 1
