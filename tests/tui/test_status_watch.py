"""`autoresearch status --watch`: on a terminal and off it, until the run ends or Ctrl-C."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import autoresearch, until
from driving import engine_of
from emulator import terminal
from recorded_run import write_run

from core import events as ev
from tui.live import Live
from tui.status_watch import Place, change, live_words, watch_status

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "work" / ".git").mkdir(parents=True)
    return write_run(tmp_path / "work" / ".autoresearch" / "nov20", 18)


def words(folder: Path, *flags: str) -> list[str]:
    return [AUTORESEARCH, "status", "nov20", "--workspace", str(folder.parent.parent), "--watch", "0.1", *flags]


@contextmanager
def watching(folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """It at work, and the file that it writes to."""
    out = folder.parent / "out"
    with out.open("w") as file:
        process = subprocess.Popen(words(folder, *flags), stdout=file, stderr=subprocess.PIPE, text=True)
    try:
        yield process, out
    finally:
        process.kill()
        process.communicate()


def test_on_a_terminal_it_stays_in_one_place_until_the_run_ends(run_folder: Path) -> None:
    shell = ("sh", "-c", 'echo before; exec "$@"', "-")
    with engine_of(run_folder) as engine, terminal(*shell, *words(run_folder)) as t:
        t.until(lambda: "run nov20: running, training experiment 18" in t.shown and "loss" in t.shown)
        engine.write(ev.TrialHeld(18, 1, 68))
        t.until(lambda: "run nov20: paused" in t.shown)
        assert re.search(r"step \d+, loss \d", t.shown)
        engine.write(ev.RunEnded("done", "18 experiments"))
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.screen.display[0].startswith("before"), "what stood there before stays"
        assert t.screen.display[1].startswith("run nov20: done")
        assert t.shown.count("run nov20:") == 1
        assert not t.screen.cursor.hidden
        assert b"\x1b[?1049h" not in t.written


def test_ctrl_c_ends_the_watching_alone(run_folder: Path) -> None:
    with engine_of(run_folder) as engine, terminal(*words(run_folder)) as t:
        t.until(lambda: "run nov20: running" in t.shown)
        t.process.send_signal(signal.SIGINT)
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 130
        assert not t.screen.cursor.hidden
        assert "Traceback" not in t.shown
        assert engine.heard == []


def test_a_terminated_one_gives_the_cursor_back(run_folder: Path) -> None:
    with engine_of(run_folder), terminal(*words(run_folder)) as t:
        t.until(lambda: "run nov20: running" in t.shown)
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 143
        assert not t.screen.cursor.hidden


def test_off_a_terminal_there_is_a_line_for_each_change(run_folder: Path) -> None:
    with engine_of(run_folder) as engine, watching(run_folder) as (process, out):
        until(lambda: "running" in out.read_text())
        telemetry = run_folder / "trials" / "18-1" / "telemetry.jsonl"
        with telemetry.open("a") as file:
            file.write(json.dumps({"step": 999, "loss": 1.0}) + "\n")
        engine.write(ev.TrialHeld(18, 1, 68))
        until(lambda: "paused" in out.read_text())
        engine.write(ev.RunEnded("failed", "the disk is full"))
        assert process.wait(30) == 1
        *block, paused, failed = out.read_text().splitlines()
        assert block[0] == "run nov20: running, training experiment 18"
        assert re.match(r"\d\d:\d\d:\d\d  run nov20: paused; since ", paused)
        assert re.fullmatch(r"\d\d:\d\d:\d\d  run nov20: failed; the disk is full", failed)
        assert "\x1b" not in out.read_text()
        for once in ("best val_bpb", "at work"):
            assert out.read_text().count(once) == 1, "what has not changed is not said again"


def test_that_time_has_passed_at_work_is_no_change() -> None:
    before = "run t: running\n3 experiments: 1 kept; 0:01:05 at work"
    assert change("", before, 0.0) == before
    assert change(before, before.replace("1:05", "1:06"), 0.0) == ""
    assert change(before, before.replace("running", "paused").replace("1:05", "1:06"), 0.0).endswith("  run t: paused")
    more = change(before, before.replace("1 kept; 0:01:05", "2 kept; 0:01:09"), 0.0)
    assert more.endswith("  3 experiments: 2 kept; 0:01:09 at work")


def test_as_json_each_change_is_a_line(run_folder: Path) -> None:
    with engine_of(run_folder) as engine, watching(run_folder, "--json") as (process, out):
        until(lambda: out.read_text() != "")
        engine.write(ev.TrialHeld(18, 1, 68))
        until(lambda: out.read_text().count("\n") == 2)
        engine.write(ev.RunEnded("stopped", "by the user"))
        assert process.wait(30) == 0
        assert [json.loads(line)["state"] for line in out.read_text().splitlines()] == ["running", "paused", "stopped"]


def test_of_an_engine_that_is_gone_it_says_so_once(run_folder: Path) -> None:
    out = io.StringIO()
    assert watch_status(run_folder, 0.1, out) == 1
    assert out.getvalue().count("run nov20: its engine is gone") == 1
    assert "autoresearch resume nov20" in out.getvalue()


@pytest.mark.parametrize(
    ("given", "told"), [("nov20", "a tag stands before"), ("0", "between 0.1 and 86400"), ("nan", "between")]
)
def test_what_is_no_number_of_seconds_is_told(run_folder: Path, given: str, told: str) -> None:
    done = autoresearch("status", "--watch", given, cwd=run_folder.parent.parent)
    assert done.returncode == 2
    assert told in done.stderr


def test_escapes_in_a_journal_do_not_reach_the_terminal(run_folder: Path) -> None:
    journal = run_folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"agent": "search"', '"agent": "\\u001b]0;owned\\u0007sea\\nrch"'))
    done = autoresearch("status", cwd=run_folder.parent.parent)
    assert "agent sea rch" in done.stdout
    assert "owned" not in done.stdout


def test_long_lines_and_low_terminals_leave_no_remnants() -> None:
    with terminal(sys.executable, "-c", PLACE) as t:
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert [line.rstrip() for line in t.screen.display] == ["above", "x" * 80, "x" * 20, "end", *[""] * 20]


PLACE = """
import sys
from tui.status_watch import Place
print("above")
place = Place(sys.stdout)
for lines in (["y" * 200, "z"], ["short"], ["界" * 50, "", "q"], ["x" * 100, "end"]):
    place.show(lines)
place.leave()
"""


def test_what_the_trial_did_not_say_is_left_out() -> None:
    assert live_words(None) == live_words(Live(1, 1)) == []
    assert live_words(Live(1, 1, step=7)) == ["step 7"]
    assert live_words(Live(1, 1, step=7, loss=3.25, tokens_per_second=30100.0, eta_seconds=8.9)) == [
        "step 7, loss 3.2500, 30.1k tok/s, 8.9 s left"
    ]


def test_a_terminal_that_knows_no_size_is_shown_all_the_same() -> None:
    import fcntl
    import os
    import pty
    import select
    import struct
    import termios

    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert tuple(os.get_terminal_size(theirs)) == (0, 0)
        with os.fdopen(os.dup(theirs), "w") as out:
            place = Place(out)
            place.show(["run nov20: running", "x" * 100])
            place.show(["run nov20: done"])
            place.leave()
        written = ""
        while "done" not in written and select.select([ours], [], [], 5.0)[0]:  # it comes in pieces
            written += os.read(ours, 4096).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert "run nov20: running" in written
    assert "x" * 80 + "\x1b[K\r\n" + "x" * 20 in written
    assert "\x1b[3A\rrun nov20: done" in written
