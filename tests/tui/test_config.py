"""The user's config file: themes, keys, and what is wrong in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from driving import cockpit, engine_of, screen, until
from recorded_run import write_run
from rich.cells import cell_len

from core import events as ev
from tui import config
from tui.glyphs import level


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def wish(words: str) -> None:
    config.path().parent.mkdir(parents=True)
    config.path().write_text(words)


async def test_theme_and_keys_are_the_users(recorded: Path) -> None:
    wish('[cockpit]\ntheme = "day"\n[keys]\nbest = "z,f5"\n')
    async with cockpit(recorded) as (app, pilot):
        assert app.theme == "day"
        await pilot.press("b")
        assert "all layers see everything" not in screen(app)
        await pilot.press("z")
        await until(pilot, lambda: "T is short" in screen(app))
        await pilot.press("?")
        await until(pilot, lambda: "z f5" in screen(app))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("[cockpit]\ntheme = 3\n", "theme = 3 (there are ansi, day, night)"),
        (
            "[keys]\nbst = 'z'\nbest = 7\n",
            "keys.bst: no key has this name; ? shows them in grey; keys.best = 7: ",
        ),
        ("cockpit = 3\n[look]\n", "passed over look; cockpit (a table: [cockpit])"),
        ("[cockpit", "cannot be read"),
    ],
)
async def test_what_is_wrong_in_it_is_said_and_passed_over(recorded: Path, words: str, told: str) -> None:
    wish(words)
    async with cockpit(recorded, (200, 40)) as (app, pilot):
        await until(pilot, lambda: told in screen(app))
        assert app.theme == "night"


async def test_a_new_best_rings_and_says_so(recorded: Path) -> None:
    rung = []
    async with cockpit(recorded) as (app, pilot):
        app.bell = lambda: rung.append(1)  # type: ignore[method-assign]
        with engine_of(recorded) as engine:
            engine.write(
                ev.TrialDone(18, 1, 15.0, 110), ev.Measured(18, 1, 2.2001, 15.0, 20.0, 512.0, {}),
                ev.Judged(18, "keep", "better", 13, -0.0992), ev.ExperimentDone(18), ev.Proposing(19, 18),
            )  # fmt: skip
            await until(pilot, lambda: "new best 2.2001 (#18)" in screen(app))
    assert rung == [1]


@pytest.mark.parametrize(("glyphs", "absent"), [("block", "⠤⣀⡇"), ("ascii", "⠤⣀⡇●─│█×·…")])
async def test_terminals_with_fewer_glyphs_get_others_of_the_same_width(
    recorded: Path, glyphs: str, absent: str
) -> None:
    wish(f'[cockpit]\nglyphs = "{glyphs}"\n')
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "RUN" in screen(app))
        shown = screen(app)
        assert not set(absent) & set(shown)
        assert shown.isascii() == (glyphs == "ascii")
        assert all(cell_len(line) == 80 for line in shown.splitlines())
        assert "best 2.2993" in shown
        assert ("7* 8. 2x" in shown) == (glyphs == "ascii")


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("", "braille"),  # a container: nothing is set, and the terminal is as good as any
        ("LANG=", "braille"),
        ("LANG=en_US.UTF-8", "braille"),
        ("LANG=de_DE.utf8", "braille"),
        ("LC_CTYPE=UTF-8", "braille"),  # a Mac's, over ssh
        ("LANG=C.UTF-8 TERM=linux", "block"),
        ("LC_ALL=C", "ascii"),
        ("LANG=C", "braille"),  # no wish: clusters and containers set it
        ("LC_ALL=POSIX", "ascii"),
        ("LC_ALL=de_DE.ISO-8859-1", "ascii"),
        ("LANG=C LC_CTYPE=C.UTF-8", "braille"),
        ("LC_ALL=C.UTF-8 LANG=C", "braille"),
        ("LC_ALL=C LANG=en_US.UTF-8", "ascii"),
    ],
)
def test_what_is_drawn_is_decided_by_the_locale_the_user_chose(said: str, drawn: str) -> None:
    given = dict(word.split("=") for word in said.split())
    bare = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LC_CTYPE", "LANG")} | {"TERM": "xterm"}
    program = "import os; from tui.glyphs import level; print(level(os.environ))"
    done = subprocess.run([sys.executable, "-c", program], env=bare | given, capture_output=True, text=True)
    if sys.platform == "linux" or "C.UTF-8" in said or given.get("LANG") != "C":
        assert done.stdout.strip() == drawn, done.stderr


def test_the_config_file_has_the_last_word_on_glyphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert config.load({"night"}).glyphs == level(os.environ) == "ascii"
    wish('[cockpit]\nglyphs = "braille"\n')
    assert config.load({"night"}).glyphs == "braille"
