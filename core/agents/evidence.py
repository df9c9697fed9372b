"""What a run has shown about its constants: the history as `search` reads it.

An experiment of this agent carries in its details `constants` (every constant, as applied), `changed` (name -> [from,
to]), `chosen` (the hyperparameters that were moved on purpose; what was adjusted to fit them is not among these),
`forms` (every structural place, as applied), `reformed` (place -> [from, to]) and `kind` (numbers, structure, retry).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from core.agents.constants import Value
from core.agents.space import Scalar
from core.experiment import Experiment
from core.facts import fact
from core.history import History


@fact
class Tried:
    """A finished experiment.

    values: of every constant, tuples taken apart, as really applied. moved: key -> value before, value after, of what
    was chosen. loss: the metric, lower is better; None for a crash. gain: over its incumbent, in units of the run's
    usual difference, within ±2; -2 for a crash. reformed: structural place -> form before, form after.
    keeps: how many experiments had been kept before it, the baseline included.
    """

    number: int
    values: Mapping[str, Scalar]
    moved: Mapping[str, tuple[Scalar, Scalar]]
    loss: float | None
    gain: float
    kept: bool
    reformed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    kind: str = "numbers"
    keeps: int = 0


def evidence(history: History, direction: Literal["min", "max"], current: Mapping[str, Value]) -> list[Tried]:
    """Every experiment whose constants are known: this agent's, the incumbent (`current`) and the baseline.

    A skipped experiment says nothing and is left out.
    """
    sign = 1.0 if direction == "min" else -1.0
    known = _known(history, current)
    shown = [e for e in history.experiments if e.number in known and (e.measurement or e.verdict.outcome == "crash")]
    differences = sorted(abs(e.delta) for e in shown if e.delta)
    unit = differences[len(differences) // 2] if differences else 1.0
    keeps = [e.number for e in history.experiments if e.verdict.outcome == "keep"]
    tried = []
    for e in shown:
        crashed = e.measurement is None or e.verdict.outcome == "crash"
        gain = -2.0 if crashed else max(-2.0, min(2.0, -sign * (e.delta or 0.0) / unit))
        loss = None if e.measurement is None or crashed else sign * e.measurement.value
        before = sum(number < e.number for number in keeps)
        tried.append(
            Tried(
                e.number, *known[e.number], loss, gain, e.verdict.outcome == "keep", _reformed(e),
                str(e.details.get("kind", "numbers")), before,
            )
        )  # fmt: skip
    return tried


_Known = tuple[dict[str, Scalar], dict[str, tuple[Scalar, Scalar]]]  # values, moved


def _known(history: History, current: Mapping[str, Value]) -> dict[int, _Known]:
    known: dict[int, _Known] = {}
    for e in history.experiments:
        changed = _changed(e)
        if changed is None:
            continue
        values = apart(e.details["constants"])
        chosen = e.details.get("chosen")
        keys = chosen if isinstance(chosen, list | tuple) else list(changed)
        known[e.number] = values, {key: changed[key] for key in keys if key in changed}
        if e.incumbent == 0 and 0 not in known:  # the baseline has no details: undo what was changed on it
            known[0] = {**values, **{key: before for key, (before, _) in changed.items()}}, {}
    if history.incumbent is not None:
        known[history.incumbent] = apart(current), known.get(history.incumbent, ({}, {}))[1]
    return known


def _changed(experiment: Experiment) -> dict[str, tuple[Scalar, Scalar]] | None:
    """What differs from the parent, tuples taken apart; None for an experiment that is not this agent's."""
    changed = experiment.details.get("changed")
    if not isinstance(changed, Mapping) or not isinstance(experiment.details.get("constants"), Mapping):
        return None
    before = apart({key: pair[0] for key, pair in changed.items()})
    after = apart({key: pair[1] for key, pair in changed.items()})
    return {key: (value, after[key]) for key, value in before.items() if key in after and value != after[key]}


def _reformed(experiment: Experiment) -> dict[str, tuple[str, str]]:
    """The structural moves of an experiment: place -> form before, form after."""
    moves = experiment.details.get("reformed")
    if not isinstance(moves, Mapping):
        return {}
    return {key: (str(pair[0]), str(pair[1])) for key, pair in moves.items()}


def apart(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """These values with tuples taken apart: NAME[0], NAME[1], …"""
    flat: dict[str, Scalar] = {}
    for key, value in values.items():
        if isinstance(value, list | tuple):
            flat.update({f"{key}[{i}]": element for i, element in enumerate(value)})
        else:
            flat[key] = value
    return flat
