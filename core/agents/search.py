"""The keyless agent: Optuna's TPE over the artifact's capital constants, structural moves, and near misses again.

Three kinds of step share the experiments by what they have brought so far: numbers, one to three of them at a time
(`number_moves`, values by Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"); a place of the program
in another form (`moves`); and what nearly helped a former incumbent, once more. What the run has shown to be too large
for the memory is left out. A proposal depends on seed, history and sources alone, so a resumed run goes on as if never
cut.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from core.agents import Refused, Request
from core.agents.artifact import Artifact
from core.agents.evidence import Tried, evidence
from core.agents.fit import Room
from core.agents.moves_choice import Step, near_misses, structural_moves
from core.agents.number_moves import TRIES, number_moves
from core.agents.space import Hyperparameter
from core.experiment import Proposal

Kind = Literal["numbers", "structure", "retry"]
_REMEMBERED = 60  # experiments told to TPE, the latest ones
_STARTUP = 4  # experiments before TPE's densities are used
_CURIOUS = 0.25
_RECENT = 16  # experiments of a kind by which it is judged, the latest ones
_PRIOR: Mapping[Kind, tuple[float, float]] = {  # gain of an experiment that is expected, and how firmly
    "numbers": (0.45, 4.0),
    "structure": (0.5, 4.0),
    "retry": (0.2, 4.0),
}


class Search:
    """Proposes changes of the artifact's constants and structure. The seed decides what the history leaves open."""

    reads_notes = False
    repairs = 0

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def warm(self) -> None:
        """Import what the proposals will need; worth doing while the baseline trains."""
        _optuna()

    def propose(self, request: Request) -> Proposal:
        """A source that no experiment has had. Raises Refused if none are left, Exhausted if the artifact has none."""
        artifact, history = Artifact(request.sources), request.history
        length = history.run.settings.get("sequence_length") if history.run else None
        tried = evidence(history, request.direction, artifact.values)
        room = Room(history, {t.number: t.values for t in tried})
        rng = random.Random(f"{self._seed} {request.number} {history.refused}")  # of a str: the same in every process
        too_large = 0
        for kind in _order(tried, rng):
            for step in _steps(kind, artifact, tried, rng):
                after = artifact.fitted(step.moves, length if isinstance(length, int) else None, bool(step.forms))
                if after is None:
                    continue
                if not room.holds(after):
                    too_large += 1
                    continue
                edits = artifact.edited(after, step.forms)
                if edits and request.is_new(edits):
                    if too_large:
                        request.desk.say(f"{too_large} changes left out: this run has shown no memory for them\n")
                    proposal = artifact.proposal(edits, step.moves, step.forms, step.why)
                    return replace(proposal, details={**proposal.details, "kind": kind, "too_large": too_large})
        memory = f" ({too_large} would not fit into the memory, as this run has shown)" if too_large else ""
        names = ", ".join([h.key for h in artifact.parameters] + list(artifact.sites))
        raise Refused(f"{TRIES} tries found no untried values for {names}{memory}")


# --- whose turn it is ------------------------------------------------------------------------------------------------


def _order(tried: Sequence[Tried], rng: random.Random) -> list[Kind]:
    """The kinds, the most promising first: mean gain of the latest of each, and a bonus for what was seldom tried."""
    worth: dict[Kind, float] = {}
    experiments = [t for t in tried if t.moved or t.reformed]
    for kind, (expected, firmly) in _PRIOR.items():
        gains = [max(0.0, t.gain) if t.kept else 0.0 for t in experiments if t.kind == kind][-_RECENT:]
        mean = (expected * firmly + sum(gains)) / (firmly + len(gains))
        worth[kind] = mean + _CURIOUS * math.sqrt(math.log(len(experiments) + 2) / (len(gains) + 1))
        worth[kind] += rng.uniform(0.0, 0.05)
    return sorted(worth, key=lambda kind: -worth[kind])


def _steps(kind: Kind, artifact: Artifact, tried: Sequence[Tried], rng: random.Random) -> Iterator[Step]:
    if kind == "structure":
        yield from structural_moves(artifact.sites, tried, rng)
    elif kind == "retry":
        yield from near_misses(artifact.sites, artifact.parameters, tried, rng)
    elif artifact.parameters:
        for moves in number_moves(artifact.parameters, tried, rng, _sampled):
            yield Step(tuple(moves), {}, "; ".join(move.why for move in moves))


# --- Optuna ----------------------------------------------------------------------------------------------------------


def _sampled(h: Hyperparameter, low: float, high: float, tried: Sequence[Tried], seed: int) -> float:
    """TPE's sample of this hyperparameter's coordinate in [low, high]. A crash is told as worse than all the rest."""
    optuna = _optuna()

    def distribution(a: float, b: float) -> Any:
        if h.whole:
            return optuna.distributions.IntDistribution(math.ceil(a), max(math.ceil(a), math.floor(b)))
        return optuna.distributions.FloatDistribution(a, b)

    losses = [t.loss for t in tried if t.loss is not None]
    poor = max(losses) + (max(losses) - min(losses)) if losses else 0.0
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP, multivariate=False)
    study = optuna.create_study(sampler=sampler)
    for t in tried[-_REMEMBERED:]:
        x = h.coordinate(t.values[h.key]) if h.key in t.values else None
        if x is not None:
            told = round(x) if h.whole else x
            reach = {h.key: distribution(min(low, told), max(high, told))}
            loss = poor if t.loss is None else t.loss
            study.add_trial(optuna.trial.create_trial(params={h.key: told}, distributions=reach, value=loss))
    return float(study.ask({h.key: distribution(low, high)}).params[h.key])


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
