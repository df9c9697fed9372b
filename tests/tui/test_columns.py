"""The columns of the list of experiments: what they have to hold, what gives way, what their heading says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from core.experiment import Experiment, Measurement, Verdict
from tui import text
from tui.widgets.columns import Columns, in_room
from tui.widgets.rows import finished


def experiment(number: int, value: float, before: float = 522.1, memory: float = 9.0, took: float = 0.4) -> Experiment:
    measured = Measurement(value, took, took, memory, {})
    described = f"TOTAL_BATCH_SIZE 4096 → {2048 + number}"
    verdict = Verdict("discard", "worse")
    return Experiment(
        number, f"{number:040}", "p", described, "", "", 1, {}, measured, verdict, 0, value - before, 1, 1
    )


def row(e: Experiment, width: int, columns: Columns) -> str:
    return "".join(words for words, _ in finished(e, width, None, "", columns=columns))


SCORES = (521.5, 523.25, 519.0, 1234.5, 0.5)


@pytest.mark.parametrize("width", [47, 80, 100, 200])
def test_points_stand_below_each_other_and_below_the_names(width: int) -> None:
    rows = [experiment(i, value) for i, value in enumerate(SCORES)]
    columns = Columns().after(rows, "score")
    drawn = [row(e, width, columns) for e in rows]
    assert [line.split()[1] for line in drawn] == ["521.5", "523.25", "519", "1234.5", "0.5"], "no digit is invented"
    assert [line.split()[2] for line in drawn] == ["−0.6", "+1.15", "−3.1", "+712.4", "−521.6"]
    points = [line.index(".") for line in drawn if "." in line.split()[1]]
    assert len(set(points)) == 1
    heading = columns.heading(width, False, width)
    glyph = drawn[0].index("· ")
    assert " ".join(heading.split()).startswith("# score Δ")
    assert heading.index("Δ") < glyph + 1
    assert heading.index("description") == drawn[0].index("TOTAL") + 1, "a row has its mark before it"


def test_narrow_numbers_leave_their_room_to_the_description() -> None:
    rows = [experiment(i, 521.5 + i / 10) for i in range(4)]
    assert row(rows[3], 48, Columns().after(rows, "score")).endswith("TOTAL_BATCH_SIZE 4096→2051")
    long = [*rows, experiment(4, 0.969686)]
    assert "TOTAL_BATCH_SIZE" not in row(rows[3], 48, Columns().after(long, "score"))


def test_columns_that_say_the_same_in_every_row_give_way_below_the_widest() -> None:
    same = [experiment(i, 521.5) for i in range(5)]
    other = [*same, experiment(5, 521.5, memory=11.0)]
    for rows, width, shown in ((same, 80, False), (same, 120, True), (other, 80, True), (other, 70, False)):
        columns = Columns().after(rows, "score")
        assert ("9 MB" in row(rows[0], width, columns)) is shown, f"{len(rows)} rows at {width}"
        assert ("memory" in columns.heading(width, False, width)) is shown


def test_what_was_counted_is_not_looked_at_again_and_another_run_begins_anew() -> None:
    rows = tuple(experiment(i, value) for i, value in enumerate(SCORES))
    by_and_by = Columns()
    for count in range(1, len(rows) + 1):
        by_and_by = by_and_by.after(rows[:count], "score")
    assert by_and_by == Columns().after(rows, "score")
    assert by_and_by.after(rows, "score") == by_and_by
    others = tuple(replace(experiment(i, 3.0), commit=f"{i + 50:040}") for i in range(7))
    assert by_and_by.after(others, "score") == Columns().after(others, "score")


def test_scores_with_all_the_digits_of_floats_are_counted_to_six_decimals() -> None:
    rows = [experiment(0, 0.50000000000001), experiment(1, 0.96968612345678)]
    assert Columns().after(rows, "val_bpb").value == text.SCORE_CELLS


REPORTED = {"(self-reported)", "self-reported", "(score", "is", "self-reported)"}


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize("room", range(90))
def test_the_heading_cuts_no_name(room: int, reported: bool) -> None:
    columns = Columns().after([experiment(i, v) for i, v in enumerate(SCORES)], "score")
    heading = columns.heading(100, reported, room)
    assert cell_len(heading) == (max(room, 14) if reported else room), "a label for which there is no room takes some"
    assert set(heading.split()) <= {"#", "score", "Δ", "verdict", "memory", "time", "description",
                                    *(REPORTED if reported else ())}  # fmt: skip
    assert ("self-reported" in heading) is reported, "and is never lost"
    assert room < 12 or heading.endswith(" "), "a gap before what stands behind it"


@pytest.mark.parametrize("width", range(44, 120))
def test_what_is_said_of_scores_is_no_name_of_the_descriptions(width: int) -> None:
    rows = [experiment(i, value) for i, value in enumerate(SCORES)]
    columns = Columns().after(rows, "loss")
    heading = columns.heading(width, True, width)
    descriptions = row(rows[0], width, columns).index("TOTAL") + 1
    assert not heading[descriptions:].startswith(("self", "("))
    assert "loss is self-reported" in heading or "Δ (self-reported)" in heading


@pytest.mark.parametrize(
    ("words", "room", "shown"),
    [
        ("TOTAL_BATCH_SIZE 4096 → 2048", 28, "TOTAL_BATCH_SIZE 4096 → 2048"),
        ("TOTAL_BATCH_SIZE 4096 → 2048", 27, "TOTAL_BATCH_SIZE 4096→2048"),
        ("TOTAL_BATCH_SIZE 4096 → 2048", 20, "TOTAL_BAT… 4096→2048"),
        ("TOTAL_BATCH_SIZE 4096 → 2048", 11, "4096→2048"),
        ("DEPTH 2 → 4, MATRIX_LR 0.04 → 0.05", 30, "DEPTH 2→4, MATRIX_LR 0.04→0.05"),
        ("MATRIX_LR 0.04 → 0.05, DEPTH 2 → 4", 20, "MATRIX_… 0.04→0.05 …"),
        ("DEPTH 2 → 4 (edited by hand)", 14, "DEPTH 2→4 …"),
        ("double the width of everything", 12, "double the width of everything"),
    ],
)  # fmt: skip
def test_of_a_change_the_values_are_seen(words: str, room: int, shown: str) -> None:
    assert in_room(words, room) == shown
    assert "→" not in shown or cell_len(shown) <= room
