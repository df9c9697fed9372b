"""Capital constants: what is one, and edits that touch nothing else."""

import pytest

from core.agents.constants import edit, read

SOURCE = """\
# constants — naïve «ones»
import os

DEPTH = 8  # layers
TOTAL_BATCH_SIZE = 2**19  # tokens
CHUNK = 64 * 1024
LIMIT = 524_288
MASK = 0xFF
SHIFTED = 1 << 10
MATRIX_LR: float = 0.04
EPS = 1e-10
STD = 1.0e-3
HALF = .5
OFFSET = -0.25
ADAM_BETAS = (0.8,  0.95)  # two of them
WINDOW_PATTERN = "SSSL"
NAME = 'it'
COMPILED = True
WAYS = 3, 4
PAREN = ( 7 )
"""


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DEPTH", 9, "DEPTH = 9  # layers"),
        ("TOTAL_BATCH_SIZE", 2**18, "TOTAL_BATCH_SIZE = 2**18  # tokens"),
        ("TOTAL_BATCH_SIZE", 3 * 2**17, "TOTAL_BATCH_SIZE = 393216  # tokens"),
        ("CHUNK", 32 * 1024, "CHUNK = 32 * 1024"),
        ("CHUNK", 1000, "CHUNK = 1000"),
        ("LIMIT", 262_144, "LIMIT = 262_144"),
        ("MASK", 31, "MASK = 0x1f"),
        ("SHIFTED", 512, "SHIFTED = 1 << 9"),
        ("MATRIX_LR", 0.055, "MATRIX_LR: float = 0.055"),
        ("MATRIX_LR", 0.00002, "MATRIX_LR: float = 0.00002"),
        ("EPS", 3e-9, "EPS = 3e-9"),
        ("EPS", 2.5e-12, "EPS = 2.5e-12"),
        ("STD", 2e-3, "STD = 2.0e-3"),
        ("HALF", 0.25, "HALF = .25"),
        ("HALF", 1.5, "HALF = 1.5"),
        ("OFFSET", -0.5, "OFFSET = -0.5"),
        ("ADAM_BETAS", (0.8, 0.9), "ADAM_BETAS = (0.8,  0.9)  # two of them"),
        ("WINDOW_PATTERN", "L", 'WINDOW_PATTERN = "L"'),
        ("NAME", "is", "NAME = 'is'"),
        ("COMPILED", False, "COMPILED = False"),
        ("WAYS", (3, 5), "WAYS = 3, 5"),
        ("PAREN", 9, "PAREN = ( 9 )"),
    ],
)
def test_a_value_is_written_in_the_style_it_had_and_nothing_else_changes(name: str, value: object, line: str) -> None:
    after = edit(SOURCE, {name: value})
    differing = [new for old, new in zip(SOURCE.split("\n"), after.split("\n"), strict=True) if old != new]
    assert differing == [line]
    assert read(after)[name].value == value


def test_text_before_the_value_may_be_of_any_width() -> None:
    source = "'''é€😀'''; A = 0.1; B = (1, 2)  # ü\nC = \"é\"; D = 3\n"
    assert edit(source, {"A": 0.2, "B": (1, 5), "C": "ö", "D": 4}) == (
        "'''é€😀'''; A = 0.2; B = (1, 5)  # ü\nC = 'ö'; D = 4\n"
    )


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_stay(end: str, mark: str) -> None:
    source = mark + end.join(['"""two', 'lines é\x0c\u2028"""', "A = 1  # one", "", "B = 2"])
    assert edit(source, {"A": 11, "B": 22}) == source.replace("A = 1 ", "A = 11 ").replace("B = 2", "B = 22")


def test_only_plain_values_bound_once_at_module_level_are_constants() -> None:
    source = """\
import numpy as np
lower = 1
TWICE = 1
TWICE = 2
LATER = 3
if TWICE:
    LATER = 4
COUNTED = 0
def step():
    global COUNTED
    INSIDE = 5
class Config:
    WIDTH = 6
FIRST, SECOND = 7, 8
CALLED = int("9")
DERIVED = 2 * LATER
MIXED = (1, "two")
NESTED = ((1, 2), (3, 4))
EMPTY = ()
ENDLESS = 10**10**10
INFINITE = 1e999
DIVIDED = 1 / 0
LONELY: int
KEPT = 3
def shadow(KEPT):
    KEPT = 4
"""
    assert {name: constant.value for name, constant in read(source).items()} == {"KEPT": 3}


def test_arithmetic_is_understood() -> None:
    source = "A = 2**19\nB = 64 * 1024\nC = -(3 - 1)\nD = 1 / 4\nE = 7 // 2\nF = 2**-3\nG = 1 << 4\n"
    assert [c.value for c in read(source).values()] == [524288, 65536, -2, 0.25, 3, 0.125, 16]


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-7, 5e-324, 1.7976931348623157e308, 123456.789, 1e15, 1e17])
def test_any_float_reads_back_exactly(value: float) -> None:
    for source in ("A = 0.5\n", "A = 5e-1\n", "A = .5\n", "A = 10**-2\n", "A = 1\n"):
        assert read(edit(source, {"A": value}))["A"].value == value


def test_what_cannot_be_written_is_an_error() -> None:
    with pytest.raises(KeyError):
        edit("A = 1\n", {"B": 2})
    with pytest.raises(ValueError, match="tuple of 2"):
        edit("A = (1, 2)\n", {"A": (1, 2, 3)})
    with pytest.raises(ValueError, match="cannot be written"):
        edit("A = 1.0\n", {"A": float("nan")})
