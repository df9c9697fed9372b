"""A run that is over goes on from its cockpit: by the key that holds it else, after a question that says what comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import cockpit, engine_of, screen, until
from recorded_run import append, commit_of, write_run

from core import events as ev
from core.errors import UsageError
from core.history import History, fold
from core.journal import read
from core.launch import Options
from tui.app import Cockpit
from tui.feed import Feed
from tui.going_on import MORE, limits_to_go_on, question_to_go_on
from tui.screens.ask import AskScreen
from tui.standing import standing

AT = 1.8e9


def stopped(folder: Path) -> Path:
    write_run(folder, 6, live=False, ended=False)
    append(folder, ev.RunEnded("stopped", "stopped by the user"), at=AT)
    return folder


def done(folder: Path) -> Path:
    write_run(folder, 6, live=False, ended=False)
    append(folder, ev.EngineStarted(1, True, "cpu", 6), ev.RunEnded("done", "the limit was reached"), at=AT)
    return folder


def gone(folder: Path) -> Path:
    return write_run(folder, 6)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    found: list[Options] = []
    monkeypatch.setattr("tui.relaunch.launch", lambda options, say, born: found.append(options))
    return found


@pytest.mark.parametrize(
    ("state", "told", "more"),
    [
        (stopped, "It was stopped. Go on? An engine starts on cpu, asks search for #7, and goes on up to 50", None),
        (done, "It has reached its limit. Go on? An engine starts on cpu, asks search for #7, and goes on for", MORE),
        (gone, "Its engine is gone. Go on? An engine starts on cpu, runs the trial of #6 again, which was cut", None),
    ],
)
@pytest.mark.parametrize("key", ["p", "space"])
async def test_the_key_asks_and_a_yes_starts_an_engine(
    state: Callable[[Path], Path], told: str, more: int | None, key: str, tmp_path: Path, launched: list[Options]
) -> None:
    folder = state(tmp_path / "nov20")
    async with cockpit(folder, live=False) as (app, pilot):
        assert "p resume" in screen(app), "the key is named"
        await pilot.press(key)
        await until(pilot, lambda: "Go on?" in screen(app))
        asked = " ".join(screen(app).replace("│", " ").split())
        assert all(word in asked for word in told.split()), asked
        assert launched == []
        await pilot.press("n")
        await until(pilot, lambda: "Go on?" not in screen(app))
        assert launched == []
        await pilot.press(key)
        await until(pilot, lambda: "Go on?" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: "resume: an engine is at work" in screen(app))
    assert [(o.resume, o.experiments, o.agent) for o in launched] == [("nov20", more, "search")]
    assert launched[0].workspace == str(folder.parent.parent)


@pytest.mark.parametrize("width", [40, 60, 66, 72, 80, 200])
async def test_no_window_is_too_narrow_for_the_question(width: int, tmp_path: Path) -> None:
    question = (
        "It was stopped. Go on? An engine starts on cpu, takes up #59, which is under way, and goes on up to 141 "
        "experiments, at most 5 s of training each."
    )
    async with cockpit(stopped(tmp_path / "nov20"), (width, 15), live=False) as (app, pilot):
        await app.push_screen(AskScreen("go on", question))
        await pilot.pause()
        box = app.screen.query_one(".box").region
        rows = [line[box.x + 1 : box.right - 1] for line in screen(app).splitlines()[box.y + 1 : box.bottom - 1]]
        assert " ".join(" ".join(rows).split()) == f"{question} y yes n no"
        assert box.width <= 74, "rows that are read at a glance"


async def test_what_stands_against_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(options: Options, say: Callable[[str], None], born: object) -> None:
        raise UsageError("branch autoresearch/nov20 is gone; put it back with: git branch")

    monkeypatch.setattr("tui.relaunch.launch", refuses)
    async with cockpit(stopped(tmp_path / "nov20"), live=False) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: "Go on?" in screen(app))
        await pilot.press("y")
        await until(pilot, lambda: "resume: branch autoresearch/nov20 is gone; put it back with" in screen(app))


async def test_an_agent_without_its_key_is_not_started(
    tmp_path: Path, launched: list[Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path / "nov20")
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"agent": "search"', '"agent": "claude"'))
    monkeypatch.setattr("core.secrets.find", lambda: None)
    async with cockpit(folder, live=False) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: "resume: claude: " in screen(app))
        await pilot.press("i")
        await until(pilot, lambda: "autoresearch key set" in screen(app))
        assert "autoresearch resume nov20" in screen(app)
    assert launched == []


async def test_the_words_stay_where_nothing_can_be_controlled(tmp_path: Path, launched: list[Options]) -> None:
    folder = stopped(tmp_path / "nov20")
    app = Cockpit(folder, read_only=True, feed=Feed(folder))
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: "STOPPED" in screen(app))
        assert "p resume" not in screen(app)
        assert "p goes on" not in screen(app)
        await pilot.press("p")
        await until(pilot, lambda: "opened to look at" in screen(app))
    assert launched == []


async def test_a_narrow_strip_names_the_key_and_is_in_one_row(tmp_path: Path) -> None:
    folder = gone(tmp_path / "nov20")
    feed = Feed(folder, resume="autoresearch resume nov20 --workspace /home/ada/.local/share/autoresearch/demo")
    app = Cockpit(folder, feed=feed)
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: "ENGINE GONE" in screen(app))
        assert screen(app).splitlines()[2].startswith("no engine holds this run; p starts one")


async def test_an_engine_that_has_started_is_under_the_keys_again(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "nov20")
    async with cockpit(folder, live=False) as (app, pilot):
        with engine_of(folder) as engine:
            engine.write(ev.EngineStarted(1, True, "cpu", 50), ev.Proposing(7, 5))
            await until(pilot, lambda: "● RUN" in screen(app) and "p pause" in screen(app))
            await pilot.press("p")
            await until(pilot, lambda: engine.heard == ["pause"])


def history(*more: ev.Event, experiments: int | None = 6, hours: float | None = None) -> History:
    started = ev.RunStarted("t", "/w", "", {}, "", "cpu", "search", 0, "b", "", {}, 5.0, None, hours, "")
    found = [started, ev.EngineStarted(1, False, "cpu", experiments, hours)]
    for n in range(7):
        found += [ev.Proposed(n, "p", None, {}, "x", "", {}), ev.Committed(n, commit_of(n), "r", "", 1)]
        found += [ev.Crashed(n, 1, "nan", "", 1.0), ev.Judged(n, "crash", "nan", None, None), ev.ExperimentDone(n)]
    return fold((event, AT) for event in (*found, *more))


def test_what_is_needed_to_go_on_is_read_from_how_it_ended() -> None:
    limit, cap = ev.RunEnded("done", "the limit was reached"), ev.RunEnded("done", "--max-dollars: spent")
    assert limits_to_go_on(history(limit)) == {"experiments": MORE}
    assert limits_to_go_on(history(limit, experiments=None, hours=8.0)) == {"hours": 8.0}
    assert limits_to_go_on(history(cap)) is None
    assert limits_to_go_on(history(ev.RunEnded("done", "all patches were replayed"))) is None
    assert limits_to_go_on(history(ev.RunEnded("failed", "the disk is full"))) == {}
    failed = question_to_go_on(history(ev.RunEnded("failed", "the \x1b[31mdisk is full")), "search", {})
    assert failed.startswith("It failed: the disk is full. Go on?")


def test_a_run_whose_agent_has_nothing_left_offers_no_key(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 6, live=False, ended=False)
    append(folder, ev.RunEnded("done", "all 3 patches were replayed"), at=AT)
    feed = Feed(folder)
    feed.read()
    assert fold(read(folder / "journal.jsonl")).ended is not None
    assert standing(feed.state, AT).brief == ""
