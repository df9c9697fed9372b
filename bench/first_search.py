"""The first version of the agent `search`, as it was on 2026-11-21: what bench/search.py measures today's against.

Optuna's TPE over the artifact's capital constants, one to three of them at a time.

Which constants: by what their names promise (`space`) and by what the run has shown (`evidence`): a direction that
helped is followed, the opposite of one that hurt comes next. Which values: where the run has not been yet, a step of
the usual size; elsewhere a sample of TPE's (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization") over
the run's own history. A proposal depends on seed, history and sources alone, so a resumed run goes on as if never cut.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.agents import Exhausted, Refused, Request
from core.agents.constants import Constant, Value, edit, read
from core.agents.evidence import Tried, evidence
from core.agents.fit import fitted
from core.agents.space import Hyperparameter, Scalar, hyperparameters
from core.experiment import Proposal

_TRIES = 80  # moves looked at before a proposal is refused
_BOLD = 20  # tries after which ranges widen and old failures no longer bound them
_PLAIN = 0.12  # where no single move promises more than this, two go together
_REMEMBERED = 60  # experiments told to TPE, the latest ones
_STARTUP = 4  # experiments before TPE's densities are used


class Search:
    """Proposes changes of the artifact's constants. The seed decides what the history leaves open."""

    reads_notes, repairs = False, 0

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def warm(self) -> None:
        """Import what the proposals will need; worth doing while the baseline trains."""
        _optuna()

    def propose(self, request: Request) -> Proposal:
        """A source that no experiment has had. Raises Refused if none are left, Exhausted if the artifact has none."""
        artifact = _Artifact(request.sources)
        history = request.history
        length = history.run.settings.get("sequence_length") if history.run else None
        tried = evidence(history, request.direction, artifact.values)
        rng = random.Random(f"{self._seed} {request.number} {history.refused}")  # of a str: the same in every process
        for moves in _proposals(artifact.parameters, tried, rng):
            after = fitted(
                _applied(artifact.values, moves), artifact.values, length if isinstance(length, int) else None
            )
            edits = artifact.edited(after) if after else {}
            if edits and request.is_new(edits):
                return artifact.proposal(edits, moves)
        raise Refused(f"{_TRIES} tries found no untried values for {', '.join(h.key for h in artifact.parameters)}")


@dataclass(frozen=True, slots=True)
class Move:
    """One hyperparameter to one new value, and why."""

    parameter: Hyperparameter
    value: Scalar
    why: str


# --- the artifact ----------------------------------------------------------------------------------------------------


