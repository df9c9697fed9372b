"""The command that goes on with a run, where the engine's own words name it."""

from __future__ import annotations

import subprocess
import time

import pytest
from driving import cockpit, engine_of, said, screen, until
from recorded_run import STARTED_AT, append, write_run
from textual.screen import Screen
from textual.widgets import Static

from core import events as ev
from core.launch import RUNS, back_command, demo_folder
from tui import plain, report
from tui.app import Cockpit
from tui.feed import Feed
from tui.going_on import as_typed
from tui.standing import standing

THERE = "autoresearch resume nov21 --workspace /there"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("or: autoresearch resume nov21", f"or: {THERE}"),
        ("go on with: autoresearch resume nov21, then answer.", f"go on with: {THERE}, then answer."),
        ("autoresearch resume nov21 --max-dollars N", f"{THERE} --max-dollars N"),
        ("see: autoresearch status nov21", f"see: {THERE.replace('resume', 'status')}"),
        ("autoresearch diff N nov21", f"{THERE.replace('resume', 'diff N')}"),
        ("autoresearch approval on nov21; then", f"{THERE.replace('resume', 'approval on')}; then"),
        ("autoresearch key set, then say resume of nov21", "autoresearch key set, then say resume of nov21"),
        ("autoresearch resume nov21-b", "autoresearch resume nov21-b"),
        ("autoresearch resume nov21.b", "autoresearch resume nov21.b"),
        (THERE, THERE),
    ],
)
def test_the_command_stands_in_the_place_of_the_bare_one(said, told):
    assert as_typed(said, "nov21", THERE) == told
    assert as_typed(said, "nov21", "") == as_typed(said, "nov21", None) == said


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my work" / RUNS / "nov20"
    subprocess.run(["git", "init", "-q", str(tmp_path / "my work")], check=True)
    write_run(folder, 4, live=False, ended=False)
    mend = "go on with p in the cockpit, or: autoresearch resume nov20"
    append(folder, ev.RunPaused("paused by the user", mend), at=STARTED_AT + 400)
    return folder


def test_every_viewer_of_a_paused_run_says_what_works_where_it_stands(folder, monkeypatch, tmp_path):
    whole = f"autoresearch resume nov20 --workspace '{tmp_path / 'my work'}'"
    monkeypatch.chdir(tmp_path)
    feed = Feed(folder, alive=lambda _: True, resume=whole)
    feed.read()
    assert standing(feed.state, 0.0).detail.endswith(f"or: {whole}")
    assert plain.tell(feed.state.history.paused, feed.state)[0].endswith(f"or: {whole}")
    with engine_of(folder):
        assert report.status_text(folder).endswith(f"or: {whole}")
        monkeypatch.chdir(folder.parent.parent)
        assert report.status_text(folder).endswith("or: autoresearch resume nov20")


async def test_what_the_start_page_opens_knows_it_too(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with engine_of(folder):
        app = Cockpit(tmp_path, start=Screen())
        async with app.run_test(size=(120, 40)) as pilot:
            app.attach(folder, new=False)
            await until(pilot, lambda: "p goes on" in screen(app))
            await pilot.press("i")
            assert f"or: autoresearch resume nov20 --workspace '{tmp_path / 'my work'}'" in said(app)


def test_programs_are_told_the_same_mend_as_people(folder, monkeypatch, tmp_path):
    whole = f"autoresearch resume nov20 --workspace '{tmp_path / 'my work'}'"
    monkeypatch.chdir(tmp_path)
    with engine_of(folder):
        assert report.status(folder)["mend"] == f"go on with p in the cockpit, or: {whole}"
    append(folder, ev.RunEnded("done", "the cap is $5: autoresearch resume nov20 --max-dollars N"), at=STARTED_AT + 500)
    assert report.status(folder)["ended"] == f"the cap is $5: {whole} --max-dollars N"
    monkeypatch.chdir(folder.parent.parent)
    assert report.status(folder)["ended"].endswith("autoresearch resume nov20 --max-dollars N")


@pytest.mark.parametrize("at", ["stalled", "waits"])
def test_what_ends_or_answers_is_told_as_it_is_typed_there(at, tmp_path):
    folder = write_run(tmp_path / "nov21", 4)
    if at == "waits":
        append(folder, ev.ApprovalAwaited(4, "--- a/x\n+++ b/x\n@@ -1 +1 @@\n+y\n"), at=STARTED_AT + 100)
    feed = Feed(folder, alive=lambda _: True, resume=THERE)
    feed.read()
    stands = standing(feed.state, time.time() + 100)
    command = THERE.replace("resume", "skip" if at == "stalled" else "approve")
    assert f"or `{command}`" in stands.detail
    assert "autoresearch" not in stands.brief
    assert stands.brief.split(" ")[0] in stands.detail


def test_what_comes_back_to_a_run_depends_on_where_it_is_typed(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent.parent)
    assert back_command(folder) == "autoresearch"
    monkeypatch.chdir(tmp_path)
    assert back_command(folder) == f"cd '{tmp_path / 'my work'}' && autoresearch"
    write_run(demo_folder() / RUNS / "demo", 2)
    assert back_command(demo_folder() / RUNS / "demo") == "autoresearch"


async def test_who_leaves_from_elsewhere_is_told_the_way_back(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with engine_of(folder):
        async with cockpit(folder, (80, 24), live=False) as (app, pilot):
            await pilot.press("q")
            await until(pilot, lambda: "it stays paused; see below" in screen(app))
            foot = str(app.screen.query(".box-foot").last(Static).content)
            assert f"`cd '{tmp_path / 'my work'}' && autoresearch` comes back" in foot
            await pilot.press("d")
            await until(pilot, lambda: app.return_value is not None)
            assert f"`cd '{tmp_path / 'my work'}' && autoresearch` comes back to it" in app.return_value.message
