"""The agent `search` as it is, its first version, and random changes, on a made-up objective: who gets how far?

    python bench/search.py [--seeds 20] [--experiments 40]

What is compared is the true value, without noise, of what each has kept in the end, in per cent below the start. Every
agent gets the same worlds, the same number of experiments, and the judge's own rule, noise included.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import first_search
from objective import SEQUENCE_LENGTH, Objective, World

from core.agents import Agent, Refused, Request
from core.agents.constants import Value, edit, read
from core.agents.fit import fitted
from core.agents.search import Search
from core.agents.space import hyperparameters
from core.desk import Paper
from core.events import ProposalRefused, RunStarted
from core.experiment import Experiment, Measurement, Proposal, Verdict
from core.history import History
from core.judge import Score, greedy

WORLDS: tuple[World, ...] = ("moves", "no good", "numbers")
RUN = RunStarted(
    "bench", "", "", {}, "cuda", "cpu", "", 0, "", "", {"sequence_length": SEQUENCE_LENGTH}, 15.0, None, None, ""
)


class OneAtATime:
    """Random search: one hyperparameter, uniformly chosen, moved by a normal step of the same usual size."""

    reads_notes, repairs = False, 0

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"random {seed}")

    def propose(self, request: Request) -> Proposal:
        source = request.sources["train.py"]
        values: dict[str, Value] = {name: constant.value for name, constant in read(source).items()}
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


def research(agent: Agent, objective: Objective, experiments: int) -> tuple[History, list[str]]:
    """A run without a machine: propose, measure, keep what is better. Returns the sources of all experiments too."""
    sources = [objective.start]
    history = _after(History(run=RUN), Proposal({}, "baseline", ""), objective.measure(objective.start))
    desk = Paper(Path(tempfile.gettempdir()))
    while len(sources) <= experiments:
        best = sources[history.incumbent or 0]
        request = Request(
            len(sources), {"train.py": best}, "", history, "min", lambda e: e["train.py"] not in sources, desk
        )
        try:
            proposal = agent.propose(request)
        except Refused as refusal:
            refused = ProposalRefused(len(sources), refusal.reason, refusal.description)
            history = replace(history, refused=history.refused + 1, last_refusal=refused)
            continue
        sources.append(proposal.edits["train.py"])
        history = _after(history, proposal, objective.measure(sources[-1]))
    return history, sources


def _after(history: History, proposal: Proposal, measured: Measurement | str) -> History:
    number, best = len(history.experiments), history.best.measurement if history.best else None
    measurement = measured if isinstance(measured, Measurement) else None
    verdict = (
        greedy("min", Score(measurement.value, 16), Score(best.value, 16) if best else None) if measurement else None
    )
    experiment = Experiment(
        number=number, commit=f"{number:040x}", parent="", description=proposal.description,
        hypothesis=proposal.hypothesis, diff="", lines=16, details=proposal.details, measurement=measurement,
        verdict=verdict or Verdict("crash", str(measured)), incumbent=history.incumbent,
        delta=measurement.value - best.value if measurement and best else None, trials=1, trial=1,
    )  # fmt: skip
    kept = experiment.verdict.outcome == "keep"
    return replace(
        history, experiments=(*history.experiments, experiment), incumbent=number if kept else history.incumbent
    )


def compare(
    agents: Mapping[str, Callable[[int], Agent]], seeds: int, experiments: int, worlds: Sequence[World]
) -> None:
    """Print the table. The last column pairs every agent with the first one, seed by seed."""
    print(f"{seeds} seeds, {experiments} experiments each; per cent below the start, true value of what was kept")
    print(f"{'world':10} {'agent':22} {'mean':>6} {'sd':>5} {'min':>6} {'max':>6} {'kept':>5} {'crash':>5} {'ms':>5}  "
          "against the first")  # fmt: skip
    for world in worlds:
        first: list[float] = []
        for name, make in agents.items():
            gains, kept, crashed, started = [], [], [], time.perf_counter()
            for seed in range(seeds):
                objective = Objective(seed, world)
                history, sources = research(make(seed), objective, experiments)
                start, end = (objective.value(sources[i]) for i in (0, history.incumbent or 0))
                gains.append(100 * (1 - end / start))
                kept.append(history.count("keep"))
                crashed.append(history.count("crash"))
            each = 1000 * (time.perf_counter() - started) / (seeds * experiments)
            first = first or gains
            told = statistics.mean(gains), statistics.stdev(gains), min(gains), max(gains)
            figures = "{:6.2f} {:5.2f} {:6.2f} {:6.2f}".format(*told)
            counts = f"{statistics.mean(kept):5.1f} {statistics.mean(crashed):5.1f} {each:5.0f}"
            print(f"{world:10} {name:22} {figures} {counts}  {_paired(gains, first)}", flush=True)


def _paired(gains: Sequence[float], first: Sequence[float]) -> str:
    if gains is first:
        return ""
    differences = [a - b for a, b in zip(gains, first, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    better = sum(d > 0 for d in differences)
    return (
        f"{statistics.mean(differences):+.2f} ± {error:.2f} (standard error), better in {better} of {len(differences)}"
    )


def arguments(description: str, *worlds: World) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=40)
    parser.add_argument("--worlds", nargs="*", choices=get_args(World), default=worlds)
    return parser.parse_args()


def main() -> None:
    asked = arguments("search against its first version and random changes, on a made-up objective", *WORLDS)
    agents = {"search, first version": first_search.Search, "search": Search, "random, one at a time": OneAtATime}
    compare(agents, asked.seeds, asked.experiments, asked.worlds)


if __name__ == "__main__":
    main()
