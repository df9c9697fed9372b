"""The keyless agent: Optuna's TPE over the artifact's capital constants, one to three of them at a time.

Which constants: by what their names promise (`space`) and by what the run has shown, where a direction that helped is
followed and its opposite tried when it hurt. Which values: a first move of the usual size, and, as soon as the run has
been there, a sample of TPE's (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization") over the run's own
history. A proposal is a function of seed, history and sources alone, so a resumed run goes on as if never cut.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.agents import Refused, Request
from core.agents.constants import Value, edit, read
from core.agents.space import Hyperparameter, Scalar, fitted, hyperparameters
from core.experiment import Experiment, Proposal
from core.history import History

_TRIES = 60  # moves looked at before a proposal is refused
_REMEMBERED = 300  # experiments told to TPE, the latest ones
_STARTUP = 4  # experiments before TPE's densities are used


@dataclass(frozen=True, slots=True)
class Tried:
    """A finished experiment as evidence.

    values: of every hyperparameter, as really applied. moved: key -> value before, value after.
    loss: the metric, lower is better; None for a crash. gain: over its incumbent, in units of the run's usual
    difference, between -2 and 2.
    """

    number: int
    values: Mapping[str, Scalar]
    moved: Mapping[str, tuple[Scalar, Scalar]]
    loss: float | None
    gain: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Move:
    """One hyperparameter to one new value, and why."""

    parameter: Hyperparameter
    value: Scalar
    why: str


class Search:
    """Proposes changes of the artifact's constants. The seed decides what the history leaves open."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def warm(self) -> None:
        """Import what the first proposal will need."""
        _optuna()

    def propose(self, request: Request) -> Proposal:
        """A source that no experiment has had. Raises Refused if the artifact has no constants, or none are left."""
        artifact = _Artifact(request.sources)
        length = request.history.run.settings.get("sequence_length") if request.history.run else None
        rng = random.Random(f"{self._seed} {request.number} {request.history.refused}")
        tried = _evidence(request.history, request.direction, artifact.values)
        for moves in _proposals(artifact.parameters, tried, rng):
            values = _applied(artifact.values, moves)
            fit = fitted(values, artifact.values, length if isinstance(length, int) else None)
            if fit is None:
                continue
            edits = artifact.edited(fit)
            if edits and request.is_new(edits):
                return artifact.proposal(edits, moves)
        raise Refused(f"no untried values of {len(artifact.parameters)} constants were found in {_TRIES} tries")


# --- the artifact ----------------------------------------------------------------------------------------------------


