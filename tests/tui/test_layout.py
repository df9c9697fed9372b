"""Where the panes stand: layouts, borders, zoom, and what of it is remembered."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from driving import cockpit, experiments, screen, until
from hypothesis import given
from hypothesis import strategies as st
from recorded_run import write_run
from textual.geometry import Region, Size

from tui import arrangement
from tui.app import Cockpit
from tui.arrangement import Arrangement
from tui.layout import BORDERS, KINDS, PANES, PARTS, kind_of, moved, plan, taller
from tui.widgets.diff import DiffView
from tui.widgets.panes import Panes


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def body(app: Cockpit) -> Panes:
    return app.screen_stack[0].query_one(Panes)


def widths(app: Cockpit) -> dict[str, Region]:
    return dict(body(app).plan.places)


def drawn(app: Cockpit) -> tuple[int, set[int]]:
    """How many rows the screen has, and how wide they are."""
    strips = app.screen._compositor.render_strips()
    return len(strips), {strip.cell_length for strip in strips}


# --- the plan --------------------------------------------------------------------------------------------------------

SIZES = st.builds(Size, st.integers(1, 320), st.integers(1, 120))
CELLS = st.dictionaries(st.sampled_from(BORDERS), st.integers(0, 400))


@given(SIZES, CELLS, st.sampled_from((None, *PARTS)), st.permutations(PANES))
def test_the_parts_fill_the_body_and_never_overlap(window: Size, borders, alone, front) -> None:
    kind = kind_of(window)
    found = plan(kind, Size(window.width, max(0, window.height - 4)), front, borders, alone)
    covered = [*found.places.values(), *found.lines]
    assert sum(region.area for region in covered) == (0 if kind == "tiny" else found.size.area)
    assert all(region in found.size.region for region in covered)
    assert not any(a.overlaps(b) for i, a in enumerate(covered) for b in covered[:i])
    for pane, tabs in found.tabs.items():
        assert pane in tabs
        assert found.places[pane].height >= 3
    if kind != "tiny" and alone is None:
        assert sorted(pane for tabs in found.tabs.values() for pane in tabs) == sorted(PANES), "each can be reached"


@given(SIZES, CELLS, st.sampled_from(BORDERS), st.integers(-50, 50), st.sampled_from(PANES))
def test_a_moved_border_stands_where_it_was_moved_to(window: Size, borders, border, steps: int, pane) -> None:
    kind, size = kind_of(window), Size(window.width, max(0, window.height - 4))
    before = plan(kind, size, PANES, borders)
    if found := moved(before, border, steps):
        after = plan(kind, size, PANES, {**borders, found[0]: found[1]})
        assert after.extents[border].cells == found[1] != before.extents[border].cells
        way = after.grips[border].offset - before.grips[border].offset
        assert (way.x or way.y) * steps > 0, "it follows the mouse"
    front = (pane, *PANES)
    before = plan(kind, size, front, borders)
    if found := taller(before, pane, 1):
        after = plan(kind, size, front, {**borders, found[0]: found[1]})
        assert after.places[pane].height >= before.places[pane].height


@pytest.mark.parametrize(
    ("window", "kind"),
    [((80, 24), "narrow"), ((99, 40), "narrow"), ((80, 60), "portrait"), ((90, 100), "portrait"), ((120, 40), "wide"),
     ((159, 100), "wide"), ((200, 60), "ultra"), ((59, 40), "tiny"), ((200, 14), "tiny")],
)  # fmt: skip
def test_breakpoints(window: tuple[int, int], kind: str) -> None:
    assert kind_of(Size(*window)) == kind


def test_a_small_window_for_a_moment_costs_nothing() -> None:
    borders = {"left": 70, "plot": 20}
    assert plan("wide", Size(101, 12), PANES, borders).extents["left"].cells == 70
    assert plan("wide", Size(100, 12), PANES, borders).extents["left"].cells == 69
    assert plan("wide", Size(140, 50), PANES, borders).extents["plot"].cells == 20


# --- on the screen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "together"),
    [((80, 24), {"diff"}), ((80, 60), {"diff", "log"}), ((120, 40), {"diff", "log"}), ((200, 60), {*PANES})],
)
async def test_which_panes_are_seen(recorded: Path, size: tuple[int, int], together: set[str]) -> None:
    async with cockpit(recorded, size) as (app, pilot):
        assert set(widths(app)) == {"plot", "experiments", *together}
        for number, pane in enumerate(PANES, start=1):
            await pilot.press(str(number))
            await pilot.pause()
            assert pane in widths(app)
            assert f"▸{pane.capitalize()}" in screen(app)


async def test_keys_move_borders_and_0_puts_them_back(recorded: Path) -> None:
    async with cockpit(recorded, (200, 60)) as (app, pilot):
        before = widths(app)
        await pilot.press(">", ">", "+", "(")
        await pilot.pause()
        between = widths(app)
        assert between["experiments"].width == before["experiments"].width + 4
        assert between["plot"].height == before["plot"].height - 2
        await pilot.press("3", "<", "+", "=", "-")
        await pilot.pause()
        after = widths(app)
        assert after["notes"].width == between["notes"].width + 2
        assert after["log"].height == between["log"].height - 1
        await pilot.press("0")
        await pilot.pause()
        assert widths(app) == before


async def test_borders_are_dragged(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        before = widths(app)
        top, edge = body(app).region.y, before["experiments"].width
        for start, end in (((edge, top + 5), (edge + 9, top + 7)), ((90, top + before["log"].y), (90, top + 15))):
            await pilot.mouse_down(offset=start)
            await pilot.mouse_up(offset=end)  # which moves the mouse there first
            await pilot.pause()
        assert widths(app)["experiments"].width == edge + 9
        assert widths(app)["log"].y == 15
        assert app.mouse_captured is None
        await pilot.hover(offset=(20, 20))
        await pilot.pause()
        assert widths(app)["experiments"].width == edge + 9, "let go is let go"


async def test_a_click_on_a_name_brings_that_pane(recorded: Path) -> None:
    async with cockpit(recorded, (80, 24)) as (app, pilot):
        await pilot.click("#diff-title", offset=(14, 0))
        await pilot.pause()
        assert "notes" in widths(app)
        await pilot.click("#notes-title", offset=(8, 0))
        await pilot.pause()
        assert "log" in widths(app)


@pytest.mark.parametrize(("key", "part"), [("enter", "diff"), ("4", "experiments"), ("5", "plot")])
async def test_every_part_can_be_alone(recorded: Path, key: str, part: str) -> None:
    async with cockpit(recorded) as (app, pilot):
        before = widths(app)
        await pilot.press(key)
        await pilot.pause()
        assert widths(app) == {part: body(app).size.region}
        await pilot.press("3")
        await pilot.pause()
        assert list(widths(app)) == ["notes"]
        await pilot.press("escape", "2", "1")
        await pilot.pause()
        assert widths(app) == before


# --- what is remembered ----------------------------------------------------------------------------------------------


async def test_the_arrangement_is_found_again_per_layout(recorded: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await pilot.press(">", ">", "d", "w", "2")
        await pilot.pause()
        changed = widths(app)
    async with cockpit(recorded) as (app, pilot):
        assert widths(app) == changed
        assert "▸Diff" in screen(app), "which pane is in front is a look of the moment"
        view = app.screen.query_one(DiffView)
        assert (view.splits, view.wrap) == (True, True)
        await pilot.resize_terminal(200, 60)
        await pilot.pause()
        assert body(app).plan.extents["left"].cells == plan("ultra", body(app).size, PANES, {}).extents["left"].cells


async def test_it_is_written_while_the_cockpit_runs(recorded: Path) -> None:
    async with cockpit(recorded) as (_, pilot):
        await pilot.press(">")
        await until(pilot, lambda: arrangement.path().exists())
        assert json.loads(arrangement.path().read_text())["borders"]["wide"]["left"] > 48


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '{"borders": 7}', '{"borders": {"wide": []}, "pane": ["x"], "split": "yes", "wrap": 1}',
     '{"borders": {"wide": {"left": "wide", "plot": -3, "log": true, "right": 1e9, "x": 5}}}',
     "[" * 50_000, "\x00\xff"],
)  # fmt: skip
async def test_a_damaged_file_is_as_none(recorded: Path, damage: str) -> None:
    arrangement.path().parent.mkdir(parents=True, exist_ok=True)
    arrangement.path().write_bytes(damage.encode("latin-1"))
    assert arrangement.recall() == Arrangement()


def test_a_state_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    arrangement.keep(Arrangement().moved("wide", "left", 60))
    assert arrangement.recall() == Arrangement()


@given(st.dictionaries(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(BORDERS), st.integers(1, 500))))
def test_what_is_kept_is_recalled(borders) -> None:
    kept = Arrangement({kind: cells for kind, cells in borders.items() if cells}, split=False, wrap=True)
    arrangement.keep(kept)
    assert arrangement.recall() == kept


# --- storms ----------------------------------------------------------------------------------------------------------


async def test_two_hundred_sizes_one_after_the_other(recorded: Path) -> None:
    draw = random.Random(4)
    async with cockpit(recorded) as (app, pilot):
        for turn in range(200):
            size = draw.randint(20, 250), draw.randint(5, 80)
            await pilot.resize_terminal(*size)
            if not turn % 5:
                await pilot.press(draw.choice("123dw<>+-()j4l"))
            await until(pilot, lambda size=size: drawn(app) == (size[1], {size[0]}))
        await pilot.press("0", "1", "escape")
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        await pilot.press("G", "b")
        await until(pilot, lambda: 'WINDOW_PATTERN = "L"' in screen(app))
        assert experiments(app).selected == 13


async def test_the_smallest_windows(recorded: Path) -> None:
    async with cockpit(recorded, (20, 5)) as (app, pilot):
        for size in ((1, 1), (2, 2), (59, 200), (60, 15), (60, 14), (300, 15), (100, 15), (160, 15), (20, 5)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await pilot.press("j", "+", "<", "2")
            await until(pilot, lambda size=size: drawn(app) == (size[1], {size[0]}))
        assert "best 2.2993" in screen(app)
