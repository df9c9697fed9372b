"""Moves of structure: which place of the artifact to try in which form next, and which near misses to try again."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

from core.agents.evidence import Tried
from core.agents.moves import Site
from core.agents.number_moves import Move
from core.agents.space import Hyperparameter
from core.facts import fact

_NEAR = -0.5  # a gain, in units of the run's usual difference, that missed by so little is worth another look


@fact
class Step:
    """What to change, and why: numbers, forms of places, or both."""

    moves: tuple[Move, ...]
    forms: Mapping[str, str]
    why: str


def structural_moves(sites: Mapping[str, Site], tried: Sequence[Tried], rng: random.Random) -> Iterator[Step]:
    """One place in another form, in the order in which that looks worth trying."""
    ranked = []
    for key, site in sites.items():
        for order, (name, form) in enumerate(site.options.items()):
            chance = _promise(key, name, order, site, tried) * rng.uniform(0.85, 1.15)
            ranked.append((chance, key, name, f"{key} {name}: {form.why}"))
    for _, key, name, why in sorted(ranked, reverse=True):
        yield Step((), {key: name}, why)


def _promise(key: str, name: str, order: int, site: Site, tried: Sequence[Tried]) -> float:
    """How much it is worth trying this form. What failed counts less, the longer ago and the nearer it was."""
    log = math.log(site.importance) - 0.15 * order
    keeps = sum(t.kept for t in tried)
    for t in tried:
        if key not in t.reformed or len(t.reformed) > 1:
            continue
        before, after = t.reformed[key]
        if after == name and not t.kept:
            log -= (1.0 - 1.5 * t.gain) * math.exp(-(keeps - t.keeps) / 6)
        elif t.kept and before == name:
            log -= 1.5  # it is what was left for the better
        elif not t.kept:
            log -= 0.15
    return math.exp(log)


def near_misses(
    sites: Mapping[str, Site], parameters: Sequence[Hyperparameter], tried: Sequence[Tried], rng: random.Random
) -> Iterator[Step]:
    """Changes that nearly helped a former incumbent, once more on this one; the nearest first, each once."""
    known = {h.key: h for h in parameters}
    keeps = sum(t.kept for t in tried)
    again = {_said(t) for t in tried if t.kind == "retry"}
    ranked = []
    for t in tried:
        missed = not t.kept and t.loss is not None and t.gain > _NEAR and t.kind != "retry"
        if not missed or t.keeps >= keeps or _said(t) in again or not (t.moved or t.reformed):
            continue
        moves = [_shifted(known[key], *pair) for key, pair in t.moved.items() if key in known]
        forms = {key: new for key, (old, new) in t.reformed.items() if key in sites and sites[key].form == old}
        if None in moves or len(moves) < len(t.moved) or len(forms) < len(t.reformed):
            continue
        why = f"experiment {t.number} missed by little, and what it was tried on has changed since"
        ranked.append((t.gain * rng.uniform(0.9, 1.1), t.number, Step(tuple(m for m in moves if m), forms, why)))
    for *_, step in sorted(ranked, key=lambda r: r[:2], reverse=True):
        yield step


def _said(t: Tried) -> tuple[object, ...]:
    return tuple(sorted((key, str(b)) for key, (_, b) in (*t.moved.items(), *t.reformed.items())))


def _shifted(h: Hyperparameter, before: object, after: object) -> Move | None:
    """The move again from the value that the hyperparameter has now; only where that is what it had."""
    if h.value != before or isinstance(after, tuple | list):
        return None
    assert isinstance(after, bool | int | float | str)
    return Move(h, after, "")
