"""What a change is likely to bring, by what the run's own changes have brought: a Gaussian process over differences.

Every experiment says what its changes did to the incumbent's score: a difference, with the noise of two measurements in
it. A hyperparameter acts by its coordinate, a structural place by its form; effects add up, nearby values act alike, and
what an experiment did not change plays no part. So sources that differ in ways nobody told of can be learnt from, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.agents.evidence import Tried
from core.agents.moves import Site
from core.agents.space import Hyperparameter, Scalar

_LATEST = 48  # experiments that it learns from
_AMPLITUDES, _NOISES = (0.6, 1.2, 2.5), (0.1, 0.3, 0.8)  # in units of the run's usual difference
_LENGTH = 1.0  # how far an effect carries, in reaches of a hyperparameter

Effects = Mapping[str, tuple[float | str, float | str]]  # what changed -> before, after: coordinates, or forms


@dataclass(frozen=True, slots=True)
class _Row:
    """One observed difference. made, on: the experiment, and the incumbent that it is compared with."""

    effects: Effects
    made: int
    on: int
    loss: float


class Surrogate:
    """Fitted once a proposal. Losses and gains are in units of the run's usual difference."""

    def __init__(self, tried: Sequence[Tried], parameters: Sequence[Hyperparameter], sites: Mapping[str, Site]) -> None:
        self._parameters = {h.key: h for h in parameters}
        self._importance = {h.key: h.family.importance for h in parameters}
        self._importance |= {key: site.importance for key, site in sites.items()}
        self._rows = self._observed(tried)[-_LATEST:]
        harm = sum(row.loss for row in self._rows) + 1.5
        self._harm = max(0.0, harm / (sum(len(row.effects) for row in self._rows) + 5))  # of a change, on average
        self._rest = [row.loss - self._harm * len(row.effects) for row in self._rows]
        best: tuple[float, float, float, list[list[float]]] | None = None
        for amplitude in _AMPLITUDES:
            shared = [[amplitude**2 * self._alike(a.effects, b.effects) for b in self._rows[: i + 1]]
                      for i, a in enumerate(self._rows)]  # fmt: skip
            for noise in _NOISES:
                factor = _cholesky([[k + noise**2 * _same(self._rows[i], self._rows[j]) for j, k in enumerate(line)]
                                    for i, line in enumerate(shared)])  # fmt: skip
                solved = _forward(factor, self._rest)
                likely = -0.5 * sum(x * x for x in solved) - sum(math.log(factor[i][i]) for i in range(len(factor)))
                if best is None or likely > best[0]:
                    best = likely, amplitude, noise, factor
        assert best is not None
        _, self._amplitude, self._noise, self._factor = best
        self._weights = _backward(self._factor, _forward(self._factor, self._rest))

    def hope(self, effects: Effects) -> float:
        """The improvement that is expected of this change where it is one, 0 where it is none: always above 0."""
        shared = [self._amplitude**2 * self._alike(effects, row.effects) for row in self._rows]
        mean = -self._harm * len(effects) - sum(k * w for k, w in zip(shared, self._weights, strict=True))
        known = sum(x * x for x in _forward(self._factor, shared))
        spread = math.sqrt(max(1e-9, self._amplitude**2 * self._alike(effects, effects) - known))
        z = mean / spread
        return mean * 0.5 * math.erfc(-z / math.sqrt(2)) + spread * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def effects(self, values: Mapping[str, tuple[Scalar, Scalar]], forms: Mapping[str, tuple[str, str]]) -> Effects:
        """Changed values and forms, before and after, as it knows them."""
        found: dict[str, tuple[float | str, float | str]] = dict(forms)
        for key, (before, after) in values.items():
            h = self._parameters.get(key)
            if h is None:
                continue
            if h.scale == "choice":
                found[key] = str(before), str(after)
                continue
            a, b = h.coordinate(before), h.coordinate(after)
            if a is not None and b is not None:
                found[key] = a / h.reach, b / h.reach
        return found

    def _observed(self, tried: Sequence[Tried]) -> list[_Row]:
        rows = []
        for t in tried:
            if t.on is None or not (t.changed or t.reformed):
                continue
            effects = self.effects(t.changed, t.reformed)
            if effects:
                rows.append(_Row(effects, t.number, t.on, -t.gain))
        return rows

    def _alike(self, one: Effects, other: Effects) -> float:
        """How much two changes have in common."""
        total = 0.0
        for key in one.keys() & other.keys():
            (a, b), (c, d) = one[key], other[key]
            total += self._importance.get(key, 0.3) ** 2 * (_near(b, d) - _near(b, c) - _near(a, d) + _near(a, c))
        return total


def _near(a: float | str, b: float | str) -> float:
    if isinstance(a, str) or isinstance(b, str):
        return float(a == b)
    return math.exp(-0.5 * ((a - b) / _LENGTH) ** 2)


def _same(a: _Row, b: _Row) -> float:
    """How many measurements two differences share, by their signs."""
    return float((a.made == b.made) - (a.made == b.on) - (a.on == b.made) + (a.on == b.on))


def _cholesky(lower: list[list[float]]) -> list[list[float]]:
    factor: list[list[float]] = []
    for i, line in enumerate(lower):
        row: list[float] = []
        for j in range(i + 1):
            other = factor[j] if j < i else row
            rest = line[j] - sum(x * y for x, y in zip(row, other, strict=False))
            row.append(math.sqrt(max(rest, 1e-6)) if j == i else rest / other[j])
        factor.append(row)
    return factor


def _forward(factor: list[list[float]], right: Sequence[float]) -> list[float]:
    solved: list[float] = []
    for row, value in zip(factor, right, strict=True):
        solved.append((value - sum(x * y for x, y in zip(row, solved, strict=False))) / row[len(solved)])
    return solved


def _backward(factor: list[list[float]], right: Sequence[float]) -> list[float]:
    solved = list(right)
    for i in reversed(range(len(solved))):
        solved[i] /= factor[i][i]
        for j in range(i):
            solved[j] -= factor[i][j] * solved[i]
    return solved