class _Artifact:
    """The incumbent's constants, over all its Python files. A name that two files have is told apart by its path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = {path: text for path, text in sources.items() if path.endswith(".py")}
        self._places, self.values = _constants(self._sources)
        self.parameters = hyperparameters(self.values)
        if not self.parameters:
            raise Refused(f"{', '.join(sources)}: no capital constants to tune (NAME = number, at module level)")

    def edited(self, values: Mapping[str, Value]) -> dict[str, str]:
        """The files that these values change, with their new text."""
        edits = {}
        for path, source in self._sources.items():
            text = edit(source, {name: values[key] for key, (at, name) in self._places.items() if at == path})
            if text != source:
                edits[path] = text
        return edits

    def proposal(self, edits: Mapping[str, str], moves: Sequence[Move]) -> Proposal:
        """The proposal of these edits; its details are read back from them: what was really applied."""
        _, after = _constants({**self._sources, **edits})
        changed = [key for key, value in self.values.items() if after[key] != value]
        texts = [
            {path: read(text) for path, text in files.items()} for files in (self._sources, {**self._sources, **edits})
        ]
        parts = []
        for key in changed:
            path, name = self._places[key]
            parts.append(f"{key} {texts[0][path][name].text} → {texts[1][path][name].text}")
        why = "; ".join(move.why for move in moves)
        return Proposal(
            edits=edits,
            description=", ".join(parts),
            hypothesis=f"{why[:1].upper()}{why[1:]}.",
            details={
                "constants": {key: _json(value) for key, value in after.items()},
                "changed": {key: [_json(self.values[key]), _json(after[key])] for key in changed},
            },
        )


def _constants(sources: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], dict[str, Value]]:
    """key -> (path, name), and key -> value. Raises Refused for a file that is not Python."""
    found = {}
    for path, text in sources.items():
        try:
            found[path] = read(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # all that ast.parse may raise
            raise Refused(f"{path} cannot be read as Python: {error}") from error
    places, values = {}, {}
    for path, constants in found.items():
        for name, constant in constants.items():
            shared = sum(name in others for others in found.values()) > 1
            key = f"{path}:{name}" if shared else name
            places[key], values[key] = (path, name), constant.value
    return places, values


def _json(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _applied(values: Mapping[str, Value], moves: Sequence[Move]) -> dict[str, Value]:
    after = dict(values)
    for move in moves:
        old = after[move.parameter.constant]
        if isinstance(old, tuple) and move.parameter.index is not None:
            number = move.value
            assert isinstance(number, int | float)
            after[move.parameter.constant] = tuple(
                number if i == move.parameter.index else element for i, element in enumerate(old)
            )
        else:
            after[move.parameter.constant] = move.value
    return after


# --- what the run has shown ------------------------------------------------------------------------------------------


def _evidence(history: History, direction: str, current: Mapping[str, Value]) -> list[Tried]:
    """Every experiment whose constants are known: those of this agent, the baseline and the incumbent."""
    sign = 1.0 if direction == "min" else -1.0
    records = {e.number: r for e in history.experiments if (r := _record(e)) is not None}
    if history.incumbent is not None:
        records[history.incumbent] = (_flat(current), records.get(history.incumbent, ({}, {}))[1])
    first = next((n for n, e in enumerate(history.experiments) if n in records and n and e.incumbent == 0), None)
    if 0 not in records and first is not None:
        values, moved = records[first]
        records[0] = ({**values, **{key: pair[0] for key, pair in moved.items()}}, {})
    known = [e for e in history.experiments if e.number in records and (e.measurement or e.verdict.outcome == "crash")]
    usual = sorted(abs(e.delta) for e in known if e.delta)
    unit = usual[len(usual) // 2] if usual else 1.0
    tried = []
    for e in known:
        crashed = e.verdict.outcome == "crash" or e.measurement is None
        gain = -2.0 if crashed else max(-2.0, min(2.0, -sign * (e.delta or 0.0) / unit))
        loss = None if crashed or e.measurement is None else sign * e.measurement.value
        tried.append(Tried(e.number, *records[e.number], loss, gain, e.verdict.outcome == "keep"))
    return tried


def _record(experiment: Experiment) -> tuple[dict[str, Scalar], dict[str, tuple[Scalar, Scalar]]] | None:
    """What this agent noted of an experiment; None if it was not this agent's."""
    constants, changed = experiment.details.get("constants"), experiment.details.get("changed")
    if not isinstance(constants, Mapping) or not isinstance(changed, Mapping):
        return None
    before = _flat({key: pair[0] for key, pair in changed.items()})
    after = _flat({key: pair[1] for key, pair in changed.items()})
    return _flat(constants), {key: (before[key], after[key]) for key in before if before[key] != after.get(key)}


