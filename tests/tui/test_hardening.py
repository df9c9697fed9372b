"""What a cockpit may meet: damaged files, folders that go, engines that die or say nothing, terminals that lie."""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import signal
import struct
import sys
import termios
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from conftest import autoresearch
from driving import cockpit, engine_of, experiments, screen, until
from emulator import Terminal, terminal
from listening import listener
from recorded_run import STARTED_AT, append, write_run
from textual.pilot import Pilot

from core import control, records
from core import events as ev
from tui import arrangement, away, sending
from tui.app import Cockpit, Left

PROGRAM = "import sys; from pathlib import Path; from tui.app import run_cockpit; run_cockpit(Path(sys.argv[1]))"
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x9b5n\x00\x07\u202e 漢字\t👩\u200d🔬\r\nend"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


async def sees(pilot: Pilot[Left], words: str) -> None:
    await until(pilot, lambda: words in screen(pilot.app))


# --- files -----------------------------------------------------------------------------------------------------------


async def test_damaged_lines_in_the_middle_cost_those_lines_alone(recorded: Path) -> None:
    journal = recorded / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = [b"{torn\n", b"\x00\xff\n", b"[1]\n", b'{"type": "New", "time": 1}\n', b'{"type": "Judged", "time": 1}\n']
    journal.write_bytes(b"".join(part for i, line in enumerate(lines) for part in (foreign[i % 5], line)))
    async with cockpit(recorded) as (app, pilot):
        await sees(pilot, "best 2.2993 (#13)")
        assert len(app.state.history.experiments) == 18


async def test_telemetry_cut_short_while_it_is_read(recorded: Path) -> None:
    telemetry = recorded / "trials" / "18-1" / "telemetry.jsonl"
    async with cockpit(recorded) as (_, pilot):
        await sees(pilot, "step 67")
        telemetry.write_text('{"step": 3, "loss": NaN}\n{"step": 4, "lo')
        await sees(pilot, "step 3")
        with telemetry.open("a") as file:
            file.write('ss": 2.5}\n')
        await sees(pilot, "loss 2.500")


async def test_a_run_folder_that_vanishes_and_comes_back(recorded: Path, tmp_path: Path) -> None:
    async with cockpit(recorded) as (app, pilot):
        await sees(pilot, "best 2.2993 (#13)")
        recorded.rename(tmp_path / "away")
        await sees(pilot, "UNREADABLE")
        await until(pilot, lambda: "bring the run folder back" in screen(app).replace("\n", " "))
        await pilot.press("k", "j", "d", "v", "2", "3", "1", "D")
        await pilot.pause(0.3)
        assert "best 2.2993 (#13)" in screen(app), "what was read stays"
        (tmp_path / "away").rename(recorded)
        await until(pilot, lambda: "UNREADABLE" not in screen(app).splitlines()[0])


async def test_a_journal_that_cannot_be_read_is_named(recorded: Path) -> None:
    journal = recorded / "journal.jsonl"
    journal.unlink()
    journal.mkdir()
    app = Cockpit(recorded)
    async with app.run_test(size=(120, 40)) as pilot:
        await sees(pilot, "UNREADABLE")
        await sees(pilot, "Is a directory")


async def test_ten_thousand_experiments_and_a_diff_of_fifty_thousand_lines(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 1)
    long = "--- a/train.py\n+++ b/train.py\n@@ -1,50000 +1,50000 @@\n" + "-old\n+new\n" * 25_000
    with (folder / "journal.jsonl").open("a") as journal:
        for number in range(1, 10_001):
            diff = long if number == 9_999 else "@@ -1 +1 @@\n-a\n+b\n"
            for event in (
                ev.Proposed(number, "p", 0, {}, f"idea {number}", "", {}), ev.Committed(number, "c" * 40, "r", diff, 9),
                ev.Measured(number, 1, 3.0, 15.0, 20.0, 512.0), ev.Judged(number, "discard", "worse", 0, 0.5),
                ev.ExperimentDone(number),
            ):  # fmt: skip
                journal.write(json.dumps(records.to_record(event, STARTED_AT + number)) + "\n")
    async with cockpit(folder) as (app, pilot):
        await until(pilot, lambda: len(app.state.history.experiments) == 10_001)
        await pilot.press("j")
        await sees(pilot, "+25000 −25000")
        assert experiments(app).selected == 9_999
        await pilot.press("G")
        await until(pilot, lambda: experiments(app).selected == 0)
        await pilot.press("g")
        await until(pilot, lambda: experiments(app).selected == 10_000)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_binary_files_line_ends_tabs_and_wide_letters_in_a_diff(recorded: Path, size: tuple[int, int]) -> None:
    diff = (
        "diff --git a/x.bin b/x.bin\nBinary files a/x.bin and b/x.bin differ\ndiff --git a/train.py b/train.py\n"
        "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n-\ta = 1\r\n+\tb = 2\r\n-漢字 = '👩\u200d🔬'\n+漢語 = '🇩🇪'\n"
        " \x1b[2Jx\x00\n"
    )
    append(recorded, ev.Committed(18, "c" * 40, "r", diff, 5), at=STARTED_AT + 9000)
    async with cockpit(recorded, size=size) as (app, pilot):
        await sees(pilot, "Binary files a/x.bin and b/x.bin differ")
        await pilot.press("d", "w")
        await sees(pilot, "漢語")
        strips = app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {size[0]}
        assert "    b = 2" in screen(app)


