"""The command that goes on with a run, where the engine's own words name it."""

from __future__ import annotations

import subprocess

import pytest
from driving import engine_of, screen, until
from recorded_run import STARTED_AT, append, write_run
from textual.screen import Screen

from core import events as ev
from core.launch import RUNS
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
            await until(pilot, lambda: "--workspace" in screen(app))
