"""Moves of numbers: which of the artifact's hyperparameters to change next, which way and how far.

Which: by what their names promise (`space`) and by what the run has shown (`evidence`): a direction that helped is
followed, the opposite of one that hurt comes next. How far: where the run has not been yet, a step of the usual size;
elsewhere what `sample` says of the run's own history.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence

from core.agents.evidence import Tried
from core.agents.space import Hyperparameter, Scalar
from core.facts import fact

TRIES = 80  # moves looked at before a proposal is refused
_BOLD = 20  # tries after which ranges widen and old failures no longer bound them
_PLAIN = 0.12  # where no single move promises more than this, two go together

# sample(hyperparameter, low, high, tried, seed): a coordinate in [low, high]
Sample = Callable[[Hyperparameter, float, float, Sequence[Tried], int], float]


@fact
class Move:
    """One hyperparameter to one new value, and why."""

    parameter: Hyperparameter
    value: Scalar
    why: str


# --- which ones ------------------------------------------------------------------------------------------------------


def number_moves(
    parameters: Sequence[Hyperparameter], tried: Sequence[Tried], rng: random.Random, sample: Sample
) -> Iterator[list[Move]]:
    """Moves in the order in which they look worth trying, bolder and more at a time as they turn out to be taken."""
    everything = [(h, way) for h in parameters for way in ((1, -1) if h.scale != "choice" else (1,))]
    promise = {(h.key, way): _promise(h, way, tried) for h, way in everything}
    for attempt in range(TRIES):
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
        yield [_move(h, way, tried, rng, bold, attempt == 0, sample) for h, way in picks]


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


def _move(
    h: Hyperparameter, way: int, tried: Sequence[Tried], rng: random.Random, bold: float, first: bool, sample: Sample
) -> Move:
    if h.scale == "choice":
        seen = [t.values.get(h.key) for t in tried]
        left = [option for option in h.options if option != h.value]
        fresh = [option for option in left if option not in seen] or left
        return Move(h, fresh[0] if first else rng.choice(left), f"{h.key}: {h.family.up or 'the other setting'}")
    limit, word = _limit(h, way, tried, bold), h.word(way)
    visited = [x for t in tried if h.key in t.values and (x := h.coordinate(t.values[h.key])) is not None]
    if first and not any((x - h.x) * way > 1e-9 for x in visited):
        step, why = _fresh(h, way, tried)
        return Move(h, h.at(h.x + way * min(step, limit)), f"{h.key} {word} {why}")
    low, high = sorted((h.x + way * min(1.0 if h.whole else h.step / 4, limit), h.x + way * limit))
    return Move(h, h.at(sample(h, low, high, tried, rng.getrandbits(31))), _observed(h, way, tried))


def _fresh(h: Hyperparameter, way: int, tried: Sequence[Tried]) -> tuple[float, str]:
    """How far to go where nothing was tried yet, and why: as far as the move that led here, if it went the same way."""
    led = next((t for t in reversed(tried) if t.kept and h.key in t.moved and t.moved[h.key][1] == h.value), None)
    before = h.coordinate(led.moved[h.key][0]) if led else None
    if led and before is not None and (h.x - before) * way > 0:
        return max(h.step / 2, abs(h.x - before)), f"helped in experiment {led.number}, so further the same way"
    reason = (h.family.up if way > 0 else h.family.down) or "nothing is known of it yet"
    return h.step, f"is untried from here: {reason}"


def _observed(h: Hyperparameter, way: int, tried: Sequence[Tried]) -> str:
    """Why TPE may want it there: where the best so far lie."""
    shown = sorted((t.loss, t.number, x) for t in tried if t.loss is not None and h.key in t.values
                   and (x := h.coordinate(t.values[h.key])) is not None)  # fmt: skip
    count, word = max(1, len(shown) // 4), h.word(way)
    best, rest = [x for *_, x in shown[:count]], [x for *_, x in shown[count:]]
    if rest and (sum(best) / len(best) - sum(rest) / len(rest)) * way > 1e-9:
        those = f"the {count} best" if count > 1 else "the best"
        compared = f"{'higher' if word == 'up' else 'lower'} {h.key}"
        return f"{those} of {len(shown)} experiments had a {compared} than the rest, so TPE looks further {word}"
    over = f"{len(shown)} experiment{'' if len(shown) == 1 else 's'}"
    return f"TPE over {over}: {h.key} a little {word}, where little was tried"
