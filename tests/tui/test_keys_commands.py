"""Commands on their way: pending, refused, never answered; and what is still to come about."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, screen, until
from listening import OVER, listener
from recorded_run import write_run

from core import events as ev
from core import locks
from core.errors import UsageError
from core.history import History
from tui import asked, report, sending
from tui.app import Cockpit
from tui.feed import Feed, State, reduce
from tui.standing import label


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


async def test_a_command_is_pending_until_the_engine_has_it(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.may_answer.clear()
        engine.answers["pause"] = "holds at the next step"
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("p")
            await until(pilot, lambda: "pause: pending …" in screen(app))
            await pilot.press("j", "b")
            assert "all layers see everything" in screen(app), "the rest goes on meanwhile"
            engine.may_answer.set()
            await until(pilot, lambda: "pause: holds at the next step" in screen(app))
            assert "pending" not in screen(app)
            engine.write(ev.TrialHeld(18, 1, 68))
            await until(pilot, lambda: "‖ PAUSED" in screen(app) and "pause: holds" not in screen(app))


async def test_a_second_key_while_one_is_pending_waits_its_turn(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.may_answer.clear()
        async with cockpit(recorded, (160, 40), live=False) as (app, pilot):
            await pilot.press("s", "p", "p")
            await until(pilot, lambda: "skip, then pause, then resume: pending …" in screen(app))
            engine.may_answer.set()
            await until(pilot, lambda: engine.commands == ["skip", "pause", "resume"])
            await until(pilot, lambda: "skip: as you wish; pause: as you wish; resume: as you wish" in screen(app))


async def test_a_refusal_is_said_and_what_comes_after_it_is_sent(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.may_answer.clear()
        engine.answers["again"] = UsageError("#17 cannot have another trial: this run was imported")
        async with cockpit(recorded, (160, 40), live=False) as (app, pilot):
            await pilot.press("j", "r", "s")
            await until(pilot, lambda: "again, then skip: pending" in screen(app))
            engine.may_answer.set()
            await until(pilot, lambda: "skip: as you wish" in screen(app))
            assert "again: #17 cannot have another trial" in screen(app)


async def test_an_engine_that_dies_while_a_command_is_pending(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.may_answer.clear()
        async with cockpit(recorded, (160, 40), live=False) as (app, pilot):
            await pilot.press("p", "s")
            await until(pilot, lambda: "pause, then skip: pending" in screen(app) and len(engine.heard) == 1)
            engine.die()
            await until(pilot, lambda: "pause, skip: no engine answers for run nov20" in screen(app))
            assert "autoresearch resume nov20" in screen(app)
            await until(pilot, lambda: "× ENGINE GONE" in screen(app))
            assert engine.commands == ["pause"]


async def test_an_engine_that_lives_and_says_nothing(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.1)
    with listener(recorded) as engine:
        (recorded / "engine.lock").write_text("4711 nov20\n")
        engine.may_answer.clear()
        async with cockpit(recorded, (200, 40), live=False) as (app, pilot):
            await pilot.press("p")
            await until(pilot, lambda: "the engine (process 4711) lives but does not answer" in screen(app))
            assert "kill 4711" in screen(app)
            assert "`autoresearch resume nov20` goes on" in screen(app)


async def test_a_note_that_does_not_get_through_is_kept(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.answers["steer"] = UsageError("a note has 4,000 characters at most")
        async with cockpit(recorded, (160, 40), live=False) as (app, pilot):
            await pilot.press("t", *"try", "ctrl+j", *"GELU", "enter")
            await until(pilot, lambda: "4,000 characters at most; t has your words still" in screen(app))
            engine.answers["steer"] = "the agent reads it before its next proposal"
            await pilot.press("t")
            await until(pilot, lambda: "try" in screen(app) and "GELU" in screen(app))
            await pilot.press("enter")
            await until(pilot, lambda: "the agent reads it before its next proposal" in screen(app))
            assert [line["text"] for line in engine.heard] == ["try\nGELU"] * 2
            await pilot.press("t")
            await pilot.pause()
            assert "GELU" not in screen(app).split("reads no notes")[1]


async def test_a_draft_outlives_escape_and_an_empty_one_is_not_sent(recorded: Path) -> None:
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("t", "enter", *"later", "escape")
            assert app.screen is app.research
            await pilot.press("t")
            await until(pilot, lambda: "later" in screen(app))
            await pilot.press("ctrl+c")
            assert app.screen is app.research
            assert engine.heard == []


async def test_pasted_text_is_made_harmless(recorded: Path) -> None:
    from textual import events

    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("t")
            assert app.focused is not None
            app.post_message(events.Paste("one\r\n\x1b]0;owned\x07two\x9b5n\n"))
            await pilot.press("enter")
            await until(pilot, lambda: bool(engine.heard))
            assert [line["text"] for line in engine.heard] == ["one\ntwo"]


async def test_a_long_trial_is_not_run_again_by_mistake(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    journal = folder / "journal.jsonl"
    journal.write_text(
        journal.read_text().replace('"train_seconds": 15.0, "experiments"', '"train_seconds": 300.0, "experiments"')
    )
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await pilot.press("b", "r")
            await until(pilot, lambda: "Another trial of #13? it trains 5:00 min" in " ".join(screen(app).split()))
            await pilot.press("n", "r", "y")
            await until(pilot, lambda: engine.heard == [{"command": "again", "number": 13}])


# --- what is still to come about -------------------------------------------------------------------------------------


async def test_what_was_asked_elsewhere_is_said_until_it_is_so(recorded: Path) -> None:
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            engine.write(ev.Acknowledged("stop", "stops after this experiment"))
            await until(pilot, lambda: "stop: stops after this experiment" in screen(app))
            engine.write(*OVER, ev.RunEnded("stopped", "stopped by the user"))
            await until(pilot, lambda: "STOPPED" in screen(app) and "stops after" not in screen(app))


def fold(*events: ev.Event) -> State:
    state = State()
    for at, event in enumerate(events):
        state = reduce(state, event, float(at))
    return state


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([ev.Acknowledged("pause", "x")], "pause: x"),
        ([ev.Acknowledged("pause", "x"), ev.TrialHeld(0, 1, 3)], ""),
        ([ev.Acknowledged("pause-after", "y"), ev.Acknowledged("pause", "x"), ev.TrialHeld(0, 1, 3)], "pause-after: y"),
        ([ev.RunPaused("a", "b"), ev.Acknowledged("pause", "already paused")], ""),
        ([ev.Acknowledged("stop", "x"), ev.Acknowledged("resume", "goes on")], ""),
        ([ev.Acknowledged("stop-now", "x"), ev.Acknowledged("resume", "goes on")], "stop-now: x"),
        ([ev.Acknowledged("stop", "x"), ev.EngineStarted(1, True)], ""),
        ([ev.Acknowledged("skip", "x"), ev.Acknowledged("steer", "x")], ""),
        ([ev.Acknowledged("stop", "x"), ev.Acknowledged("stop", "y")], "stop: y"),
    ],
)
def test_what_is_still_to_come_about_follows_from_the_journal(events: list[ev.Event], left: str) -> None:
    assert asked.words(fold(ev.Proposing(0, None), *events).asked) == left


def test_waiting_for_a_yes_is_no_pause() -> None:
    history = fold(ev.Proposing(1, 0), ev.ApprovalAwaited(1, "")).history
    assert asked.waiting(history) == 1
    assert not asked.paused(history)
    assert not asked.paused(History())


def test_an_answer_is_over_when_the_next_proposal_of_that_number_waits() -> None:
    was = fold(ev.Proposing(1, 0), ev.Proposed(1, "p", 0, {}, "a", "", {}), ev.ApprovalAwaited(1, "-a")).history
    now = History()
    for event in (ev.Rejected(1, "no"), ev.Proposed(1, "p", 0, {}, "b", "", {}), ev.ApprovalAwaited(1, "-b")):
        now = reduce(State(now if now.pending else was), event, 1.0).history
    assert asked.waiting(now) == 1
    assert asked.took_effect("reject", was, now)
    assert not asked.took_effect("reject", was, was)


def test_status_says_what_is_still_to_come_about(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.write(ev.Acknowledged("stop", "stops after this experiment"))
        assert "\nstop: stops after this experiment" in report.status_text(recorded)
        engine.write(ev.Acknowledged("resume", "goes on"))
        assert "stop:" not in report.status_text(recorded)


def test_status_tells_the_trial_under_way_from_those_asked_for(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.write(*OVER, ev.AgainAsked(8), ev.AgainAsked(8), ev.RunPaused("by the user", ""))
        feed = Feed(recorded)
        feed.read()
        assert label(feed.state) == "#8 once more"
        engine.write(ev.RunContinued(), ev.AgainStarted(8), ev.TrialStarted(8, 2, 1, 1))
        told = report.status_text(recorded)
        assert "experiment 8, once more" in told
        assert "asked for: after this one, another trial of #8\n" in f"{told}\n"


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [["q"], ["ctrl+c", "ctrl+c"]])
async def test_stop_now_stays_until_the_run_has_ended_or_the_user_will_not_wait(
    recorded: Path, again: list[str]
) -> None:
    with listener(recorded) as engine:
        engine.answers["stop-now"] = "stops now; the trial under way is void and runs again on resume"
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("q", "n")
            await until(pilot, lambda: "stop-now: stops now" in screen(app))
            assert app.return_value is None
            await pilot.press(*again)
            await until(pilot, lambda: app.return_value is not None)
        assert app.return_value is not None
        assert app.return_value.choice == "stop-now"
        assert "about to end; `autoresearch resume nov20`" in app.return_value.message


async def test_stop_now_that_is_not_taken_does_not_leave(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: "stop-now: no engine answers" in screen(app))
        assert app.return_value is None


async def test_ctrl_c_once_and_later_again_stops_nothing(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui import leaving

    monkeypatch.setattr(leaving, "INTERRUPT_SECONDS", -1.0)
    with listener(recorded) as engine:
        async with cockpit(recorded, live=False) as (app, pilot):
            await pilot.press("ctrl+c", "ctrl+c", "ctrl+c")
            await until(pilot, lambda: "again within 3 s" in screen(app))
            assert engine.heard == []
            assert app.return_value is None


async def test_ctrl_c_leaves_what_there_is_nothing_to_stop_in(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18, live=False)
    app = Cockpit(folder, feed=Feed(folder), read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "DONE" in screen(app))
        await pilot.press("?", "ctrl+c")
        await until(pilot, lambda: "ctrl+c again leaves" in screen(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is not None
    assert app.return_value.choice == "over"


async def test_an_engine_that_is_still_getting_ready_is_not_called_silent(recorded: Path) -> None:
    with locks.lock(recorded / "engine.lock", "busy"):
        async with cockpit(recorded, (200, 40), live=False) as (app, pilot):
            await pilot.press("p")
            await until(pilot, lambda: "the engine of run nov20 is still getting ready; try again" in screen(app))
            assert "kill" not in screen(app)
