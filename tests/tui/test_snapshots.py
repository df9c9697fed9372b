"""What the cockpit shows, cell by cell: the real program in a pty, in every state and at three sizes.

AUTORESEARCH_SNAPSHOTS=write python -m pytest tests/tui/test_snapshots.py    # after a change that is meant: write anew
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from emulator import Terminal, terminal
from states import KEYS, STATES

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = ((80, 24), (120, 40), (200, 60))
WRITE = os.environ.get("AUTORESEARCH_SNAPSHOTS") == "write"
QUIET_SECONDS, LIMIT_SECONDS = 5.0, 40.0  # a screen that is not as it should be by then will not become so

_SGR = re.compile(rb"\x1b\[([\d;]*)m")
_COLOURS = re.compile(r"(?:^|;)(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;|$)")


def shown(t: Terminal) -> str:
    return "".join(f"{line.rstrip()}\n" for line in t.screen.display)


def settled(t: Terminal, done: Callable[[], bool]) -> bool:
    """Draw until it is so, or until nothing has come for a while."""
    t.until(lambda: bool(shown(t).strip()), LIMIT_SECONDS)
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done() and time.monotonic() < deadline:
        before = len(t.written)
        t.draw(QUIET_SECONDS)
        if len(t.written) == before:
            break
    return done()


def cockpit(state: str, folder: Path, size: tuple[int, int], **environment: str):
    program = str(Path(__file__).with_name("states.py"))
    return terminal(sys.executable, program, state, str(folder / "nov20"), size=size, TZ="UTC", **environment)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_the_screen_is_as_it_was(state: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = SNAPSHOTS / f"{state}-{size[0]}x{size[1]}.txt"
    with cockpit(state, tmp_path, size) as t:
        if keys := KEYS.get(state):
            t.until(lambda: "val_bpb" in t.shown, LIMIT_SECONDS)
            t.press(keys)
        if WRITE:
            settled(t, lambda: False)
            assert "val_bpb" in t.shown, f"no cockpit to be seen:\n{t.shown}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(shown(t), encoding="utf-8")
            return
        wanted = path.read_text(encoding="utf-8")
        same = settled(t, lambda: shown(t) == wanted)
        changes = difflib.unified_diff(wanted.splitlines(), shown(t).splitlines(), str(path.name), "now", lineterm="")
        assert same, "\n".join(changes) + "\n\nif that is meant: AUTORESEARCH_SNAPSHOTS=write, and look at what changed"


def themed(tmp_path: Path, theme: str) -> None:
    """The user's own wish, where the cockpit looks for it."""
    folder = tmp_path / "config" / "autoresearch"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'[cockpit]\ntheme = "{theme}"\n')


def painted(t: Terminal) -> None:
    t.until(lambda: "trying #18" in t.shown and "q leave" in t.shown, LIMIT_SECONDS)


def colour_of(t: Terminal, words: str) -> tuple[str, str]:
    """Foreground and background of the first cell of these words."""
    y = next((y for y, line in enumerate(t.screen.display) if words in line), None)
    if y is None:
        return "", ""
    cell = t.screen.buffer[y][t.screen.display[y].index(words)]
    return cell.fg, cell.bg


def colours_written(t: Terminal) -> set[str]:
    """All that was ever written to choose a colour."""
    return {sent.decode() for sent in _SGR.findall(t.written) if _COLOURS.search(sent.decode())}


KEPT, CRASH, ADDED = "● all layers", "× oom", "+ EMBEDDING_LR"


def test_by_night_kept_and_crashed_differ_in_colour(tmp_path: Path) -> None:
    themed(tmp_path, "night")
    with cockpit("running", tmp_path, (120, 40)) as t:
        painted(t)
        assert colour_of(t, KEPT) == ("35c9a5", "0e1318")
        assert colour_of(t, CRASH)[0] == "f27c5e"
        assert colour_of(t, ADDED) == ("35c9a5", "0f3d30")


def test_the_ansi_theme_leaves_every_colour_to_the_terminal(tmp_path: Path) -> None:
    themed(tmp_path, "ansi")
    with cockpit("running", tmp_path, (120, 40)) as t:
        painted(t)
        assert colour_of(t, KEPT) == ("cyan", "default")
        assert colour_of(t, CRASH)[0] == "red"
        assert [sent for sent in colours_written(t) if "38" in sent.split(";") or "48" in sent.split(";")] == []


@pytest.mark.parametrize("theme", ["night", "day", "ansi"])
def test_without_colour_none_is_written(theme: str, tmp_path: Path) -> None:
    themed(tmp_path, theme)
    with cockpit("running", tmp_path, (120, 40), NO_COLOR="1") as t:
        painted(t)
        assert colours_written(t) == set()
        assert [glyph for glyph in "●·×›▶+-" if glyph not in t.shown] == []


def test_the_colours_of_a_theme_that_is_chosen_while_it_runs_are_painted_at_once(tmp_path: Path) -> None:
    with cockpit("running", tmp_path, (120, 40)) as t:
        painted(t)
        t.press("\x10")  # the palette
        t.until(lambda: colour_of(t, KEPT)[0] != "35c9a5")
        t.press("colours of day")
        t.until(lambda: "the colours of day" in t.shown and "the colours of ansi" not in t.shown)
        t.press("\r")
        t.until(lambda: colour_of(t, KEPT)[0] == "00755c", LIMIT_SECONDS)