async def test_hostile_words_are_harmless_wherever_they_stand(recorded: Path) -> None:
    append(
        recorded,
        ev.Steered(HOSTILE), ev.TrialDone(18, 1, 15.0, 9), ev.Crashed(18, 1, HOSTILE, HOSTILE, 1.0),
        ev.Judged(18, "crash", HOSTILE, 13, None), ev.ExperimentDone(18), ev.ApprovalTurned(True), ev.Proposing(19, 13),
        ev.Proposed(19, "p", 13, {}, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}),
        ev.ApprovalAwaited(19, "@@ -1 +1 @@\n+" + HOSTILE),
        ev.Rejected(19, HOSTILE), ev.ProposalRefused(19, HOSTILE, HOSTILE), ev.Acknowledged("pause", HOSTILE),
        ev.RunPaused(HOSTILE, HOSTILE), at=STARTED_AT + 9000,
    )  # fmt: skip
    (recorded / "trials" / "18-1" / "log").write_bytes(HOSTILE.encode(errors="replace") * 30)
    for size in ((80, 24), (200, 60)):
        async with cockpit(recorded, size=size) as (app, pilot):
            await sees(pilot, "PAUSED")
            for key in ("2", "3", "j", "1", "2", "3", "D"):
                await pilot.press(key)
                shown = screen(app)
                assert [c for c in shown if not c.isprintable() and c != "\n"] == []
                assert "owned" not in shown


async def test_a_refusal_of_the_engines_is_cleaned(recorded: Path) -> None:
    with listener(recorded) as engine:
        engine.answers["skip"] = HOSTILE
        async with cockpit(recorded, size=(200, 60)) as (app, pilot):
            await pilot.press("s")
            await sees(pilot, "skip: red")
            assert "\x1b" not in screen(app)


async def test_state_files_that_cannot_be_written_cost_nothing_else(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))  # where folders should be is a file
    async with cockpit(recorded) as (app, pilot):
        await pilot.press("greater_than_sign", "w", "2")
        await pilot.pause(1.2)
        assert app.is_running


@pytest.mark.parametrize(
    "words", ["[" * 100_000, "null", "[1]", '{"x": 1}', "\x00", '{"borders": {"wide": {"left": 1e999}}}']
)
async def test_state_files_of_somebody_elses_are_as_none(recorded: Path, words: str) -> None:
    for path in (arrangement.path(), away._path()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words)
    looks = {str(recorded): {"at": "NaN", "experiments": 3, "best": [1]}}
    if words == "null":
        away._path().write_text(json.dumps(looks))
    async with cockpit(recorded) as (app, pilot):
        await sees(pilot, "best 2.2993 (#13)")
        await pilot.press("w")
        assert app.is_running


# --- engines ---------------------------------------------------------------------------------------------------------


async def test_an_engine_that_accepts_and_never_answers(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.3)
    with listener(recorded) as engine:
        engine.may_answer.clear()
        async with cockpit(recorded) as (app, pilot):
            await pilot.press("s")
            await sees(pilot, "lives but does not answer")
            await sees(pilot, "kill")
            await pilot.press("j")
            assert experiments(app).selected == 17, "the window is alive"


async def test_an_engine_that_dies_is_said_with_the_mend(recorded: Path) -> None:
    app = Cockpit(recorded)
    with engine_of(recorded):
        async with app.run_test(size=(120, 40)) as pilot:
            await sees(pilot, "best 2.2993 (#13)")
            assert "ENGINE GONE" not in screen(app)
    assert not control.alive(recorded)
    app = Cockpit(recorded)
    async with app.run_test(size=(120, 40)) as pilot:
        await sees(pilot, "ENGINE GONE")
        await sees(pilot, "autoresearch resume nov20")


