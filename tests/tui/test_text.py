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
    assert text.delta(0.0) == "0"
    assert text.delta(None) == text.delta(math.nan) == ""
    assert [text.quantity(v) for v in (12.0, 30_100.0, 999_900.0, 1_660_000.0)] == ["12", "30.1k", "1000k", "1.66M"]
    assert [text.seconds(v) for v in (8.94, 171.0, 3734.0, math.inf)] == ["8.9 s", "2:51 min", "1:02:14 h", "—"]
    assert text.memory(512.0) == "512 MB"
    assert text.memory(45_060.0) == "44.0 GB"
    assert text.percent_change(0.9979, 0.9697) == "−2.83 %"
    assert text.percent_change(5.93662, -1e9) == "−1.7e+10 %"


SCORES = {
    0.969686: "0.969686", 2.279134: "2.279134", 9.734567: "9.734567", 12.34567: "12.34567", 1234.567: "1234.567",
    123456.0: "123456", 521.5: "521.5", 2.26646: "2.26646", 3.0: "3", 0.0: "0", 0.1 + 0.2: "0.3", 0.9697: "0.9697",
    0.000156: "0.000156", 0.0000156: "1.56e−05", 1.56e-6: "1.56e−06", -1.5e-6: "−1.5e−06", -4.3: "−4.3",
    12345678.9: "12345679", 99999999.7: "1e+08", -1e9: "−1e+09", 1e300: "1e+300",
}  # fmt: skip


def test_a_score_has_the_digits_that_its_trial_wrote_and_no_other() -> None:
    assert {value: text.score(value) for value in SCORES} == SCORES
    roomy = {521.5: "521.5", 2.26646: "2.26646", 0.000123456: "0.000123456", 1.23456e-6: "1.23456e−06",
             -1e9: "−1000000000", 1234.56789: "1234.56789"}  # fmt: skip
    assert {value: text.exact(value) for value in roomy} == roomy
    differences = {521.5 - 522.1: "−0.6", 23.1: "+23.1", 0.000028: "+0.000028", -1.2e-6: "−1.2e−06", -1e9: "−1e+09"}
    assert {value: text.delta(value) for value in differences} == differences


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_score_keeps_to_its_column_and_says_no_zero_of_what_is_none(value: float) -> None:
    assert len(text.delta(value)) <= 9
    assert len(text.score(value)) <= 8
    for written in (text.score(value), text.exact(value), text.delta(value)):
        assert "-" not in written, "one minus sign"
        assert (float(written.replace("−", "-")) == 0) == (value == 0)


@given(st.integers(-99_999_999, 99_999_999), st.integers(0, 6))
def test_a_score_that_fits_is_the_number_that_was_written(digits: int, decimals: int) -> None:
    written = f"{digits / 10**decimals:.{decimals}f}"
    if len(written) <= 8 and "e" not in repr(float(written)):
        assert float(text.score(float(written)).replace("−", "-")) == float(written)


def test_in_a_column_the_points_stand_below_each_other() -> None:
    assert [text.aligned(n, 2, 6) for n in ("521.5", "3.25", "3", "−0.5", "1e+09", "—")] == [
        "521.5 ", "  3.25", "  3   ", " −0.5 ", " 1e+09", "     —",
    ]  # fmt: skip
    assert text.aligned("1234.5", 6, 8) == "1234.5  ", "as far as the column allows"
    assert text.aligned("12", 0, 4) == "  12"


def test_a_stretch_of_time_is_said_in_words() -> None:
    spans = [text.span(s) for s in (7.2, 59.6, 103, 1286, 3600, 12_010, 90_000, 200_000)]
    assert spans == ["7 s", "1 min", "2 min", "21 min", "1 h", "3 h 20 min", "1 day", "2 days"]


def test_sparkline_and_bar_keep_to_their_width() -> None:
    assert text.sparkline([3.0, 2.0, 1.0], 10) == "█▅▁"
    assert len(text.sparkline([float(i) for i in range(1000)], 12)) == 12
    assert text.sparkline([math.nan], 5) == ""
    assert text.bar(0.5, 10) == ("━" * 5, "─" * 5)
    assert text.bar(math.nan, 4) == ("", "────")
