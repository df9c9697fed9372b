"""Every key of the table, and what it does: on the screen, or in what the engine heard."""

from __future__ import annotations

from pathlib import Path

import key_proofs_panes  # noqa: F401 - what is proved there
import pytest
from driving import cockpit, screen, until
from key_proofs import PROOFS, At
from listening import listener
from recorded_run import write_run

from tui import keys
from tui.screens.prompt import Prompt


def test_terminals_send_every_key_as_itself() -> None:
    """Ctrl with m, i, h, j is Enter, Tab, Backspace, a new line to a terminal without the kitty protocol."""
    pressed = {single.strip() for key in keys.KEYS for single in key.keys.split(",")}
    assert not pressed & {"ctrl+m", "ctrl+i", "ctrl+h", "ctrl+j", "ctrl+s", "ctrl+q", "ctrl+z"}
    assert not [name for name in pressed if name.startswith("shift+") or "alt+" in name]


def test_no_two_keys_are_one() -> None:
    first = [name for key in keys.KEYS for name in key.keys.split(",")]
    assert len(first) == len(set(first))


# --- all of them ------------------------------------------------------------------------------------------------------


def test_no_key_lacks_a_proof() -> None:
    assert {key.id for key in keys.KEYS} == set(PROOFS)


@pytest.mark.parametrize("id", sorted(PROOFS))
async def test_a_key_does_what_it_says(id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "training #18" in screen(app))
            await PROOFS[id](At(app, pilot, engine, monkeypatch))


# --- keys of the user's own ------------------------------------------------------------------------------------------


async def test_remapped_keys_act_and_are_shown_everywhere(tmp_path: Path) -> None:
    from tui import config

    config.path().parent.mkdir(parents=True)
    config.path().write_text('[keys]\npause = "f5"\ninterrupt = "ctrl+x"\npalette = "f2"\nlog = "f6"\n')
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "f5 pause" in screen(app))
            await pilot.press("p", "ctrl+c", "ctrl+p", "2")
            assert app.screen is app.research
            assert app.research.pane == "diff"
            await pilot.press("f5", "f6")
            await until(pilot, lambda: engine.commands == ["pause"])
            assert app.research.pane == "log"
            await pilot.press("ctrl+x")
            await until(pilot, lambda: "again within 3 s" in screen(app))
            await pilot.press("?")
            await until(pilot, lambda: "f5 " in screen(app))
            await pilot.press("escape", "f2")
            await until(pilot, lambda: "pause the run now" in screen(app))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('best = "p"', "keys.best = 'p': p is the key of pause"),
        ('best = "?"', "keys.best = '?': ? is the key of help"),
        ('best = "z"\nhelp = "z"', "z is the key of"),
        ('best = "z"', ""),
        ('best = "y"\nscale = "b"', ""),
    ],
)
async def test_a_key_that_is_given_away_twice_is_said(tmp_path: Path, words: str, told: str) -> None:
    from tui import config

    config.path().parent.mkdir(parents=True)
    config.path().write_text(f"[keys]\n{words}\n")
    async with cockpit(write_run(tmp_path / "nov20", 5)) as (app, pilot):
        await until(pilot, lambda: "RUN" in screen(app))
        assert ("the key of" in screen(app)) == bool(told)
        assert told in screen(app)


async def test_typing_is_never_taken_for_a_key(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await pilot.press("slash", *"pqsyn1?")
            assert app.research.search_bar.value == "pqsyn1?"
            await pilot.press("escape", "t", *"pqsyn1?/")
            assert isinstance(app.screen, Prompt)
            await pilot.press("enter")
            await until(pilot, lambda: engine.heard == [{"command": "steer", "text": "pqsyn1?/"}])
