"""The palette: what a person types finds first what is meant, and nothing is offered that cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import cockpit, engine_of, screen, until
from recorded_run import write_run

from core import events as ev
from tui import keys
from tui.app import Cockpit
from tui.palette import Offers
from tui.replay import Replay
from tui.themes import THEMES
from tui.web.cockpit import WebCockpit

CONTROLS = {"pause", "pause-after", "skip", "again", "steer", "approval", "answer"}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


async def found(app: Cockpit, query: str) -> list[str]:
    """The rows, in the order in which they are shown."""
    hits = [hit async for hit in Offers(app.research).search(query)]
    return [str(hit.text) for hit in sorted(hits, key=lambda hit: hit.score, reverse=True)]


def offered(app: Cockpit) -> set[str]:
    told = {offer.words for offer in Offers(app.research)._offers()}
    return {key.id for key in keys.KEYS if keys.words(key, app.place) in told}


def test_each_key_has_words_of_its_own_that_fit_a_row() -> None:
    for told in ([key.help for key in keys.KEYS], [keys.words(key, "replay") for key in keys.KEYS]):
        assert len(told) == len(set(told))
        assert max(map(len, told)) <= 45


async def test_what_is_typed_finds_first_what_is_meant(recorded: Path) -> None:
    meant = {
        "wrap": "wrap", "open": "open", "quit": "leave", "exit": "leave", "pause": "pause", "resume": "pause",
        "help": "help", "copy": "copy", "best": "best", "log": "log", "diff": "diff", "edit": "source", "qui": "leave",
        "find": "search", "skip": "skip", "n": "hunk", "N": "hunk-up", "log scale": "scale", "sort": "order",
        "Wrap": "wrap",
    }  # fmt: skip
    words = {key.id: key.help for key in keys.KEYS}
    async with cockpit(recorded) as (app, _):
        for typed, id in meant.items():
            assert (await found(app, typed))[0] == words[id], typed
        themes = [f"theme: the colours of {name}" for name in THEMES]
        assert (await found(app, "theme"))[: len(themes)] == themes
        assert await found(app, "zzz") == []


async def test_wrap_and_enter_wraps(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("ctrl+p", *"wrap")
        await until(pilot, lambda: "wrap long lines" in screen(app) and "split" not in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.research.diffs.view.wrap)
        assert not app.research.diffs.view.splits


async def test_only_what_can_be_done_now_is_offered(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        assert offered(app) & CONTROLS == CONTROLS - {"answer", "again"}, (
            "nothing waits, and what is selected is under way"
        )
        await pilot.press("j")
        assert "again" in offered(app)
        with engine_of(recorded) as engine:
            engine.write(ev.RunEnded("stopped", "stopped by the user"))
            await until(pilot, lambda: app.over)
            assert offered(app) & CONTROLS == {"pause", "again"}
            assert {"slower", "faster", "palette"}.isdisjoint(offered(app))


async def test_where_nothing_can_be_controlled_nothing_of_it_is_offered(recorded: Path) -> None:
    for app, left in (
        (Cockpit(recorded, read_only=True), set()),
        (WebCockpit(recorded, read_only=True), set()),
        (Cockpit(recorded, read_only=True, feed=Replay(recorded, 0.1)), {"pause", "slower", "faster"}),
    ):
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda app=app: app.state.history.run is not None)
            assert offered(app) & (CONTROLS | {"slower", "faster"}) == left
            assert (await found(app, "quit"))[0] == "leave"
            assert ("open" in offered(app)) == (not isinstance(app, WebCockpit))
