"""Every key of the table, and what it does: on the screen, or in what the engine heard."""

from __future__ import annotations

from pathlib import Path

import key_proofs_panes  # noqa: F401 - what is proved there
import pytest
from driving import cockpit, experiments, said, screen, until
from key_proofs import PROOFS, At
from listening import listener
from recorded_run import write_run

from tui import config, keys
from tui.screens.prompt import Prompt
from tui.themes import THEMES


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
    wish('pause = "f5"\ninterrupt = "ctrl+x"\npalette = "f2"\nlog = "f6"')
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


def wish(words: str) -> None:
    config.path().parent.mkdir(parents=True)
    config.path().write_text(f"[keys]\n{words}\n")


@pytest.mark.parametrize(
    ("words", "told", "good"),
    [
        ('skip = "j"', ["j is the key of select; to swap them give select another key there too"], {}),
        ('skip = "f5,↓"', ["↓ is the key of select; to swap"], {}),
        ('best = "?"', ["? is the key of help; to swap"], {}),
        ('best = "Esc"', ["esc is the key of back; to swap"], {}),
        ('best = "z"\nhelp = "z"', ["z is the key of best; take another key"], {"best": "z"}),
        ('best = "s"\nskip = "j"', ["j is the key of select; to swap", "s is the key of skip; to swap"], {}),
        ('skip = "j"\nselect = "s"', [], {"skip": "j", "select": "s"}),
        ('best = "z"', [], {"best": "z"}),
        ('best = "F5, shift+z, ctrl+X, +"\ntaller = "minus"\nlower = "u"', [],
         {"best": "f5,Z,ctrl+x,plus", "taller": "minus", "lower": "u"}),
        ('best = ["z", "f5"]', ["write one text, several keys with commas between"], {}),
        ('best = "z,"', ["a key is missing beside a comma"], {}),
        ('best = "banana"', ["there is no key 'banana'"], {}),
        ('best = "ctrl+m"', ["terminals send it as enter"], {}),
        ('best = "ctrl+q"', ["it leaves, always"], {}),
        ('bst = "z"', ["no key has this name"], {}),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_given_is_passed_over_and_says_why(
    words: str, told: list[str], good: dict[str, str]
) -> None:
    wish(words)
    found = config.load(set(THEMES))
    assert found.keys == good
    assert all(why in found.trouble for why in told), found.trouble
    assert found.trouble.count("keys.") == len(told), found.trouble


async def test_a_key_of_another_keeps_its_meaning_and_what_was_passed_over_can_be_read_later(tmp_path: Path) -> None:
    wish('skip = "j"')
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: 'passed over keys.skip = "j": j is the key of select' in screen(app))
            assert "s skip" in screen(app)
            await pilot.press("j")
            assert experiments(app).selected == 17
            app._notice = None
            await pilot.press("i")
            assert 'keys.skip = "j": j is the key of select' in said(app)
            await pilot.press("escape", "?")
            await until(pilot, lambda: "to swap them give select another key" in " ".join(screen(app).split()))
            await pilot.press("escape", "s")
            await until(pilot, lambda: engine.commands == ["skip"])


async def test_keys_that_are_swapped_act_swapped(tmp_path: Path) -> None:
    wish('skip = "j"\nselect = "s"')
    folder = write_run(tmp_path / "nov20", 18)
    with listener(folder) as engine:
        async with cockpit(folder, live=False) as (app, pilot):
            await until(pilot, lambda: "j skip" in screen(app))
            await pilot.press("s", "down")
            assert experiments(app).selected == 17
            assert engine.commands == []
            await pilot.press("j")
            await until(pilot, lambda: engine.commands == ["skip"])


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
