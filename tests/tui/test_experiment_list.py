"""The list of experiments, the plot and the status strip as widgets: their rows, and what moving about costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_run import write_run
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.geometry import Region, Size

from core import events as ev
from core.experiment import Experiment, Measurement, Repeat, Verdict
from tui import themes
from tui.feed import Feed, State, reduce
from tui.listing import Listing
from tui.repeats import contradicted as lucky
from tui.repeats import repeated
from tui.themes import ThemedApp
from tui.widgets import plot as plotting
from tui.widgets.experiments import ExperimentList
from tui.widgets.plot import MetricPlot
from tui.widgets.rows import finished, in_flight
from tui.widgets.status import Notice, StatusStrip

WIDE = "超参数扫描：把学习率提高到原来的两倍 " * 9


class Shelf(ThemedApp[None]):
    """The three widgets, and nothing else."""

    CSS_PATH = Path(themes.__file__).with_name("app.tcss")
    CSS = "#plot { height: 12; } #experiments { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__("night", "braille")
        self.status, self.plot = StatusStrip(id="status"), MetricPlot(id="plot")
        self.experiments = ExperimentList(id="experiments")

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.plot
        yield self.experiments

    def show(self, state: State, now: float = 2e9) -> None:
        self.status.show(state, now, None)
        self.experiments.show(state, stands_still=False)
        self.plot.show(state, self.experiments.selected)


@asynccontextmanager
async def shelf(state: State, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Shelf]:
    app = Shelf()
    async with app.run_test(size=size) as pilot:
        app.show(state)
        await pilot.pause()
        yield app
        await pilot.pause()


def rows(app: Shelf) -> list[str]:
    widget = app.experiments
    return [widget.render_line(y).text for y in range(widget.size.height)]


@pytest.fixture
def state(tmp_path: Path) -> State:
    feed = Feed(write_run(tmp_path / "run", 18), alive=lambda _: True)
    feed.read()
    return feed.state


def experiment(number: int, value: float | None = 0.97, description: str = "idea") -> Experiment:
    measured = None if value is None else Measurement(value, 300.0, 331.0, 45_000.0, {})
    verdict = Verdict("crash", "oom") if value is None else Verdict("discard", "worse")
    return Experiment(number, "c" * 40, "p", description, "", "", 1, {}, measured, verdict, 0, 0.01, 1, 1)


def many(count: int) -> State:
    described = [WIDE if i % 3 else f"idea {i}" for i in range(count)]
    found = tuple(experiment(i, None if i % 11 == 5 else 0.97 + i % 7 / 1000, described[i]) for i in range(count))
    state = State(alive=True)
    return replace(state, history=replace(state.history, experiments=found, incumbent=0))


# --- ten thousand experiments ----------------------------------------------------------------------------------------


async def test_moving_the_cursor_lays_nothing_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out = []
    draw = plotting.draw
    monkeypatch.setattr(plotting, "draw", lambda *a: laid_out.append(1) or draw(*a))
    state = many(10_000)
    async with shelf(state) as app:
        seen = len(laid_out)
        assert seen >= 1
        for step in (1, 1, 4000, -50, 1, 1, 9999, -9999):
            app.experiments.move(step)
            app.plot.show(state, app.experiments.selected)
            app.plot.render_line(0)
            app.experiments.render_line(1)
        assert app.experiments.selected == 9999
        assert len(laid_out) == seen
        later = replace(state.history, experiments=(*state.history.experiments, experiment(10_000)))
        app.show(replace(state, history=later))
        app.plot.render_line(0)
        assert len(laid_out) == seen + 1


async def test_rows_fit_whatever_is_in_them() -> None:
    for size in ((200, 20), (100, 20), (64, 20), (30, 20)):
        async with shelf(many(60), size) as app:
            drawn = rows(app)
            assert all(cell_len(row) == app.experiments.scrollable_content_region.width for row in drawn)
            cut = [row for row in drawn[1:] if "超" in row]
            assert size[0] > 100 or all(row.rstrip().endswith("…") for row in cut)


# --- rows ------------------------------------------------------------------------------------------------------------


def text_of(pieces: list[tuple[str, str]]) -> str:
    return "".join(words for words, _ in pieces)


def test_what_further_trials_measured_stands_behind_the_verdict() -> None:
    e = experiment(12, 0.9713)
    assert repeated(e, "min") == ""
    twice = replace(e, repeats=(Repeat(2, replace(e.measurement or Measurement(0, 0, 0, 0), value=0.9737)),))
    assert repeated(twice, "min") == "n=2 ±.0017"
    assert repeated(replace(e, repeats=(Repeat(2, None, "skipped"),)), "min") == "", "a skipped one is no failure"
    failed = replace(e, repeats=(Repeat(2, None, "oom"),))
    assert repeated(failed, "min") == "n=1 1 failed"
    row = text_of(finished(replace(twice, edited=True), 64, None, ""))
    assert "0.9713" in row, "the verdict's own score stays"
    assert "· " in row
    assert row.endswith("edited: idea  n=2 ±.0017")
    narrow = text_of(finished(replace(twice, description="raise the matrix learning rate"), 48, None, ""))
    assert narrow.endswith("…  n=2"), "the words are cut, not the mark"
    assert "raise the" in narrow
    assert cell_len(narrow) == 47


@pytest.mark.parametrize(("better", "again", "delta"), [("min", 2.5161, -0.03), ("max", 2.0, 0.03)])
def test_a_keep_that_its_other_trials_contradict_is_called_luck(better: str, again: float, delta: float) -> None:
    first = Measurement(2.2703, 15.0, 20.0, 500.0)
    e = replace(experiment(8, 2.2703), verdict=Verdict("keep", "better"), delta=delta, measurement=first)
    contradicted = replace(e, repeats=(Repeat(2, replace(first, value=again)),))
    assert lucky(contradicted, better)
    assert not lucky(e, better)
    assert "luck?" in text_of(finished(contradicted, 48, None, "", better))
    assert text_of(finished(contradicted, 100, None, "", better)).endswith(" luck?")
    agrees = replace(e, repeats=(Repeat(2, replace(first, value=2.2703 - delta / 2)),))
    assert not lucky(agrees, better)
    assert not lucky(replace(contradicted, verdict=Verdict("discard", "worse")), better)


def test_an_equal_and_shorter_keep_is_doubted_only_where_it_is_worse() -> None:
    same = Measurement(2.3, 15.0, 20.0, 500.0)
    e = replace(experiment(8), verdict=Verdict("keep", "equal and shorter"), delta=0.0, measurement=same)
    assert not lucky(replace(e, repeats=(Repeat(2, same),)), "min")
    assert lucky(replace(e, repeats=(Repeat(2, replace(same, value=2.4)),)), "min")


def test_columns_stay_in_line_beyond_the_thousandth() -> None:
    found = [
        text_of(finished(experiment(n), 64, None, now)) for n in (7, 999, 1000, 10_000) for now in ("", "training")
    ]
    assert {row.index("0.97") for row in found} == {7}


def test_a_crash_says_its_reason_where_there_is_no_column_for_it() -> None:
    assert "oom: idea" in text_of(finished(experiment(3, None), 50, None, ""))
    assert "× oom" in text_of(finished(experiment(3, None), 100, None, ""))


async def test_another_trial_runs_in_the_row_of_its_experiment(state: State) -> None:
    h = state.history
    events = (ev.Measured(18, 1, 2.3, 15.0, 20.0, 512.0), ev.Judged(18, "discard", "worse", 13, 0.001),
              ev.ExperimentDone(18), ev.AgainAsked(13), ev.AgainStarted(13), ev.TrialStarted(13, 2, 43, 1),
              ev.TrialReady(13, 2, 1.0))  # fmt: skip
    for n, event in enumerate(events):
        state = reduce(state, event, h.last_time + n)
    listing = Listing(state.history)
    assert [listing.number(0), listing.row_of(13), len(listing)] == [18, 5, 19]
    async with shelf(state) as app:
        drawn = rows(app)
        assert "▶ 13" in drawn[6]
        assert "training once more: all layers see everything" in drawn[6]
        assert sum("▶" in row for row in drawn) == 1
        app.experiments.select(13)
        assert sum("›" in row for row in rows(app)) == 1


async def test_a_waiting_proposal_and_one_that_was_edited_say_so(state: State) -> None:
    for event in (ev.Crashed(18, 1, "oom", "", 1.0), ev.Judged(18, "crash", "oom", 13, None), ev.ExperimentDone(18),
                  ev.Proposing(19, 13), ev.Proposed(19, "p", 13, {}, "nineteen", "", {}),
                  ev.ApprovalAwaited(19, "diff")):  # fmt: skip
        state = reduce(state, event, state.history.last_time + 1)
    async with shelf(state) as app:
        assert "? 19" in rows(app)[1]
        assert "waits for you" in rows(app)[1]
        state = reduce(state, ev.Approved(19, {"train.py": "x"}), state.history.last_time + 1)
        app.show(state)
        assert "edited: nineteen" in rows(app)[1]
        assert "▶ 19" in rows(app)[1]
    assert state.history.pending is not None
    assert "edited: nineteen" in text_of(in_flight(state.history.pending, 60, "training", still=False))


async def test_scores_that_nobody_checked_are_called_self_reported(state: State) -> None:
    first = state.history.experiments[0]
    assert first.measurement is not None
    reported = replace(first, measurement=replace(first.measurement, self_reported=True))
    history = replace(state.history, experiments=(reported, *state.history.experiments[1:]))
    async with shelf(replace(state, history=history)) as app:
        assert "self-reported" in rows(app)[0]
        assert "self-reported" in app.plot.render_line(0).text
    async with shelf(replace(state, history=history), (36, 40)) as app:
        app.experiments.narrow("kept", "all layers see everything")
        assert "self-reported" in rows(app)[0], "beside what is searched for, in little room"
        assert cell_len(rows(app)[0]) == app.experiments.scrollable_content_region.width


async def test_a_trial_that_was_cut_off_is_not_called_running(state: State) -> None:
    async with shelf(state) as app:
        assert "▶ 18" in rows(app)[1]
        assert "▶" in app.plot.render_line(11).text + app.plot.render_line(10).text
        app.show(replace(state, alive=False))
        assert "18          cut off" in rows(app)[1]
        assert "▶" not in rows(app)[1]
        assert "▶" not in app.plot.render_line(11).text + app.plot.render_line(10).text
        app.show(replace(state, alive=True))
        assert "▶ 18" in rows(app)[1]


# --- what is painted again -------------------------------------------------------------------------------------------


async def test_a_second_that_passes_paints_only_the_rows_it_changes(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shelf(state, (80, 24)) as app:
        painted: list[Region] = []
        monkeypatch.setattr(app.status, "refresh", lambda *regions, **_: painted.extend(regions) or app.status)
        app.status.show(state, 2e9, None)
        assert painted == [], "nothing changed"
        app.status.show(state, 2e9 + 60, None)
        assert [region.y for region in painted] == [0, 2], "the elapsed time, and for how long it has been stalled"
        assert all(region.height == 1 for region in painted)


async def test_a_report_of_the_trial_paints_neither_the_list_nor_the_plot(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state.live is not None
    async with shelf(state) as app:
        painted: list[str] = []
        for widget in (app.experiments, app.plot):
            monkeypatch.setattr(widget, "refresh", lambda *_, w=widget, **__: painted.append(str(w.id)) or w)
        app.show(replace(state, live=replace(state.live, step=99)))
        assert painted == []
        app.show(replace(state, history=replace(state.history, phase="evaluating")))
        assert set(painted) == {"experiments"}


async def test_the_first_painting_in_another_size_is_already_of_that_size(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shelf(state, (80, 24)) as app:
        assert sum("┤" in app.plot.render_line(y).text for y in range(12)) == 9
        monkeypatch.setattr(MetricPlot, "size", Size(60, 18))  # Textual paints first, then it tells of the resize
        drawn = [app.plot.render_line(y).text for y in range(18)]
        assert sum("┤" in row for row in drawn) == 15
        assert {cell_len(row) for row in drawn} == {60}


async def test_nothing_below_the_strip_moves_however_long_its_sentence_is(state: State) -> None:
    app = Shelf()
    async with app.run_test(size=(80, 24)) as pilot:
        app.show(state)
        await pilot.pause()

        def rows() -> list[str]:
            return [app.status.render_line(y).text.rstrip() for y in range(app.status.size.height)]

        assert [len(rows()), "training #18" in rows()[1]] == [3, True]
        app.status.show(state, 2e9, Notice("failed", "the engine does not answer; " * 12))
        await pilot.pause()
        assert [len(rows()), "training #18" in rows()[1]] == [3, False]
        assert rows()[2].endswith("… i all"), "more was said than there is room for"
        app.status.show(state, 2e9, Notice("failed", "the engine does not answer; " * 12, "no answer"))
        await pilot.pause()
        assert [len(rows()), "training #18" in rows()[1], rows()[2][:9]] == [3, True, "no answer"]
        assert rows()[2].endswith(" i all")
        app.status.show(state, 2e9, Notice("done", "it is there again"))
        await pilot.pause()
        assert rows()[2].startswith("it is there again ")
