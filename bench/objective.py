"""A made-up objective over the reference artifact: a number for any source that `search` can make of it, at once.

    objective = Objective(seed=3)
    objective.measure(objective.start)      # Measurement, with noise; None where it crashes
    objective.value(source)                 # without noise

Every seed draws another world: where each constant's optimum lies (a pseudo-Huber valley in its coordinate) and how
much it matters; how good or bad each structural form is; how they act on each other. Drawn without looking at any
agent: the rates' optimum moves with the root of the batch, structural forms move optima of numbers, some pairs of forms
help or hurt each other, a rate far too high gives NaN, a model beyond the memory crashes. Kinds of world:

    "moves"       structural forms do good and harm, harm more often (about two in three)
    "no good"     every structural form does harm: what an agent that tries them anyway loses
    "numbers"     an artifact that has constants and nothing else
    "good ideas"  as "moves"; and of what only a model can think of, marked `# idea 7`, four in ten do good
    "poor ideas"  as "moves"; and all of those ideas do harm
"""

from __future__ import annotations

import functools
import math
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import backends
from backends.reference.profiles import PROFILES
from backends.reference.scaffold import with_value
from core.agents.constants import Value, read
from core.agents.moves import sites
from core.agents.space import Hyperparameter, hyperparameters
from core.experiment import Measurement

World = Literal["moves", "no good", "numbers", "good ideas", "poor ideas"]
IDEAS = 40
NOISE = 0.003  # standard deviation, of a value around 2
SEQUENCE_LENGTH = PROFILES["cpu"].sequence_length
MEMORY_MB = 2000.0
# name: (weight, width in coordinates); the optimum lies about a width away. All others: the last line.
VALLEYS = {
    "TOTAL_BATCH_SIZE": (0.06, 1.5), "DEPTH": (0.05, 1.0), "ASPECT_RATIO": (0.03, 1.0), "HEAD_DIM": (0.01, 1.0),
    "MATRIX_LR": (0.04, 0.8), "EMBEDDING_LR": (0.03, 1.0), "UNEMBEDDING_LR": (0.02, 1.0), "SCALAR_LR": (0.006, 1.5),
    "ADAM_BETAS[0]": (0.005, 1.0), "ADAM_BETAS[1]": (0.006, 1.0), "WEIGHT_DECAY": (0.004, 1.5),
    "WARMDOWN_RATIO": (0.015, 0.25), "WARMUP_RATIO": (0.01, 0.1), "FINAL_LR_FRAC": (0.006, 0.1),
    "SOFTCAP": (0.004, 1.0), "ROTARY_BASE": (0.004, 3.0), "GATE_CHANNELS": (0.002, 1.5), "EPS": (0.0, 5.0),
}  # fmt: skip
SHIFTS = {
    "activation": "MATRIX_LR",
    "warm-down": "WARMDOWN_RATIO",
    "MLP width": "DEPTH",
    "weight decay": "WEIGHT_DECAY",
}


@functools.cache
def artifact(places: bool = True) -> str:
    """The reference's train.py at its CPU profile; without `places`, its constants alone."""
    profile = PROFILES["cpu"]
    source = (Path(backends.__file__).parent / "cuda" / "train.py").read_text(encoding="utf-8")
    for name in ("DEPTH", "TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE"):
        source = with_value(source, name, str(getattr(profile, name.lower())))
    return source if places else "".join(f"{name} = {c.text}\n" for name, c in read(source).items())


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of a source."""

    x: dict[str, float]
    forms: dict[str, str]
    memory_mb: float
    pattern: str
    ideas: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def seen(source: str) -> Seen:
    values: dict[str, Value] = {name: constant.value for name, constant in read(source).items()}
    found: tuple[Hyperparameter, ...] = hyperparameters(values)
    depth, ratio, rows = (int(str(values[n])) for n in ("DEPTH", "ASPECT_RATIO", "DEVICE_BATCH_SIZE"))
    width = depth * ratio
    memory = 250 + rows * depth * width * 0.1 + depth * width**2 * 0.004
    x = {h.key: h.x for h in found if h.scale != "choice"}
    return Seen(x, {key: site.form for key, site in sites(source).items()}, memory, str(values["WINDOW_PATTERN"]),
                tuple(sorted({int(number) for number in re.findall(r"# idea (\d+)", source)})))  # fmt: skip


class Objective:
    """One world. Lower is better; about 2 at the start."""

    def __init__(self, seed: int, world: World = "moves") -> None:
        self.start = artifact(world != "numbers")
        rng = random.Random(f"objective {seed}")
        self._noise = random.Random(f"noise {seed}")
        start = seen(self.start)
        self._start = start.x
        self._optimum, self._weight = {}, {}
        for key, (weight, width) in VALLEYS.items():
            self._optimum[key] = start.x[key] + width * rng.gauss(0, 1.2)
            self._weight[key] = weight * math.exp(rng.gauss(0, 0.7))
        self._pattern = {pattern: rng.gauss(0.003, 0.006) for pattern in ("SSL", "SL", "L")}
        self._draw_forms(rng, world)

    def _draw_forms(self, rng: random.Random, world: World) -> None:
        places = sites(artifact())
        options = [(key, form) for key in sorted(places) for form in sorted(places[key].options)]
        self._form = {option: rng.gauss(0.008, 0.018) for option in options}
        self._shift = {option: rng.gauss(0, 0.5) for option in options}
        self._pair = {frozenset(rng.sample(options, 2)): rng.gauss(0, 0.012) for _ in range(20)}
        if world == "no good":
            self._form = {option: abs(effect) for option, effect in self._form.items()}
            self._pair = {pair: abs(effect) for pair, effect in self._pair.items()}
        self._idea = [rng.gauss(0.005, 0.018) for _ in range(IDEAS)]
        if world == "poor ideas":
            self._idea = [abs(effect) for effect in self._idea]

    def value(self, source: str) -> float:
        """Without noise; inf where it would crash."""
        now = seen(source)
        if now.memory_mb > MEMORY_MB:
            return math.inf
        batch = now.x["TOTAL_BATCH_SIZE"] - self._start["TOTAL_BATCH_SIZE"]
        forms = [(key, form) for key, form in now.forms.items() if (key, form) in self._form]
        total = 1.9 + self._pattern.get(now.pattern, 0.0) + sum(self._form[f] for f in forms)
        total += sum(effect for pair, effect in self._pair.items() if pair <= set(forms))
        total += sum(self._idea[number] for number in now.ideas)
        for key, (_, width) in VALLEYS.items():
            moved = sum(self._shift[f] for f in forms if SHIFTS.get(f[0]) == key)
            optimum = self._optimum[key] + width * moved + (0.5 * batch if key.endswith("_LR") else 0.0)
            if key.endswith("_LR") and now.x[key] > optimum + 4 * width:
                return math.inf
            total += self._weight[key] * (math.hypot(1, (now.x[key] - optimum) / width) - 1)
        return total

    def measure(self, source: str) -> Measurement | str:
        """As an experiment would; the reason where it crashes."""
        value, memory = self.value(source), seen(source).memory_mb
        if math.isinf(value):
            return "oom" if memory > MEMORY_MB else "nan"
        return Measurement(value + self._noise.gauss(0, NOISE), 15.0, 20.0, memory)
