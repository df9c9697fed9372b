"""What must not go unseen of an agent at work: why a run ended, what is said meanwhile, and nothing that is stale."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from agent_states import STATES, asked, thinking
from driving import cockpit as driven
from driving import engine_of, said, screen, until
from emulator import terminal
from recorded_run import append, write_run
from states import cockpit

from core import events as ev
from core.journal import read
from tui import report
from tui.feed import Feed, State
from tui.results import table
from tui.widgets.saying import words

CAP = "the next call could bring this run to $5.31, and the cap is $5.00; go on with a higher one: "
RESUME = "autoresearch resume nov20"


async def test_who_comes_back_to_a_run_that_reached_its_cap_reads_that_first(tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    asked(folder)
    async with driven(folder, (80, 24)):
        pass
    done = (ev.Proposed(18, "p", 13, {}, "d", "", {}), ev.Committed(18, "c" * 40, "r", "", 3))
    crashed = (ev.Crashed(18, 1, "oom", "", 1.0), ev.Judged(18, "crash", "oom", 13, None), ev.ExperimentDone(18))
    with engine_of(folder) as engine:
        engine.write(*done, *crashed, ev.RunEnded("done", f"{CAP}{RESUME} --max-dollars N"))
    async with driven(folder, (80, 24), live=False) as (app, pilot):
        await until(pilot, lambda: "while you were awa… i all" in screen(app))
        assert "the cap is $5.00" in screen(app)
        await pilot.press("i")
        assert "--max-dollars N; while you were away" in said(app)
        assert "1 experiment, 0 kept, 1 crashed; the best is as it was" in said(app)


@pytest.mark.parametrize("what", ["repair", "end"])
async def test_a_new_best_is_no_news_beside_a_repair_or_the_end(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    asked(folder)
    measured = ev.Measured(18, 1, 2.2, 15.0, 20.0, 512.0, {})
    best = (
        ev.Proposed(18, "p", 13, {}, "d", "", {}), ev.Committed(18, "c" * 40, "r", "", 3), measured,
        ev.Judged(18, "keep", "better", 13, -0.1), ev.ExperimentDone(18), ev.Proposing(19, 18),
    )  # fmt: skip
    crash = (
        ev.Proposed(19, "p", 18, {}, "d", "", {}), ev.Committed(19, "c" * 40, "r", "", 3),
        ev.TrialStarted(19, 1, 42, 5), ev.Crashed(19, 1, "RuntimeError: x", "", 1.0),
    )  # fmt: skip
    with engine_of(folder) as engine:
        async with driven(folder, (80, 24)) as (app, pilot):
            await until(pilot, lambda: not app.feed.behind and app.state.history.phase == "proposing")
            await pilot.pause(0.3)
            engine.write(*best)
            await until(pilot, lambda: "new best 2.2 (#18)" in screen(app))
            engine.write(*crash if what == "repair" else [ev.RunEnded("done", f"{CAP}{RESUME} --max-dollars N")])
            told = "#19 crashed: RuntimeError: x" if what == "repair" else "the cap is $5.00"
            await until(pilot, lambda: told in screen(app))
            assert "new best" not in screen(app)


async def test_where_the_log_is_behind_the_diff_what_the_agent_says_stands_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    app = cockpit(folder, thinking(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "x = F.relu(self.fc(x)).square()" in screen(app))
        assert "▸Diff" in screen(app)
        with (folder / "agent" / "18.log").open("a") as log:
            log.write("\n".join(f"line {i}" for i in range(50)) + "\n\x1b[31mIt is\x1b[0m settled")
        await until(pilot, lambda: "It is settled" in screen(app))
        assert "\x1b" not in screen(app)


async def test_where_the_log_has_a_place_of_its_own_it_is_not_said_twice(tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    app = cockpit(folder, thinking(folder))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "x = F.relu(self.fc(x)).square()" in screen(app))
        assert screen(app).count("x = F.relu(self.fc(x)).square()") == 1


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("One is done. Two is", "One is done."),
        ("It helps, e.g. with depth. Why? I look", "Why?"),
        ("All is well.\n[edit train.py: a very long refusal. Look\nat it, then submit]", "All is well."),
        ("All is well.\n[edit train.py: refused. Look at it, then submit]\n    code. Here.", "All is well."),
        ("Old words.\n[asks m at host]\nnew ones", ""),
        ("x = 3.5 and no end", ""),
        ("Short. " + "A long one " * 30 + "ends.", "Short."),
        ("\x1b[2J(It is settled.)", "(It is settled.)"),
    ],
)
def test_the_strip_shows_whole_sentences_of_the_agent_or_nothing(log: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    shown = thinking(folder)
    (folder / "agent" / "18.log").write_text(log)
    feed = Feed(folder, alive=lambda _: True)
    feed.read()
    (row,) = words(feed.state, shown.now, 80, None)
    told = "".join(piece for piece, _ in row).strip()
    assert told == said or (not said and told == "PyTorch · cpu · claude-opus-5-5")


# --- in words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "last"),
    [
        ("the limit was reached", f"for more: `{RESUME} --experiments 20`"),
        (f"{CAP}{RESUME} --max-dollars N", f"{CAP}{RESUME} --max-dollars N"),
        ("nothing is \x1b[2Jleft", f"nothing is left; for more: `{RESUME} --experiments 20`"),
    ],
)
def test_status_says_why_a_run_is_done_and_how_it_goes_on(message: str, last: str, tmp_path: Path) -> None:
    (tmp_path / "w" / ".git").mkdir(parents=True)
    folder = write_run(tmp_path / "w" / ".autoresearch" / "nov20", 3, live=False, ended=False)
    append(folder, ev.RunEnded("done", message), at=2e9)
    command = f"{RESUME} --workspace {tmp_path / 'w'}"
    assert report.status_text(folder).splitlines()[-1] == last.replace(RESUME, command)


def test_what_waits_and_is_under_way_says_in_diff_what_was_dropped(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 3, live=False, ended=False)
    details = {"agent": "command:x", "unconfined": True, "dropped": ["notes.txt"]}
    append(folder, ev.Proposing(4, 2), ev.Proposed(4, "p", 2, {}, "wider", "", details), at=2e9)
    dropped = "unconfined: its agent ran with your rights; it changed besides, which was dropped: notes.txt"
    assert f"experiment 4: wider (under way)\n{dropped}\n\n" in report.diff(folder, 4)
    append(folder, ev.ApprovalAwaited(4, "+x"), at=2e9)
    assert f"experiment 4: wider (waits for your yes)\n{dropped}\n" in report.diff(folder, 4)


def test_results_for_people_have_numbers_and_costs_where_they_are_known(tmp_path: Path) -> None:
    write_run(tmp_path / "plain", 8, live=False, ended=False)
    rows = table(report.history(tmp_path / "plain"), 100).splitlines()
    assert rows[0].split() == ["#", "commit", "val_bpb", "Δ", "memory", "verdict", "description"]
    assert rows[8].split(maxsplit=5)[0] == "7"
    assert "—" in rows[8]
    assert rows[8].endswith("crash    oom: double the width")
    start = rows[0].index("description")
    assert all(row[start - 1] == " " and row[start] != " " for row in rows), "it is aligned"
    STATES["repaired"](tmp_path / "paid")
    paid = table(report.history(tmp_path / "paid"), 80).splitlines()
    assert "cost" in paid[0]
    assert "$0.041" in paid[18]
    assert all(len(row) <= 80 for row in paid)


def test_foreign_words_cannot_break_the_table(tmp_path: Path) -> None:
    h = report.history(write_run(tmp_path / "plain", 3, live=False, ended=False))
    foul = replace(h.experiments[2], description="\x1b[2J\nw" + "宽" * 100, details={"dollars": "x", "tokens": 1500})
    rows = table(replace(h, experiments=(*h.experiments[:2], foul)), 60).splitlines()
    assert len(rows) == 4
    assert "1.5k tokens" in rows[3]
    assert rows[3].endswith("…")
    assert "\x1b" not in "".join(rows)
    assert table(State().history, 80).split() == ["#", "commit", "metric", "Δ", "memory", "verdict", "description"]


def test_results_on_a_terminal_are_a_table_and_off_it_the_original_s_columns(tmp_path: Path) -> None:

    (tmp_path / "w" / ".git").mkdir(parents=True)
    folder = write_run(tmp_path / "w" / ".autoresearch" / "nov20", 5, live=False, ended=False)
    assert len(list(read(folder / "journal.jsonl"))) > 5
    command = [
        str(Path(sys.executable).parent / "autoresearch"),
        "results",
        "nov20",
        "--workspace",
        str(tmp_path / "w"),
    ]
    piped = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert piped[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    with terminal(*command) as t:
        t.until(lambda: "verdict  description" in t.shown and t.process.poll() is not None)
        assert "5  " in t.shown.splitlines()[6]
