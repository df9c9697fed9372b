"""What is drawn is harmless, and numbers are written as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui import text


@pytest.mark.parametrize(
    ("raw", "drawn"),
    [
        ("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07", "red link"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("10 %\r55 %\r100 %", "100 %"),
        ("windows\r\n", "windows"),
        ("a\tb", "a   b"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell back null del"),
        ("\u202eevil\u200b \x9b31mc1", "evil c1"),
        ("naïve 漢字 ●", "naïve 漢字 ●"),
    ],
)
def test_escapes_and_control_characters_never_reach_the_terminal(raw: str, drawn: str) -> None:
    assert text.clean(raw) == drawn


@given(st.text())
def test_no_text_at_all_leaves_a_control_character(raw: str) -> None:
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text.clean(raw))


def test_numbers_are_written_with_sign_and_unit() -> None:
    assert text.delta(-0.0021) == "−0.0021"
    assert text.delta(0.0) == "0.0000"
    assert text.delta(None) == text.delta(math.nan) == ""
    assert [text.quantity(v) for v in (12.0, 30_100.0, 999_900.0, 1_660_000.0)] == ["12", "30.1k", "1000k", "1.66M"]
    assert [text.seconds(v) for v in (8.94, 171.0, 3734.0, math.inf)] == ["8.9 s", "2:51 min", "1:02:14 h", "—"]
    assert text.memory(512.0) == "512 MB"
    assert text.memory(45_060.0) == "44.0 GB"
    assert text.percent_change(0.9979, 0.9697) == "−2.83 %"


SCORES = {
    0.969686: "0.969686", 2.279134: "2.279134", 12.34567: "12.34567", 1234.567: "1234.567", 123456.0: "123456.0",
    0.000156: "0.000156", 0.0000156: "1.56e-05", 1.56e-6: "1.56e-06", 0.9697: "0.9697", -1.5e-6: "-1.5e-06",
    12345678.9: "12345679", 1e300: "1.0e+300", 0.0: "0.0000",
}  # fmt: skip


def test_a_score_has_the_digits_that_tell_it_from_its_neighbours() -> None:
    assert {value: text.score(value) for value in SCORES} == SCORES
    assert [text.exact(v) for v in (0.969686, 0.000123456, 1.23456e-6)] == ["0.969686", "0.0001235", "0.000001235"]
    assert [text.delta(v) for v in (0.000028, -1.2e-6, -0.5)] == ["+0.000028", "−1.20e-06", "−0.5000"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_score_keeps_to_its_column_and_says_no_zero_of_what_is_none(value: float) -> None:
    assert len(text.column(value)) <= len(text.delta_column(value)) <= 9
    assert len(text.column(value)) <= 8
    for written in (text.column(value), text.score(value), text.exact(value)):
        assert (float(written) == 0) == (value == 0)


def test_sparkline_and_bar_keep_to_their_width() -> None:
    assert text.sparkline([3.0, 2.0, 1.0], 10) == "█▅▁"
    assert len(text.sparkline([float(i) for i in range(1000)], 12)) == 12
    assert text.sparkline([math.nan], 5) == ""
    assert text.bar(0.5, 10) == ("━" * 5, "─" * 5)
    assert text.bar(math.nan, 4) == ("", "────")
