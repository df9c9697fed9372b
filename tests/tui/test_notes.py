"""What stands beside the diff: the notes, a proposal that waits, the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from driving import cockpit, engine_of, experiments, screen, until
from recorded_run import STARTED_AT, write_run
from rich.cells import cell_len

from core import events as ev
from core.history import History, fold
from tui.feed import Feed, find
from tui.told import folded, notes
from tui.widgets.diff import DiffView
from tui.widgets.log import LogView
from tui.widgets.notes import NotesView


def history_of(folder: Path, *more: ev.Event) -> History:
    feed = Feed(folder)
    feed.read()
    return fold(((event, STARTED_AT + 5000 + i) for i, event in enumerate(more)), feed.state.history)


def told(history: History, number: int | None, width: int = 40) -> str:
    pending = history.pending
    entry = None if number is None else find(history, number) or pending
    rows = notes(history, entry, width)
    assert all(cell_len(row) <= width for row, _ in rows)
    return "\n".join(row for row, _ in rows)


def test_the_verdict_its_reason_and_what_it_was_judged_by(tmp_path: Path) -> None:
    words = told(history_of(write_run(tmp_path / "nov20", 18)), 13)
    for part in ("#13 ● keep: better", "all layers see everything", "T is short", "judged by #11 (2.3029)",
                 "val_bpb_upstream 2.2983", "commit bd307a3ec3, 36 lines"):  # fmt: skip
        assert part in words


def test_a_crash_shows_its_traceback(tmp_path: Path) -> None:
    words = told(history_of(write_run(tmp_path / "nov20", 18)), 7)
    assert "RuntimeError: [enforce fail]" in words
    assert "Traceback (most recent call last):" in words


def test_the_baseline_tells_of_the_run(tmp_path: Path) -> None:
    history = history_of(write_run(tmp_path / "nov20", 18))
    for number in (0, None):
        assert "50 experiments of 15 s" in told(history, number)
        assert "a CPU: this is a demonstration size" in told(history, number)
    assert "50 experiments" not in told(history, 3)
    assert told(History(), None) == "nothing is known yet"


def test_what_the_user_told_the_agent_before_it(tmp_path: Path) -> None:
    history = history_of(
        write_run(tmp_path / "nov20", 18, live=False),
        ev.Steered("try fewer layers\nand \x1b[31mmore\x07 heads"),
        ev.Proposing(19, 13),
        ev.Proposed(19, "p", 13, {}, "double the depth", "", {}),
        ev.ApprovalAwaited(19, "--- a/t\n+++ b/t\n"),
        ev.Rejected(19, "it cannot fit"),
        ev.Proposed(19, "p", 13, {}, "half the depth", "", {}),
        ev.Steered("later"),
    )
    words = told(history, 19)
    assert "try fewer layers" in words
    assert "and more heads" in words
    assert "double the depth: it cannot fit" in words
    assert words.index("you rejected") < words.index("it cannot fit") < words.index("you told the agent")
    assert "fewer layers" not in told(history, 18), "it was under way when that was said"
    assert "for #19 on" in words
    assert "proposed as #19" in words
    assert "later" not in words, "it was proposed by then"
    assert [note.number for note in history.notes] == [19, 19, 20]


def test_another_trial_stands_beside_the_first(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18, live=False)
    asked = (ev.AgainAsked(13), ev.AgainAsked(13), ev.AgainStarted(13), ev.TrialStarted(13, 2, 43, 9))
    assert "another trial is under way" in told(history_of(folder, *asked), 13)
    assert "judged by #11" in told(history_of(folder, *asked), 13), "its verdict stays"
    history = history_of(
        folder, *asked, ev.Measured(13, 2, 2.3003, 15.0, 20.0, 500.0), ev.AgainDone(13), ev.AgainStarted(13),
        ev.TrialStarted(13, 3, 44, 10), ev.Crashed(13, 3, "oom", "", 1.0), ev.AgainDone(13),
    )  # fmt: skip
    words = told(history, 13)
    assert "trial 1  2.2993, which was judged" in words
    assert "trial 2  2.3003" in words
    assert "trial 3  oom" in words
    assert "mean" not in words, "one further trial has none"


def test_notes_say_where_a_keep_may_be_luck_and_where_steps_differ(tmp_path: Path) -> None:
    history = history_of(
        write_run(tmp_path / "nov20", 18, live=False), ev.AgainAsked(13), ev.AgainStarted(13),
        ev.TrialStarted(13, 2, 43, 9), ev.Measured(13, 2, 2.5161, 15.0, 20.0, 500.0), ev.AgainDone(13),
    )  # fmt: skip
    words = " ".join(told(history, 13, 200).split())
    assert "#13: its step of −" in words
    assert "over #11 may be luck: its further trial came to 2.5161; " in words
    assert "nothing remains against the baseline (+" in words
    assert "luck" not in told(history, 11, 80)

    def with_steps(steps: float, judge: float) -> str:
        had = {11: judge, 13: steps}
        found = tuple(
            replace(e, measurement=replace(e.measurement, findings={"num_steps": had[e.number]}))
            if e.number in had and e.measurement else e for e in history.experiments
        )  # fmt: skip
        return told(replace(history, experiments=found), 13, 80)

    assert "80 steps; #11, by which it was judged, had 41" in with_steps(80, 41)
    assert "41 steps; #11, by which it was judged, had 80" in with_steps(41, 80)
    for steps, judge in ((48, 41), (0, 41), (80, float("nan"))):
        assert "by which" not in with_steps(steps, judge)


def test_long_words_and_wide_characters_are_folded_by_the_cell() -> None:
    assert folded("漢字漢字漢字漢字漢字", 8) == ["漢字漢字", "漢字漢字", "漢字"]
    assert folded("ein Wort", 20) == ["ein Wort"]
    assert all(cell_len(row) <= 12 for row in folded("😀 " * 30 + "x" * 50, 12))


async def test_the_pane_folds_scrolls_and_follows_the_selection(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18), (80, 24)) as (app, pilot):
        view = app.screen.query_one(NotesView)
        await pilot.press("3", "b")
        await until(pilot, lambda: "#13 ● keep: better" in screen(app))
        await pilot.press("J", "J")
        assert view.scroll_offset.y == 2
        await pilot.press("G")
        assert view.scroll_offset.y == 0
        await until(pilot, lambda: "50 experiments of 15 s" in screen(app))
        await pilot.press("b", "c")
        assert "judged by #11" in app.clipboard


# --- a proposal that waits -------------------------------------------------------------------------------------------


async def test_a_proposal_that_waits_shows_what_would_be_committed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18, live=False)
    source = 'DEPTH = 2\nWINDOW_PATTERN = "L"\n'
    diff = "--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-DEPTH = 2\n+DEPTH = 3\n WINDOW_PATTERN\n"
    async with cockpit(folder) as (app, pilot):
        with engine_of(folder) as engine:
            engine.write(
                ev.EngineStarted(1, True), ev.ApprovalTurned(True), ev.Proposing(19, 18),
                ev.Proposed(19, "p", 18, {"train.py": source}, "one layer more", "deeper", {}),
                ev.ApprovalAwaited(19, diff),
            )  # fmt: skip
            await pilot.press(".")
            await until(pilot, lambda: "waits for your yes" in screen(app))
            assert "DEPTH = 3" in screen(app)
            assert "one layer more" in screen(app)
            view = app.screen.query_one(DiffView)
            await pilot.press("v")
            await until(pilot, lambda: "against the baseline" in screen(app) and len(view.content) > 20)
            shown = app.screen.shown_text  # type: ignore[attr-defined]
            assert "-SOFTCAP = 15.0" in shown
            assert "+SOFTCAP" not in shown, "the edit as proposed has two lines"


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_l_follows_the_newest_and_the_end_of_its_log(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    log = folder / "trials" / "18-1" / "log"
    log.write_text("".join(f"line {i}\n" for i in range(200)))
    async with cockpit(folder) as (app, pilot):
        view = app.screen.query_one(LogView)
        await until(pilot, lambda: "line 199" in screen(app) and "▼ following" in screen(app))
        await pilot.press("2", "K", "K")
        await until(pilot, lambda: "2 more below" in screen(app))
        with log.open("a") as file:
            file.write("line 200\n")
        await until(pilot, lambda: "3 more below" in screen(app))
        assert "line 200" not in screen(app), "what is read stays"
        await pilot.press("j", "j", "l")
        await until(pilot, lambda: "line 200" in screen(app))
        assert experiments(app).selected == 18
        assert view.following


async def test_w_wraps_the_log_where_that_is_the_active_pane(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    (folder / "trials" / "18-1" / "log").write_text("a\nb\nc\nd\n" + " ".join(f"word{i}" for i in range(40)) + "\n")
    async with cockpit(folder) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "word0" in screen(app))
        assert "word38" not in screen(app)
        await pilot.press("w")
        await until(pilot, lambda: "word38" in screen(app))
        assert not app.screen.query_one(DiffView).wrap
