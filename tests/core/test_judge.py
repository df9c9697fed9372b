"""Keep or discard, as the original decides."""

from __future__ import annotations

import pytest

from core.judge import Score, greedy

CASES = [
    ("min", 1.0, 10, None, "keep", "baseline"),
    ("min", 0.9, 10, (1.0, 10), "keep", "better"),
    ("min", 1.1, 10, (1.0, 10), "discard", "worse"),
    ("max", 1.1, 10, (1.0, 10), "keep", "better"),
    ("max", 0.9, 10, (1.0, 10), "discard", "worse"),
    ("min", 1.0, 9, (1.0, 10), "keep", "equal and shorter"),
    ("min", 1.0, 10, (1.0, 10), "discard", "equal, not shorter"),
    ("min", 1.0, 11, (1.0, 10), "discard", "equal, not shorter"),
    ("min", 1.0 - 1e-9, 9, (1.0, 10), "keep", "equal and shorter"),
    ("min", 1.0 - 1e-9, 11, (1.0, 10), "discard", "equal, not shorter"),
    ("min", float("nan"), 9, (1.0, 10), "crash", "nan"),
    ("min", float("-inf"), 9, (1.0, 10), "crash", "nan"),
    ("min", float("nan"), 9, None, "crash", "nan"),
]


@pytest.mark.parametrize(("direction", "value", "lines", "incumbent", "outcome", "reason"), CASES)
def test_greedy(direction, value, lines, incumbent, outcome, reason):
    verdict = greedy(direction, Score(value, lines), Score(*incumbent) if incumbent else None)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
