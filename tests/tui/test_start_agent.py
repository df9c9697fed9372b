"""The agent of a new run on the start page: which are offered, what they need, what a filled page comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from driving import screen, until
from textual.pilot import Pilot

from core.launch import Options
from tui import starting_agent
from tui.app import Cockpit, Left
from tui.screens.start_run import StartRunScreen
from tui.starting import options_of, preselected


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


@asynccontextmanager
async def page(options: Options, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Cockpit, Pilot[Left]]]:
    app = Cockpit(Path(options.workspace), start=StartRunScreen(options))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "a new run in" in screen(app))
        yield app, pilot


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_claude_says_where_a_key_comes_from_and_starts_only_with_one(
    size: tuple[int, int], toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page(Options(str(toy), agent="claude"), size) as (app, pilot):
        await until(pilot, lambda: "no API key: export ANTHROPIC_API_KEY" in screen(app))
        assert "autoresearch key set" in screen(app)
        assert "experiments of at most 5 s" not in screen(app)
        await pilot.press("enter")
        await pilot.pause(0.3)
        assert isinstance(app.screen, StartRunScreen)  # nothing was started
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
        app.screen.look()
        await until(pilot, lambda: "experiments of at most 5 s" in screen(app))
        assert "no API key" not in screen(app)
        assert "sk-canary" not in screen(app)


async def test_the_cap_is_refused_where_it_cannot_be_kept(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    given = Options(str(toy), agent="claude", agent_options={"model": "nobody-knows"}, max_dollars=2.5)
    async with page(given) as (app, pilot):
        await until(pilot, lambda: "the price of nobody-knows is not known" in screen(app))
        assert "2.5" in screen(app)


def test_the_page_comes_to_the_flags_it_was_filled_in_by(toy: Path) -> None:
    told = {"model": "m", "effort": "low", "price_in": 1.0, "price_out": 2.0}
    for given in (
        Options(str(toy), agent="claude", agent_options=told, max_dollars=2.5),
        Options(str(toy), agent="hybrid"),
        Options(str(toy), agent="command:claude -p --model 'x y'", agent_options={"seconds": 60.0}),
        Options(str(toy), agent="hybrid:command:cat"),
        Options(str(toy), agent="search", max_tokens=9),
    ):
        tasks, chosen = preselected(given, toy)
        wish, wrong = options_of(chosen, tasks, given)
        assert not wrong
        kept = ("agent", "agent_options", "max_dollars", "max_tokens")
        assert [getattr(wish, name) for name in kept] == [getattr(given, name) for name in kept]


def test_another_agent_takes_nothing_over_that_is_not_its_own(toy: Path) -> None:
    given = Options(str(toy), agent="claude", agent_options={"model": "m", "price_in": 1.0}, max_dollars=2.0)
    tasks, chosen = preselected(given, toy)
    wish, _ = options_of(replace(chosen, agent="search"), tasks, given)
    assert (wish.agent, wish.agent_options, wish.max_dollars) == ("search", {}, None)
    _, wrong = options_of(replace(chosen, agent="command"), tasks, given)
    assert "type the command" in wrong["agent"]


def test_the_users_server_goes_with_the_run_unless_it_holds_a_password(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:11434")
    given = Options(str(toy), agent="claude")
    tasks, chosen = preselected(given, toy)
    wish, wrong = options_of(chosen, tasks, given)
    assert not wrong
    assert wish.agent_options == {"base_url": "http://127.0.0.1:11434"}
    assert not starting_agent.KeyLook().trouble(wish.agent, wish.agent_options)  # a server of one's own needs no key
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://ada:secret@127.0.0.1:11434")
    _, wrong = options_of(chosen, tasks, given)
    assert "password" in wrong["agent"]
    assert "secret" not in wrong["agent"]
