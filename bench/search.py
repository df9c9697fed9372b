"""The agent `search` on a made-up objective, against random changes of one constant at a time.

    python bench/search.py [--runs 20] [--experiments 20]

The objective is a smooth function of the reference's constants (a pseudo-Huber valley in each coordinate, the rates'
optimum moving with the root of the batch) plus noise; each run draws where the optima lie and how much each matters.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from dataclasses import replace

from core.agents import Agent, Refused, Request
from core.agents.constants import Value, edit, read
from core.agents.fit import fitted
from core.agents.search import Search
from core.agents.space import hyperparameters
from core.events import RunStarted
from core.experiment import Experiment, Measurement, Proposal, Verdict
from core.history import History

SOURCE = """\
ASPECT_RATIO = 64
HEAD_DIM = 128
WINDOW_PATTERN = "SSSL"
TOTAL_BATCH_SIZE = 2**13
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0
DEPTH = 2
DEVICE_BATCH_SIZE = 16
SEED = 42
"""
SEQUENCE_LENGTH = 256
NOISE = 0.002  # of a value around 2
# name: (weight, width in coordinates); the optimum lies about a width or two away
VALLEYS = {
    "TOTAL_BATCH_SIZE": (0.06, 1.5), "DEPTH": (0.05, 1.0), "ASPECT_RATIO": (0.03, 1.0), "HEAD_DIM": (0.01, 1.0),
    "MATRIX_LR": (0.04, 0.8), "EMBEDDING_LR": (0.03, 1.0), "UNEMBEDDING_LR": (0.02, 1.0), "SCALAR_LR": (0.006, 1.5),
    "ADAM_BETAS[0]": (0.005, 1.0), "ADAM_BETAS[1]": (0.006, 1.0), "WEIGHT_DECAY": (0.004, 1.5),
    "WARMDOWN_RATIO": (0.015, 0.25), "WARMUP_RATIO": (0.01, 0.1), "FINAL_LR_FRAC": (0.006, 0.1),
}  # fmt: skip


class Objective:
    """value(source): lower is better, about 2 at the start. The optima are this seed's."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(f"objective {seed}")
        self._start = {h.key: h.x for h in hyperparameters(_values(SOURCE))}
        self._optimum, self._weight = {}, {}
        for key, (weight, width) in VALLEYS.items():
            self._optimum[key] = self._start[key] + width * rng.gauss(0, 1.2)
            self._weight[key] = weight * math.exp(rng.gauss(0, 0.7))

    def value(self, source: str) -> float:
        x = {h.key: h.x for h in hyperparameters(_values(source))}
        batch = x["TOTAL_BATCH_SIZE"] - self._start["TOTAL_BATCH_SIZE"]
        total = 1.9
        for key, (_, width) in VALLEYS.items():
            optimum = self._optimum[key] + (0.5 * batch if key.endswith("_LR") else 0.0)
            total += self._weight[key] * (math.hypot(1, (x[key] - optimum) / width) - 1)
        return total + self._rng.gauss(0, NOISE / 2)


def _values(source: str) -> dict[str, Value]:
    return {name: constant.value for name, constant in read(source).items()}


class OneAtATime:
    """Random search: one hyperparameter, uniformly chosen, moved by a normal step of the same usual size."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"random {seed}")

    def propose(self, request: Request) -> Proposal:
        source = request.sources["train.py"]
        values = _values(source)
        for _ in range(200):
            h = self._rng.choice(hyperparameters(values))
            value = self._rng.choice(h.options) if h.options else h.at(h.x + self._rng.gauss(0, 1.5 * h.step))
            new: Value = value
            if h.index is not None:
                new = tuple(value if i == h.index else v for i, v in enumerate(values[h.constant]))
            fit = fitted({**values, h.constant: new}, values, SEQUENCE_LENGTH)
            edits = {"train.py": edit(source, fit)} if fit else {}
            if edits and request.is_new(edits):
                return Proposal(edits, h.key, "")
        raise Refused("nothing new")


def research(agent: Agent, objective: Objective, experiments: int) -> list[Experiment]:
    """A run without a machine: propose, score, keep what is lower."""
    source, seen = SOURCE, {SOURCE}
    value = objective.value(source)
    done = [_experiment(0, Proposal({}, "baseline", ""), value, None, None)]
    run = RunStarted(
        "bench", "", "", {}, "cuda", "cpu", "", 0, "", "", {"sequence_length": SEQUENCE_LENGTH}, 15.0, None, None, ""
    )
    history = History(run=run, experiments=tuple(done), incumbent=0)
    for number in range(1, experiments + 1):
        request = Request(number, {"train.py": source}, "", history, "min", lambda e: e["train.py"] not in seen)
        proposal = agent.propose(request)
        text = proposal.edits["train.py"]
        seen.add(text)
        new = objective.value(text)
        done.append(_experiment(number, proposal, new, history.incumbent, value))
        incumbent = history.incumbent
        if new < value:
            source, value, incumbent = text, new, number
        history = replace(history, experiments=tuple(done), incumbent=incumbent)
    return done


def _experiment(number: int, proposal: Proposal, value: float, incumbent: int | None, best: float | None) -> Experiment:
    kept = best is None or value < best
    return Experiment(
        number=number, commit=f"{number:040x}", parent="", description=proposal.description,
        hypothesis=proposal.hypothesis, diff="", lines=16, details=proposal.details,
        measurement=Measurement(value, 15.0, 20.0, 500.0), verdict=Verdict("keep" if kept else "discard", ""),
        incumbent=incumbent, delta=None if best is None else value - best, trials=1, trial=1,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="search against random changes, on a made-up objective")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=20)
    arguments = parser.parse_args()
    for name, make in {"search": Search, "random, one at a time": OneAtATime}.items():
        gains, keeps = [], []
        started = time.perf_counter()
        for seed in range(arguments.runs):
            done = research(make(seed), Objective(seed), arguments.experiments)
            values = [e.measurement.value for e in done if e.measurement]
            gains.append(100 * (1 - min(values) / values[0]))
            keeps.append(sum(e.verdict.outcome == "keep" for e in done) - 1)
        each = 1000 * (time.perf_counter() - started) / (arguments.runs * arguments.experiments)
        print(
            f"{name:22s} best {statistics.mean(gains):5.2f} % below the start ({min(gains):.2f} to {max(gains):.2f}), "
            f"{statistics.mean(keeps):.1f} kept of {arguments.experiments}, {each:.0f} ms a proposal"
        )


if __name__ == "__main__":
    main()