def _flat(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Tuples taken apart: NAME[0], NAME[1], …"""
    flat: dict[str, Scalar] = {}
    for key, value in values.items():
        if isinstance(value, list | tuple):
            flat.update({f"{key}[{i}]": element for i, element in enumerate(value)})
        else:
            flat[key] = value
    return flat


# --- the choice ------------------------------------------------------------------------------------------------------


def _proposals(
    parameters: Sequence[Hyperparameter], tried: Sequence[Tried], rng: random.Random
) -> Iterator[list[Move]]:
    """Moves in the order in which they look worth trying; bolder ones as they turn out to be taken."""
    ways = [(h, way) for h in parameters for way in ((1, -1) if h.scale != "choice" else (1,)) if _room(h, way)]
    promise = {(h.key, way): _promise(h, way, tried) for h, way in ways}
    for attempt in range(_TRIES if ways else 0):
        weights = [promise[h.key, way] for h, way in ways]
        count = 1 if attempt == 0 else rng.choice((1, 2, 2, 3))
        if attempt == 0:
            noise = [w * (0.9 + 0.2 * rng.random()) for w in weights]
            picks = [ways[noise.index(max(noise))]]
        else:
            picks = rng.choices(ways, weights)
        for _ in range(COUNT - 1 if attempt == 0 else count - 1):
            others = [(h, way) for h, way in ways if all(h.key != other.key for other, _ in picks)]
            if others:
                picks += rng.choices(others, [promise[h.key, way] ** SHARP for h, way in others])
        widen = 1.0 + max(0, attempt - 10) / 10
        yield [_move(h, way, tried, rng, widen, attempt) for h, way in picks]


def _room(h: Hyperparameter, way: int) -> bool:
    return h.scale == "choice" or (h.high - h.x if way > 0 else h.x - h.low) > h.step / 8


def _promise(h: Hyperparameter, way: int, tried: Sequence[Tried]) -> float:
    """How much a move of this hyperparameter this way is worth trying, by its name and by the run; above 0."""
    log = math.log(h.family.importance * (1.0 if way == h.family.first else 0.6))
    for t in tried:
        if h.key not in t.moved:
            continue
        if h.scale == "choice":
            log -= 0.7 if not t.kept else 0.0
            continue
        before, after = (h.coordinate(value) for value in t.moved[h.key])
        if before is None or after is None:
            continue
        same = (after > before) == (way > 0)
        share = t.gain / len(t.moved)
        near = math.exp(-abs(h.x - (after if t.kept else before)) / h.reach)
        if t.kept:
            log += near * (MOM + share if same else -1.5)
        elif same:
            log += near * (min(0.0, share) - FAIL)
        else:
            log += near * (-OPP * share if share < -0.25 else -0.5)
    return math.exp(max(-6.0, min(3.0, log)))


MOM, FAIL, OPP = 1.0, 2.0, 0.5
import os

COUNT = int(os.environ.get("COUNT", 1))
SHARP = float(os.environ.get("SHARP", 2))
MOM = float(os.environ.get("MOM", MOM))
FAIL = float(os.environ.get("FAIL", FAIL))
OPP = float(os.environ.get("OPP", OPP))


def _move(h: Hyperparameter, way: int, tried: Sequence[Tried], rng: random.Random, widen: float, attempt: int) -> Move:
    limit = min(h.reach * widen, h.high - h.x) if way > 0 else min(h.reach * widen, h.x - h.low)
    if h.scale == "choice":
        return _choice(h, tried, rng, attempt)
    seen = (
        [x for t in tried if t.loss is not None and (x := h.coordinate(t.values[h.key])) is not None]
        if all(h.key in t.values for t in tried)
        else []
    )
    beyond = [x for x in seen if (x - h.x) * way > 1e-9]
    word = "up" if way > 0 else "down"
    if not beyond and attempt < 10:
        led = next((t for t in reversed(tried) if t.kept and h.key in t.moved and t.moved[h.key][1] == h.value), None)
        step = h.step
        if led is not None:
            before = h.coordinate(led.moved[h.key][0])
            if before is not None and (h.x - before) * way > 0:
                step = max(h.step / 2, abs(h.x - before))
                return Move(
                    h,
                    h.at(h.x + way * min(step, limit)),
                    f"{h.key} {word} helped in experiment {led.number}, so further {word}",
                )
        reason = (h.family.up if way > 0 else h.family.down) or "nothing is known of it yet"
        return Move(h, h.at(h.x + way * min(step, limit)), f"{h.key} {word} is untried from here: {reason}")
    near = min(h.step / 4, limit)
    low, high = sorted((h.x + way * near, h.x + way * limit))
    x = _sampled(h, low, high, tried, rng)
    return Move(h, h.at(x), f"TPE over {len(tried)} experiments samples {h.key} {word}")


def _choice(h: Hyperparameter, tried: Sequence[Tried], rng: random.Random, attempt: int) -> Move:
    seen = {t.values.get(h.key) for t in tried}
    left = [o for o in h.options if o != h.value]
    fresh = [o for o in left if o not in seen] or left
    value = fresh[0] if attempt == 0 else rng.choice(left)
    return Move(h, value, f"{h.key}: {h.family.up or 'the other setting'}")


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _sampled(h: Hyperparameter, low: float, high: float, tried: Sequence[Tried], rng: random.Random) -> float:
    optuna = _optuna()
    whole = h.scale in ("size", "count")

    def distribution(a: float, b: float) -> Any:
        if whole:
            return optuna.distributions.IntDistribution(math.ceil(a), max(math.ceil(a), math.floor(b)))
        return optuna.distributions.FloatDistribution(a, b)

    losses = [t.loss for t in tried if t.loss is not None]
    poor = 2 * max(losses) - min(losses) if losses else 1.0
    trials = []
    for t in tried[-_REMEMBERED:]:
        x = h.coordinate(t.values[h.key]) if h.key in t.values else None
        if x is not None:
            x = round(x) if whole else x
            trials.append(
                optuna.trial.create_trial(
                    params={h.key: x},
                    distributions={h.key: distribution(min(low, x), max(high, x))},
                    value=poor if t.loss is None else t.loss,
                )
            )
    sampler = optuna.samplers.TPESampler(seed=rng.getrandbits(31), n_startup_trials=_STARTUP, multivariate=False)
    study = optuna.create_study(sampler=sampler)
    study.add_trials(trials)
    return float(study.ask({h.key: distribution(low, high)}).params[h.key])
