"""A score that nobody but the artifact measured is called self-reported wherever it is shown, in narrow windows too."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_run import write_run
from rich.cells import cell_len

from tui.feed import Feed, State
from tui.plain import summary
from tui.results import table
from tui.widgets.paint import fit
from tui.widgets.plot import points, title
from tui.widgets.status import head, tiny


@pytest.fixture
def state(tmp_path: Path) -> State:
    feed = Feed(write_run(tmp_path / "nov20", 13, live=False))
    feed.read()
    found = feed.state.history.experiments
    # As an agent's `print("score:", -1e9)` has it.
    odd = [e if e.number != 13 or not e.measurement else replace(e, measurement=replace(e.measurement, value=-1e9))
           for e in found]  # fmt: skip
    believed = tuple(
        replace(e, measurement=replace(e.measurement, self_reported=True)) if e.measurement else e for e in odd
    )
    return replace(feed.state, history=replace(feed.state.history, experiments=believed))


def row(pieces: list[tuple[str, str]]) -> str:
    return "".join(words for words, _ in pieces)


@pytest.mark.parametrize("width", [36, 48, 60, 80, 100, 144])
def test_the_plot_cuts_no_word_of_its_title_and_keeps_this_one(state: State, width: int) -> None:
    shown = row(fit(title(state, "metric", points(state.history)), [], width))
    assert cell_len(shown) <= width
    assert shown.startswith(" val_bpb ↓  self-reported")
    told = shown.removeprefix(" val_bpb ↓  self-reported").strip()
    assert told in ("", "2.4413 → −1e+09", "2.4413 → −1e+09  −4.1e+10 %"), "all of it, or none"
    assert width < 60 or told


@pytest.mark.parametrize("width", [80, 120, 200])
def test_so_does_the_best_in_the_first_row(state: State, width: int) -> None:
    assert "best −1e+09 (#13)  self-reported" in row(head(state, time.time(), width))


def test_in_a_window_for_one_row_the_best_score_comes_first(state: State) -> None:
    assert "−1e+09" in row(tiny(state, time.time(), 10))
    assert row(tiny(state, time.time(), 20)).split() == ["·", "−1e+09"]
    assert row(tiny(state, time.time(), 30)).split() == ["·", "best", "−1e+09", "self-reported"]
    assert "(#13)" in row(tiny(state, time.time(), 60))


def test_the_table_and_the_last_words_say_so_too(state: State) -> None:
    assert "val_bpb is self-reported: the artifact says it itself" in table(state.history, 120).splitlines()[-1]
    (best,) = (line for line in summary(state, Path("nov20")) if line.startswith("best: "))
    assert ", self-reported) " in best
    assert "-" not in re.findall(r"val_bpb (\S+)", best)[0], "one minus sign"


def test_numbers_of_the_table_stand_in_line(state: State) -> None:
    lines = [line for line in table(state.history, 200).splitlines() if re.search(r" (keep|discard) ", line)]
    assert len({line.index(".") for line in lines if "1000000000" not in line}) == 1


def test_a_score_that_was_measured_is_called_nothing(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "nov20", 13, live=False))
    feed.read()
    shown = [row(head(feed.state, 0, 200)), *summary(feed.state, Path("nov20")), table(feed.state.history, 200)]
    assert not any("self-reported" in words for words in shown)
