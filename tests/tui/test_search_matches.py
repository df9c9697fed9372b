"""What a search shows: the match in the row and in the diff, which of how many, and the way from one to the next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from recorded_run import write_run
from test_snapshots import cockpit as in_a_terminal
from test_snapshots import colour_of, themed

from core.experiment import Experiment, Measurement, Verdict
from core.history import History
from tui.listing import Listing
from tui.widgets.diff import DiffView
from tui.widgets.marking import holds, lit
from tui.widgets.rows import finished


def sought(words: str) -> re.Pattern[str]:
    pattern = Listing(History(), search=words).sought
    assert pattern is not None
    return pattern


# --- a row -----------------------------------------------------------------------------------------------------------


def test_every_match_stands_out_and_nothing_else() -> None:
    pieces = [("16 ", "gutter"), ("+ ", "plus"), ("lr = 16 * ", ""), ("LR", "keyword")]
    found = list(lit(pieces, sought("lr")))
    assert "".join(words for words, _ in found) == "16 + lr = 16 * LR"
    assert [words for words, style in found if "match" in style] == ["lr", "LR"]
    assert ("LR", "keyword match") in found
    assert [words for words, style in lit(pieces, sought("16")) if "match" in style] == ["16"], "no line number"
    assert not holds(pieces, sought("16 + lr"))
    assert list(lit(pieces, sought("(a+"))) == pieces, "it is no pattern"
    split = [("aXX", "string"), ("XXb", "")]
    assert list(lit(split, sought("xxxx"))) == [("a", "string"), ("XX", "string match"), ("XX", " match"), ("b", "")]
    assert len(list(lit([("ab" * 50_000, "")], sought("a")))) == 100_000, "a line of any length, in one pass"


def told(row: list[tuple[str, str]]) -> str:
    return "".join(words for words, _ in row)


def experiment(description: str) -> Experiment:
    measured = Measurement(2.1817, 15.0, 20.0, 512.0, {})
    verdict = Verdict("discard", "within noise")
    return Experiment(18, "c" * 40, "p", description, "", "", 9, {}, measured, verdict, 0, 0.0018, 1, 1)


@pytest.mark.parametrize("width", [48, 80, 200])
def test_the_row_shows_the_match_and_its_figures_none(width: int) -> None:
    row = finished(experiment("18 heads"), width, None, "", sought=sought("18"))
    assert [words for words, style in row if "match" in style] == ["18", "18"], "the number, and the description"
    row = finished(experiment("18 heads"), width, None, "", sought=sought("#18"))
    assert [words for words, style in row if "match" in style] == ["18"]
    row = finished(experiment("x"), width, None, "", sought=sought("noise"))
    assert [words for words, style in row if "match" in style] == (["noise"] if "noise" in told(row) else [])


def test_a_match_behind_the_edge_is_brought_before_it() -> None:
    long = "raise the matrix learning rate a little and the embeddings by a half, softcap as it was"
    row = "".join(words for words, _ in finished(experiment(long), 60, None, "", sought=sought("softcap")))
    assert "softcap" in row[:59]
    assert "…" in row
    assert long[:10] in "".join(words for words, _ in finished(experiment(long), 60, None, "", sought=sought("raise")))


# --- the cockpit -----------------------------------------------------------------------------------------------------


async def test_the_prompt_says_which_of_how_many_and_the_arrows_go_from_one_to_the_next(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 60), (80, 24)) as (app, pilot):
        before = app.research.body.region
        await pilot.press("slash", *"tried at 3")
        await until(pilot, lambda: "1 of 10   ↓ ↑" in screen(app).splitlines()[-1])
        assert app.research.body.region == before, "nothing moves for the prompt"
        await pilot.press("down", "down", "up")
        await until(pilot, lambda: "2 of 10" in screen(app).splitlines()[-1])
        assert experiments(app).selected == 38
        await pilot.press(*"zz")
        await until(pilot, lambda: screen(app).splitlines()[-1].rstrip().endswith("none"))
        await pilot.press("backspace", "backspace", "enter")
        await until(pilot, lambda: "q leave" in screen(app).splitlines()[-1])
        assert "of 10 “tried at 3”" in screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: "tried at 3”" not in screen(app))
        assert app.research.diffs.view.sought is None


async def test_n_goes_from_match_to_match_and_on_to_the_next_experiment(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 60), (80, 24)) as (app, pilot):
        view = app.screen.query_one(DiffView)
        await pilot.press("slash", *"softcap = 3", "enter")
        await until(pilot, lambda: "1 of 11" in screen(app))
        await until(pilot, lambda: view._match is not None)
        first = experiments(app).selected
        line = view.content[view._match or 0]
        assert "SOFTCAP = 3" in getattr(line, "text", ""), "the change is in view at once"
        seen = [first]
        for _ in range(4):
            await pilot.press("n")
            await pilot.pause()
            seen.append(experiments(app).selected)
        assert seen[-1] < first
        assert sorted(seen, reverse=True) == seen
        await pilot.press("N", "N", "N", "N", "N")
        await pilot.pause()
        assert experiments(app).selected == first


async def test_in_a_long_diff_n_reaches_what_was_laid_out_later(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 200)
    async with cockpit(folder, (120, 40)) as (app, pilot):
        view = app.screen.query_one(DiffView)
        await pilot.press("D", "slash", *"GELU", "enter")
        await until(pilot, lambda: view._sheet.whole and len(view.content) > 2000)
        await pilot.press("n")
        await until(pilot, lambda: "F.gelu" in screen(app))
        assert view.scroll_offset.y > 1000


@pytest.mark.parametrize(("theme", "fg"), [("night", "0e1318"), ("ansi", "black")])
def test_a_match_has_a_colour_of_its_own(theme: str, fg: str, tmp_path: Path) -> None:
    themed(tmp_path, theme)
    with in_a_terminal("running", tmp_path, (120, 40)) as t:
        t.until(lambda: "q leave" in t.shown, 40)
        t.press("/GELU")
        t.until(lambda: "1 of 1" in t.shown)
        t.until(lambda: colour_of(t, "GELU in place")[0] == fg)


def test_without_colour_a_match_is_underlined(tmp_path: Path) -> None:
    with in_a_terminal("running", tmp_path, (120, 40), NO_COLOR="1") as t:
        t.until(lambda: "q leave" in t.shown, 40)
        t.press("/GELU\r")
        t.until(lambda: "1 of 1" in t.shown and "“GELU”" in t.shown)
        y = next(y for y, line in enumerate(t.screen.display) if "GELU in place" in line)
        x = t.screen.display[y].index("GELU in place")
        assert [t.screen.buffer[y][x + i].underscore for i in range(6)] == [True] * 4 + [False] * 2
