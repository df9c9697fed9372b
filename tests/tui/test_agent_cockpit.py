"""An agent at work, as every viewer tells it: what it says, spends, waits for, mends; from recorded runs."""

from __future__ import annotations

import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_states import MODEL, STATES, asked, cockpit
from driving import cockpit as driven
from driving import engine_of, experiments, screen, until
from recorded_run import append, write_run
from textual.pilot import Pilot

from core import events as ev
from tui import report
from tui.app import Cockpit, Left
from tui.plain import follow, introduce, tell
from tui.plain_lines import waiting as waiting_line
from tui.standing import activity

SIZES = ((80, 24), (120, 40), (200, 60))


@asynccontextmanager
async def shown(state: str, folder: Path, size: tuple[int, int]) -> AsyncIterator[tuple[Cockpit, Pilot[Left]]]:
    app = cockpit(folder / "nov20", STATES[state](folder / "nov20"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.history.run is not None)
        await pilot.pause()
        yield app, pilot


@pytest.mark.parametrize("size", SIZES)
async def test_while_it_thinks_its_words_are_in_the_log_pane(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("thinking", tmp_path, size) as (app, pilot):
        assert "proposing #18  0:12" in screen(app)
        assert "up to $1.32 of $5" in screen(app), "a call under way counts as the most that it can cost"
        assert app.research.status.size.width < 100 or MODEL in screen(app)
        said = "I would rather look at the activation: squared ReLU wastes half of the hidden units early on."
        await until(pilot, lambda: (said in screen(app).splitlines()[2 + (size[0] >= 160)]) == (size[0] > len(said)))
        await pilot.press("2")
        await until(pilot, lambda: "#18 agent · ▼ following" in screen(app))
        assert "squared ReLU wastes half" in screen(app)
        assert "    x = F.relu(self.fc(x)).square()" in screen(app), "what is indented stays so"
        with (tmp_path / "nov20" / "agent" / "18.log").open("a") as log:
            log.write("\x1b[31mIt is settled\x1b[0m: " + "gelu " * 60 + "END\n")
        await until(pilot, lambda: "END" in screen(app))  # a long line is folded between words
        assert "\x1b" not in screen(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_wait_counts_down(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("waiting", tmp_path, size) as (app, pilot):
        assert "api.anthropic.com: 529 overloaded: again in 0:43" in screen(app)
        began = app.clock()
        app.clock = lambda: began + 3
        await until(pilot, lambda: "again in 0:40" in screen(app))
        app.clock = lambda: began + 60
        await until(pilot, lambda: "again in" not in screen(app))


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_server_asked_for_stands_whole_where_it_is_long(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("patient", tmp_path, size) as (app, _):
        assert "it asks for 86,400 s: again in 4:48" in " ".join(screen(app).split())


@pytest.mark.parametrize("size", SIZES)
async def test_a_pause_that_only_the_user_can_end_says_why_and_how(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("unable", tmp_path, size) as (app, _):
        said = " ".join(screen(app).split())
        assert "‖ PAUSED" in said
        assert "401 invalid x-api-key; set another with: autoresearch key set" in said


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_that_ends_at_its_cap_says_the_one_command_that_goes_on(
    size: tuple[int, int], tmp_path: Path
) -> None:
    async with shown("capped", tmp_path, size) as (app, _):
        said = " ".join(screen(app).split())
        assert "the cap is $5.00; go on with a higher one: autoresearch resume nov20 --max-dollars N" in said
        assert "--experiments" not in said
        assert "up to $1.32 of $5" in said, "the call that broke off counts as the most it can have been"


@pytest.mark.parametrize("size", SIZES)
async def test_a_repair_shows_what_crashed_and_what_the_agent_makes_of_it(
    size: tuple[int, int], tmp_path: Path
) -> None:
    async with shown("repairing", tmp_path, size) as (app, pilot):
        assert "repairing #18" in screen(app)
        assert "#18 crashed: RuntimeError: expected dtype bfloat16" in screen(app)
        await pilot.press("2")
        await until(pilot, lambda: "the cast has to go back" in app.research.log_tail.plain())


@pytest.mark.parametrize("size", SIZES)
async def test_repairs_costs_notes_and_rights_are_told_of_an_experiment(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("unconfined", tmp_path, size) as (app, pilot):
        assert "command:claude" in screen(app)
        assert "unconfined" in screen(app)
        assert "repaired twice: " in screen(app)
        await pilot.press("j", "3")
        await until(pilot, lambda: app.research.experiments.selected == 18)
        await pilot.pause()
        said = " ".join(app.research.notes.plain().split())
        assert "repaired twice: RuntimeError: expected dtype bfloat16, then oom" in said
        assert "unconfined: its agent ran with your rights" in said
        assert "which was dropped: notes.txt" in said
        assert "the agent's notes to itself" in said
        assert "while at #17" in said


async def test_costs_of_one_and_of_all_are_in_the_notes(tmp_path: Path) -> None:
    async with shown("repaired", tmp_path, (120, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "spent $0.46 of $5: 58,204 tokens in 3 calls, 84 % from the cache" in screen(app))
        await pilot.press("j")
        await until(pilot, lambda: "$0.041, 18,204 tokens, 4 calls" in app.research.notes.plain())
        assert f"proposed by claude, {MODEL}" in app.research.notes.plain()


@pytest.mark.parametrize("size", SIZES)
async def test_a_hybrid_without_ideas_says_so(size: tuple[int, int], tmp_path: Path) -> None:
    async with shown("lame", tmp_path, size) as (app, pilot):
        assert "no ideas" in screen(app)
        await pilot.press("j", "3")
        await until(pilot, lambda: app.research.experiments.selected == 17)
        await pilot.pause()
        said = " ".join(app.research.notes.plain().split())
        assert "proposed by the agent, of its numbers its ideas arm could not be asked: the claude agent needs" in said
        assert "its ideas arm cannot work: the claude agent needs an API key" in report.status_text(tmp_path / "nov20")


async def test_a_program_that_changed_is_news(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 3, live=False, ended=False)
    with engine_of(folder) as engine:
        engine.write(ev.Proposing(4, 2), ev.ProgramRead(4, "be bold\n"))
        async with driven(folder) as (app, pilot):
            await until(pilot, lambda: app.state.history.programs == 1)
            await pilot.pause(0.3)
            assert "program.md changed" not in screen(app), "it was read for the first time"
            engine.write(ev.ProgramRead(4, "be bolder\n"))
            await until(pilot, lambda: "program.md changed: the agent reads the new one from #4 on" in screen(app))
            assert experiments(app).selected == 4


# --- in words --------------------------------------------------------------------------------------------------------


def printed(folder: Path) -> str:
    out = io.StringIO()
    follow(folder, out=out, as_json=False, from_start=True)
    return out.getvalue()


def test_plain_lines_tell_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    STATES["unconfined"](folder)
    h = report.history(folder)
    append(
        folder,
        ev.ProgramRead(19, "be bolder\n"),
        ev.AgentWaits(19, "529 \x1b[2Joverloaded", 43.0),
        ev.RunPaused("401 wrong", "autoresearch key set"),
        ev.RunEnded("stopped", ""),
        at=h.last_time,
    )
    said = printed(folder)
    for line in (
        "agent command:claude -p --permission-mode acceptEdits (unconfined)",
        "#17 the agent's note to itself: The spread of repeats is about 0.004: less is noise.",
        "#18 repair 2: GELU, cast back to bfloat16 — the same idea\n    unconfined: its agent ran with your rights",
        "repaired twice  GELU, cast back to bfloat16",
        "program.md changed: the agent reads the new one from #19 on",
        "#19 529 overloaded: again in 0:43",
        "paused: 401 wrong; autoresearch key set",
        "spent $0.46 of $5: 58,204 tokens in 3 calls, 84 % from the cache",
    ):
        assert line in said
    assert said.count("program.md changed") == 1
    assert "\x1b" not in said


def test_a_proposal_says_what_it_did_cost(tmp_path: Path) -> None:
    STATES["repaired"](tmp_path / "nov20")
    assert "    $0.041, 18,204 tokens, 4 calls\n" in printed(tmp_path / "nov20")


def test_what_is_waited_for_is_said_while_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "nov20"
    h = asked(folder)
    app = cockpit(folder, STATES["thinking"](tmp_path / "other" / "nov20"))
    app.feed.read()
    assert activity(app.feed.state) == "proposing"
    append(folder, ev.AgentWaits(18, "529 overloaded", 1e9), at=h.last_time)
    from tui.feed import Feed

    feed = Feed(folder, alive=lambda _: True)
    feed.read()
    assert waiting_line(feed.state).startswith("#18 529 overloaded: again in ")
    assert waiting_line(feed.state).endswith(", up to $1.32 of $5")
    assert introduce(feed.state)[0].endswith(f"agent claude {MODEL} · 15.0 s a trial")
    assert tell(ev.Remembered(18, "a\nb"), feed.state) == ["#18 the agent's note to itself: a b"]


def test_status_says_it_and_gives_it_to_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "nov20"
    h = asked(folder)
    monkeypatch.setattr(report, "alive", lambda _: True)
    append(folder, ev.AgentWaits(18, "529 overloaded", 600.0), at=time.time())
    s = json.loads(json.dumps(report.status(folder)))
    assert s["spent"]["dollars"] == pytest.approx(0.42)
    assert s["spent"]["most_dollars"] == pytest.approx(1.32)
    assert (s["spent"]["tokens"], s["spent"]["calls"], s["max_dollars"], s["max_tokens"]) == (39_004, 3, 5.0, None)
    assert s["waits"]["reason"] == "529 overloaded"
    assert s["waits"]["until"] > h.last_time
    assert [note["experiment"] for note in s["agent_notes"]] == [17, 17]
    assert (s["agent"], s["agent_options"], s["unconfined"]) == ("claude", {"model": MODEL}, False)
    said = report.status_text(folder)
    assert "529 overloaded: again at " in said
    assert "spent up to $1.32 of $5: 39,004 tokens in 3 calls, 82 % from the cache" in said
    assert f"agent claude {MODEL}, in" in said


def test_diff_heads_an_experiment_with_what_it_took(tmp_path: Path) -> None:
    STATES["unconfined"](tmp_path / "nov20")
    said = report.diff(tmp_path / "nov20", 18)
    assert "repaired twice: RuntimeError: expected dtype bfloat16, then oom; unconfined: its agent ran" in said
    STATES["repaired"](tmp_path / "other")
    assert "$0.041, 18,204 tokens, 4 calls; repaired twice" in report.diff(tmp_path / "other", 18)