class _Artifact:
    """The incumbent's constants, over all its Python files. A name that two files have is told apart by its path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = {path: text for path, text in sources.items() if path.endswith(".py")}
        self._places, self._constants = _constants(self._sources)
        self.values = {key: constant.value for key, constant in self._constants.items()}
        self.parameters = hyperparameters(self.values)
        if not self.parameters:
            what = f"{', '.join(sources)}: no capital constants to tune (NAME = number, at module level)"
            raise Exhausted(f"{what}; use another --agent")

    def edited(self, values: Mapping[str, Value]) -> dict[str, str]:
        """The files that these values change, with their new text."""
        edits = {}
        for path, source in self._sources.items():
            text = edit(source, {name: values[key] for key, (file, name) in self._places.items() if file == path})
            if text != source:
                edits[path] = text
        return edits

    def proposal(self, edits: Mapping[str, str], moves: Sequence[Move]) -> Proposal:
        """The proposal of these edits; its details are read back from them: what was really applied."""
        _, after = _constants({**self._sources, **edits})
        changed = [key for key, value in self.values.items() if after[key].value != value]
        why = "; ".join(move.why for move in moves)
        return Proposal(
            edits=edits,
            description=", ".join(f"{key} {self._constants[key].text} → {after[key].text}" for key in changed),
            hypothesis=f"{why}.",
            details={
                "constants": {key: _json(constant.value) for key, constant in after.items()},
                "changed": {key: [_json(self.values[key]), _json(after[key].value)] for key in changed},
                "chosen": [move.parameter.key for move in moves],
            },
        )


def _constants(sources: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], dict[str, Constant]]:
    """key -> (path, name), and key -> constant. Raises Refused for a file that is not Python."""
    found = {}
    for path, text in sources.items():
        try:
            found[path] = read(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # all that ast.parse raises
            raise Refused(f"{path} cannot be read as Python: {error}") from error
    places, constants = {}, {}
    for path, named in found.items():
        for name, constant in named.items():
            key = name if sum(name in others for others in found.values()) == 1 else f"{path}:{name}"
            places[key], constants[key] = (path, name), constant
    return places, constants


def _json(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _applied(values: Mapping[str, Value], moves: Sequence[Move]) -> dict[str, Value]:
    after = dict(values)
    for move in moves:
        name, index, old = move.parameter.constant, move.parameter.index, after[move.parameter.constant]
        if isinstance(old, tuple) and index is not None:
            assert isinstance(move.value, int | float)
            after[name] = (*old[:index], move.value, *old[index + 1 :])
        else:
            after[name] = move.value
    return after


# --- which ones ------------------------------------------------------------------------------------------------------


def _proposals(
    parameters: Sequence[Hyperparameter], tried: Sequence[Tried], rng: random.Random
) -> Iterator[list[Move]]:
    """Moves in the order in which they look worth trying, bolder and more at a time as they turn out to be taken."""
    everything = [(h, way) for h in parameters for way in ((1, -1) if h.scale != "choice" else (1,))]
    promise = {(h.key, way): _promise(h, way, tried) for h, way in everything}
    for attempt in range(_TRIES):
        bold = 1.0 + max(0, attempt - _BOLD) / 10
        ways = [(h, way) for h, way in everything if _limit(h, way, tried, bold) > 0]
        if not ways:
            continue
        weights = [promise[h.key, way] * rng.uniform(0.9, 1.1) for h, way in ways]
        if attempt == 0:
            picks = [ways[weights.index(max(weights))]]
            count = 1 if max(weights) > _PLAIN else 2
        else:
            picks = rng.choices(ways, weights)
            count = rng.choice((1, 2, 2, 3))
        while len(picks) < count:
            others = [(h, way) for h, way in ways if all(h.key != picked.key for picked, _ in picks)]
            if not others:
                break
            picks += rng.choices(others, [promise[h.key, way] ** 2 for h, way in others])
        yield [_move(h, way, tried, rng, bold, attempt == 0) for h, way in picks]


def _promise(h: Hyperparameter, way: int, tried: Sequence[Tried]) -> float:
    """How much it is worth trying to move this hyperparameter this way, by its name and by the run; above 0."""
    log = math.log(h.family.importance * (1.0 if way == h.family.first else 0.6))
    for t in tried:
        if h.key not in t.moved:
            continue
        before, after = (h.coordinate(value) for value in t.moved[h.key])
        if before is None or after is None:
            continue
        if h.scale == "choice":
            log -= 0.0 if t.kept else 0.7
            continue
        same = (after > before) == (way > 0)
        share = t.gain / len(t.moved)
        near = math.exp(-abs(h.x - (after if t.kept else before)) / h.reach)
        if t.kept:
            log += near * (0.5 + share if same else -1.5)
        elif same:
            log += near * (min(0.0, share) - 2.5)
        else:  # what hurts one way may help the other way; what hardly matters is left for later
            log += near * (-0.5 * share if share < -0.25 else -0.5)
    return math.exp(max(-6.0, min(3.0, log)))


# --- where to --------------------------------------------------------------------------------------------------------


def _limit(h: Hyperparameter, way: int, tried: Sequence[Tried], bold: float) -> float:
    """How far this hyperparameter may go this way: to its bounds, and not as far as where it alone failed from here.

    0 where there is no room left.
    """
    if h.scale == "choice":
        return 1.0
    least = 1.0 if h.whole else h.step / 4
    limit = min(h.reach * bold, h.high - h.x if way > 0 else h.x - h.low)
    for t in tried if bold == 1.0 else ():
        if list(t.moved) == [h.key] and t.moved[h.key][0] == h.value and not t.kept:
            failed = h.coordinate(t.moved[h.key][1])
            if failed is not None and (failed - h.x) * way > 0:
                limit = min(limit, abs(failed - h.x) - least)
    return limit if limit >= least else 0.0


def _move(h: Hyperparameter, way: int, tried: Sequence[Tried], rng: random.Random, bold: float, first: bool) -> Move:
    if h.scale == "choice":
        seen = [t.values.get(h.key) for t in tried]
        left = [option for option in h.options if option != h.value]
        fresh = [option for option in left if option not in seen] or left
        return Move(h, fresh[0] if first else rng.choice(left), f"{h.key}: {h.family.up or 'the other setting'}")
    limit, word = _limit(h, way, tried, bold), "up" if way > 0 else "down"
    visited = [x for t in tried if h.key in t.values and (x := h.coordinate(t.values[h.key])) is not None]
    if first and not any((x - h.x) * way > 1e-9 for x in visited):
        step, why = _fresh(h, way, tried)
        return Move(h, h.at(h.x + way * min(step, limit)), f"{h.key} {word} {why}")
    low, high = sorted((h.x + way * min(1.0 if h.whole else h.step / 4, limit), h.x + way * limit))
    return Move(h, h.at(_sampled(h, low, high, tried, rng.getrandbits(31))), _observed(h, word, tried))


def _fresh(h: Hyperparameter, way: int, tried: Sequence[Tried]) -> tuple[float, str]:
    """How far to go where nothing was tried yet, and why: as far as the move that led here, if it went the same way."""
    led = next((t for t in reversed(tried) if t.kept and h.key in t.moved and t.moved[h.key][1] == h.value), None)
    before = h.coordinate(led.moved[h.key][0]) if led else None
    if led and before is not None and (h.x - before) * way > 0:
        return max(h.step / 2, abs(h.x - before)), f"helped in experiment {led.number}, so further the same way"
    reason = (h.family.up if way > 0 else h.family.down) or "nothing is known of it yet"
    return h.step, f"is untried from here: {reason}"


def _observed(h: Hyperparameter, word: str, tried: Sequence[Tried]) -> str:
    """Why TPE may want it there: where the best so far lie."""
    shown = sorted((t.loss, t.number, x) for t in tried if t.loss is not None and h.key in t.values
                   and (x := h.coordinate(t.values[h.key])) is not None)  # fmt: skip
    count = max(1, len(shown) // 4)
    best, rest = [x for *_, x in shown[:count]], [x for *_, x in shown[count:]]
    if rest and (sum(best) / len(best) - sum(rest) / len(rest)) * (1 if word == "up" else -1) > 1e-9:
        those = f"the {count} best" if count > 1 else "the best"
        compared = f"{'higher' if word == 'up' else 'lower'} {h.key}"
        return f"{those} of {len(shown)} experiments had a {compared} than the rest, so TPE looks further {word}"
    over = f"{len(shown)} experiment{'' if len(shown) == 1 else 's'}"
    return f"TPE over {over}: {h.key} a little {word}, where little was tried"


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
