"""Keep or discard, as the original decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.digits import gain, written
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
    ("min", 1.97e-9, 10, (3.82e-9, 10), "keep", "better"),
    ("min", 3.82e-9, 10, (1.97e-9, 10), "discard", "worse"),
    ("max", 1.97e-9, 10, (3.82e-9, 10), "discard", "worse"),
    ("min", 1.97e-9 * (1 + 1e-9), 9, (1.97e-9, 10), "keep", "equal and shorter"),
    ("min", 0.0, 10, (1e-30, 10), "keep", "better"),
    ("min", 1e-12, 9, (0.0, 10), "discard", "worse"),
    ("min", 5e-324, 9, (1e308, 10), "keep", "better"),
    ("min", float("nan"), 9, (1.0, 10), "crash", "nan"),
    ("min", float("-inf"), 9, (1.0, 10), "crash", "nan"),
    ("min", float("nan"), 9, None, "crash", "nan"),
]


@pytest.mark.parametrize(("direction", "value", "lines", "incumbent", "outcome", "reason"), CASES)
def test_greedy(direction, value, lines, incumbent, outcome, reason):
    verdict = greedy(direction, Score(value, lines), Score(*incumbent) if incumbent else None)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.9696861, "0.969686"), (0.04, "0.040000"), (0.0, "0.000000"), (573.25, "573.250000"), (-0.5, "-0.500000"),
        (1.97e-9, "1.97e-09"), (7.5e-6, "7.5e-06"), (0.00123456789, "0.00123457"), (-1.25e-7, "-1.25e-07"),
    ],
)  # fmt: skip
def test_six_decimals_are_written_and_more_where_a_number_would_lose_its_digits(value, said):
    assert written(value) == said


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_alike_counts_alike(one, other):
    assert (gain(one, other, "min") == 0) == (written(one) == written(other) or one == other == 0)
    assert (gain(one, other, "min") > 0) == (gain(one, other, "max") < 0)
