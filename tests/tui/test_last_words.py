"""What is said in lines: of an agent at work, of a crash before its repair, at the end on a terminal."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from driving import cockpit, engine_of, screen, until
from recorded_run import append, write_run
from rich.cells import cell_len

from core import events as ev
from tui import plain
from tui.chart import View, draw, points
from tui.feed import Feed
from tui.watch import folded_for_terminal


def waiting(folder: Path) -> Feed:
    """A run whose agent waits for its server."""
    write_run(folder, 3, live=False, ended=False)
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"agent": "search"', '"agent": "command:x"'))
    append(folder, ev.Proposing(4, 2), ev.AgentWaits(4, "529 overloaded", 3600.0), at=time.time())
    feed = Feed(folder, alive=lambda _: True)
    feed.read()
    return feed


def test_a_wait_for_the_agent_is_not_said_again_every_ten_seconds(tmp_path: Path) -> None:
    out = io.StringIO()
    follower = plain._Follower(waiting(tmp_path / "nov20"), out, as_json=False)
    for silent in (11.0, 45.0):
        follower.said_at = time.monotonic() - silent
        follower._heartbeat(follower.feed.state)
    assert out.getvalue() == ""
    follower.said_at = time.monotonic() - 61
    follower._heartbeat(follower.feed.state)
    assert "529 overloaded: again in 59:" in out.getvalue() or "again in 1:00:00" in out.getvalue()


def test_before_a_repair_it_is_said_why(tmp_path: Path) -> None:
    state = waiting(tmp_path / "nov20").state
    why, *tail = plain.tell(ev.Crashed(4, 1, "no `score` in its \x1b[31moutput", "a\nb", 1.0), state)
    assert (why, tail) == ("#4 crashed: no `score` in its output", ["    a", "    b"])


@pytest.mark.parametrize("width", range(20, 130, 7))
def test_last_words_break_between_words_and_in_no_command(width: int) -> None:
    command = "`autoresearch resume nov20 --workspace /home/ada/.local/share/autoresearch/demo`"
    words = f"stopped by the user; {command} goes on from there"
    lines = folded_for_terminal(words, width)
    assert " ".join(lines) == words
    assert any(command in line for line in lines)
    assert all(cell_len(line) <= width or line == command for line in lines)


async def test_who_reads_no_notes_is_said_before_the_note_is_typed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 3)
    with engine_of(folder):
        async with cockpit(folder, (80, 24)) as (app, pilot):
            await pilot.press("t")
            await until(pilot, lambda: "steer: search reads no notes, and will propose as before" in screen(app))


def test_beside_a_billion_a_score_of_six_stands_at_nothing(tmp_path: Path) -> None:
    state = waiting(tmp_path / "nov20").state
    found = points(state.history)
    last = found[-1]
    odd = [*found[:-1], type(last)(last.number, "keep", -1e9, -1e9)]
    grid = draw(odd, 40, 10, View("min"))
    assert grid.labels[0].strip() == "0"
    assert not any("-" in label for label in grid.labels)