async def test_two_cockpits_that_both_pause_do_not_undo_each_other(recorded: Path) -> None:
    with engine_of(recorded) as engine:
        async with cockpit(recorded) as (_, one), cockpit(recorded) as (__, two):
            await one.press("p")
            await until(one, lambda: engine.heard == ["pause"])
            engine.write(ev.Acknowledged("pause", "holds at the next step"))
            await sees(two, "holds at the next step")
            engine.write(ev.TrialHeld(18, 1, 70))
            await sees(two, "PAUSED")
            await sees(one, "PAUSED")
            assert engine.heard == ["pause"]


# --- terminals -------------------------------------------------------------------------------------------------------


def in_terminal(folder: Path, program: str = PROGRAM, **environment: str) -> AbstractContextManager[Terminal]:
    return terminal(sys.executable, "-c", program, str(folder), **environment)


def resize(t: Terminal, columns: int, rows: int) -> None:
    fcntl.ioctl(t.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    t.screen.resize(rows, columns)
    os.killpg(t.process.pid, signal.SIGWINCH)


def test_a_storm_of_resizes_ends_in_a_whole_screen(recorded: Path) -> None:
    sizes: Sequence[tuple[int, int]] = [(20, 5), (1, 1), (250, 80), (80, 24), (60, 15), (59, 14)]
    dice = random.Random(7)
    with in_terminal(recorded) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        for _ in range(120):
            resize(t, *dice.choice(sizes))
            t.draw(0.005)
        resize(t, 20, 5)
        t.until(lambda: "2.2993" in t.shown and "q leave" not in t.shown)
        resize(t, 120, 40)
        t.until(lambda: "best 2.2993 (#13)" in t.shown and "q leave" in t.shown)
        t.press("q")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.left_clean


@pytest.mark.parametrize("where", ["tui.window.RunWindow._take", "tui.widgets.status.StatusStrip.render_line"])
def test_a_cockpit_that_breaks_leaves_a_clean_terminal_and_its_traceback(recorded: Path, where: str) -> None:
    module, name, method = where.rsplit(".", 2)
    program = (
        f"import sys, {module}\ndef broken(self, *words): raise RuntimeError('it broke here')\n"
        f"{module}.{name}.{method} = broken\n" + PROGRAM.replace("; ", "\n")
    )
    with in_terminal(recorded, program) as t:
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.2)
        assert t.left_clean
        assert t.process.returncode != 0
        left = t.written.rsplit(b"\x1b[?1049l", 1)[1].decode()
        assert "it broke here" in left, "the traceback stands on the main screen"


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "vt100"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
     {"HOME": "/nowhere"}, {"COLUMNS": "3", "LINES": "2"}, {"COLUMNS": "x", "LINES": "-1"}, {"TZ": "nonsense"}],
    ids=lambda e: next(iter(e)),
)  # fmt: skip
def test_environments_that_lie(recorded: Path, environment: dict[str, str]) -> None:
    with in_terminal(recorded, **environment) as t:
        t.until(lambda: "2.2993" in t.shown)
        t.press("q")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.left_clean


def test_a_full_disk_for_what_it_remembers(recorded: Path) -> None:
    program = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, {resource.RLIM_INFINITY})); {PROGRAM}"
    with in_terminal(recorded, program) as t:
        t.until(lambda: "best 2.2993 (#13)" in t.shown)
        t.press("w")
        t.press(">")
        t.press("q")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.left_clean


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_run(tmp_path / "gpt" / ".autoresearch" / "nov20", 18)
    return tmp_path / "gpt"


def test_a_damaged_journal_has_its_status(workspace: Path) -> None:
    journal = workspace / ".autoresearch" / "nov20" / "journal.jsonl"
    torn = b'[[[\n{"type": "TrialContinued", "time": 1, "number": "x", "trial": [], "held_seconds": "y"}\n'
    journal.write_bytes(torn.join(journal.read_bytes().splitlines(keepends=True)) + b"[" * 100_000 + b"\n")
    done = autoresearch("status", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "17 experiments" in done.stdout


def test_what_cannot_be_read_is_named(workspace: Path) -> None:
    journal = workspace / ".autoresearch" / "nov20" / "journal.jsonl"
    journal.unlink()
    journal.mkdir()
    done = autoresearch("status", cwd=workspace)
    assert done.returncode == 1
    assert str(journal) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("term", ["", "dumb"])
def test_a_terminal_that_can_nothing_gets_lines(workspace: Path, term: str) -> None:
    program = str(Path(sys.executable).parent / "autoresearch")
    with terminal("sh", "-c", f"cd {workspace} && exec {program}", TERM=term) as t:
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert b"\x1b[?1049h" not in t.written
        assert "engine gone" in t.shown
