"""The start pages: what they offer, what they refuse, and that a run really begins there and is shown at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from conftest import autoresearch, commit_all, ended, history, kill_engine
from conftest import until as wait_until
from driving import screen, until
from emulator import terminal
from recorded_run import write_run
from textual import events
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import OptionList

from core import installing
from core.launch import Options, demo_folder, runs
from core.locks import lock, lock_device
from tui import starting
from tui.app import Cockpit, Left
from tui.screens.start import StartScreen
from tui.screens.start_fields import Choice
from tui.screens.start_run import StartRunScreen
from tui.screens.start_workspace import place, trouble
from tui.screens.waiting import WaitingScreen

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
SLOW_PREPARE = """\
import json, os, subprocess, sys, time
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("packing \\x1b[2Jrows", os.getpid(), child.pid, flush=True)
print("the last line is kept back, for it could be a message", flush=True)
time.sleep(600)
"""
REFUSING_PREPARE = 'import sys; print("no rows for", "it " * 60, "mend: buy some", file=sys.stderr); sys.exit(2)\n'


@asynccontextmanager
async def start_page(
    page: Screen[None], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Cockpit, Pilot[Left]]]:
    """The app with a start page, looked at once."""
    app = Cockpit(Path.cwd(), start=page)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.screen is page)
        if isinstance(page, StartScreen):
            await until(pilot, lambda: page.query_one(OptionList).highlighted == 0)
        if isinstance(page, StartRunScreen):
            looked = ("until you stop it", "×", "in all", "plus start-up")
            await until(pilot, lambda: any(words in screen(app) for words in looked))
            await pilot.pause()  # what was found makes the page longer: the button moves once more
        yield app, pilot


@pytest.fixture
def no_engine_left(toy: Path) -> Iterator[None]:
    yield
    for folder in runs(toy):
        kill_engine(folder)


def with_prepare(toy: Path, source: str) -> None:
    task = (toy / "task.toml").read_text().replace("[commands]\n", '[commands]\nprepare = "{python} -P prepare.py"\n')
    (toy / "task.toml").write_text(task)
    (toy / "prepare.py").write_text(source)
    commit_all(toy)


async def type_at(pilot: Pilot[Left], app: Cockpit, entry: str, words: str) -> None:
    app.screen.query_one(f"#{entry}").focus()
    await pilot.pause()
    await pilot.press(*words)


# --- a run begins


@pytest.mark.usefixtures("no_engine_left")
async def test_a_run_is_started_and_the_page_becomes_its_cockpit(toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy), seed=3))) as (app, pilot):
        assert not app.attached
        await type_at(pilot, app, "experiments", "1")
        await type_at(pilot, app, "tag", "mine")
        await until(pilot, lambda: "the baseline and 1 experiment of at most 5 s" in screen(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.attached and "mine" in screen(app).split("\n")[0])
        await until(pilot, lambda: "RATE" in screen(app))
        assert app.run_folder == toy.resolve() / ".autoresearch" / "mine"
        assert not [s for s in app.screen_stack if isinstance(s, StartRunScreen | WaitingScreen)]
    h = ended(app.run_folder)
    assert h.run is not None
    assert (h.run.tag, h.run.experiments, h.run.seed, len(h.experiments)) == ("mine", 1, 3, 2)


@pytest.mark.usefixtures("no_engine_left")
async def test_enter_alone_starts_what_the_flags_say(toy: Path) -> None:
    given = Options(str(toy), train_seconds=3.0, experiments=0, tag="asked", hours=2.0)
    async with start_page(StartRunScreen(given)) as (app, pilot):
        shown = screen(app)
        for words in (
            "toy · loss, lower is better",
            "asked",
            "the baseline and 0 experiments of at most 3 s",
            "at most 2 h",
        ):
            assert words in shown
        await pilot.press("enter")
        await until(pilot, lambda: app.attached)
    h = ended(toy / ".autoresearch" / "asked")
    assert h.run is not None
    assert (h.run.train_seconds, h.run.experiments, h.run.hours) == (3.0, 0, 2.0)


@pytest.mark.usefixtures("no_engine_left")
async def test_the_mouse_starts_too(toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy), experiments=0, tag="clicked"))) as (app, pilot):
        await pilot.click("#start")
        await until(pilot, lambda: app.attached)
    ended(toy / ".autoresearch" / "clicked")


async def test_a_page_that_closes_takes_no_more_news(toy: Path) -> None:
    page = StartRunScreen(Options(str(toy)))
    async with start_page(page):
        device = page.query_one("#device", Choice)
        await device.query("SelectOverlay").remove()  # as when the page is left while a backend is still being asked
        device.offer([("a card that was found late", "cuda:1")])
        assert "cuda:1" not in [value for _, value in device.choices]


# --- what is refused, and where


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tag": "a/b"}, "use up to 100 letters"),
        ({"tag": "taken"}, "run taken exists"),
        ({"train_seconds": 0.0}, "must be a number of seconds above 0"),
        ({"train_seconds": 1e6}, "12 days a trial; it is in seconds, 7 days at most"),
        ({"experiments": -1}, "must be 0 (the baseline alone) or more"),
        ({"hours": float("nan")}, "must be a number above 0"),
        ({"device": "metal"}, "metal: not here; there are auto, cpu"),
        ({"agent": "oracle"}, "no such agent"),
        ({"agent": "scripted:nowhere"}, "nowhere"),
        ({"task": "nowhere"}, "there is no task.toml"),
    ],
)
async def test_it_is_said_at_the_entry_and_not_started(
    given: dict[str, object], words: str, toy: Path, engines: Callable[[Options], Path]
) -> None:
    ended(engines(Options(str(toy), tag="taken", experiments=0)))
    async with start_page(StartRunScreen(Options(**{"workspace": str(toy), **given}))) as (app, pilot):
        await until(pilot, lambda: words in " ".join(screen(app).split()))
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert app.screen is app.screen_stack[1]  # no waiting box
        assert app.focused is not None
        assert app.focused.id != "start"  # it went to the entry
    assert [folder.name for folder in runs(toy)] == ["taken"]


async def test_a_folder_without_a_task_says_what_to_do(tmp_path: Path) -> None:
    async with start_page(StartRunScreen(Options(str(tmp_path)))) as (app, pilot):
        await until(pilot, lambda: "autoresearch init" in screen(app))
        assert "there is no task.toml" in screen(app)
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert not app.attached


async def test_a_backend_that_is_not_installed(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "installed", lambda backend: backend == "cuda")
    monkeypatch.setattr("tui.screens.start_run.check", lambda backend: None)
    for name in ("cuda", "mlx"):
        (toy / name).mkdir()
        for file in ("task.toml", "train.py"):
            (toy / name / file).write_text((toy / file).read_text())
    (toy / "task.toml").unlink()
    commit_all(toy)
    async with start_page(StartRunScreen(Options(str(toy), backend="cuda"))) as (app, pilot):
        assert "×" not in screen(app)
        app.screen.query_one("#backend").focus()
        await pilot.press("right")
        await until(pilot, lambda: installing.for_backend("mlx") in " ".join(screen(app).split()))
        assert "mlx · MLX, not installed" in screen(app)
        await pilot.press("left")
        await until(pilot, lambda: "×" not in screen(app))


async def test_a_device_that_is_held_says_by_whom_and_is_free_again_by_itself(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.start_run.LOOK_AGAIN_SECONDS", 0.05)
    async with start_page(StartRunScreen(Options(str(toy)))) as (app, pilot):
        await until(pilot, lambda: "auto: cpu" in screen(app))
        with lock_device("cpu", "cpu", "/far/.autoresearch/nov20"):
            await until(pilot, lambda: "in use by run nov20 in /far" in screen(app))
        await until(pilot, lambda: "in use" not in screen(app))


async def test_edits_that_are_not_committed_are_pointed_out(toy: Path) -> None:
    (toy / "train.py").write_text("RATE = 0.1\n")
    async with start_page(StartRunScreen(Options(str(toy)))) as (app, pilot):
        await until(pilot, lambda: "not committed, so not in the baseline" in screen(app))
        assert "until you stop it" in screen(app)  # it may start all the same


# --- while it is made ready


async def test_calling_it_off_leaves_no_process_and_the_page_as_it_was(toy: Path) -> None:
    with_prepare(toy, SLOW_PREPARE)
    async with start_page(StartRunScreen(Options(str(toy), tag="off"))) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "packing rows" in screen(app))
        told = next(line for line in screen(app).splitlines() if "packing rows" in line)
        pids = [int(word) for word in told.split() if word.isdigit()]
        assert len(pids) == 2
        assert all(map(psutil.pid_exists, pids))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, StartRunScreen))
        await until(pilot, lambda: not any(map(psutil.pid_exists, pids)))
        assert "off" in screen(app)
        assert not app.attached
    assert not (toy / ".autoresearch").exists()


async def test_leaving_the_app_calls_it_off_too(toy: Path) -> None:
    with_prepare(toy, SLOW_PREPARE)
    async with start_page(StartRunScreen(Options(str(toy)))) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "packing rows" in screen(app))
        told = next(line for line in screen(app).splitlines() if "packing rows" in line)
        pids = [int(word) for word in told.split() if word.isdigit()]
    wait_until(lambda: not any(map(psutil.pid_exists, pids)))
    assert not (toy / ".autoresearch").exists()


async def test_what_the_start_refuses_is_shown_in_full_and_the_page_stays_filled_in(toy: Path) -> None:
    with_prepare(toy, REFUSING_PREPARE)
    async with start_page(StartRunScreen(Options(str(toy), tag="kept", experiments=4))) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "mend: buy some" in screen(app))
        words = " ".join(screen(app).replace("│", " ").split())
        assert words.count("it ") >= 60
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StartRunScreen))
        assert "kept" in screen(app)
        assert "the baseline and 4 experiments" in screen(app)


# --- getting about


async def test_keys_move_and_change(toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy)))) as (app, pilot):

        def at() -> str | None:
            return app.focused.id if app.focused else None

        assert at() == "start"
        await pilot.press("up", "up", "k")
        assert at() == "experiments"
        await pilot.press("j", "4", "2", "x")
        assert at() == "hours"
        assert "42" in screen(app)
        await pilot.press("k", "k", "k")
        assert at() == "agent"
        await pilot.press("left")
        await until(pilot, lambda: "patches" in screen(app) and "name the file or folder" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: "replays patches" in screen(app) and "tunes numbers" in screen(app))
        await pilot.press("up", "enter")
        await until(pilot, lambda: "patches" not in screen(app))
        await pilot.press("q")
    assert app.return_value is None or app.return_value.choice == "detach"
    assert not app.attached


async def test_a_burst_of_keys_goes_where_the_page_leads_it(toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy), tag="old"))) as (app, pilot):
        burst = ["up", *["backspace"] * 3, *"new", "up", *"1.5", "up", *"4", "tab", "enter", "up", "up", "up", *"7.5"]
        burst += ["up", "left", "down", *"idea", "enter", *"0"]
        for key in burst:  # as a terminal sends what is typed fast: without waiting for what each one does
            character = key if len(key) == 1 else None
            app.post_message(events.Key(key if key != "." else "full_stop", character))
        page = app.screen
        assert isinstance(page, StartRunScreen)
        await until(pilot, lambda: page.chosen.train_seconds.endswith("0"))
        chosen = page.chosen
        assert (chosen.agent, chosen.script, chosen.train_seconds) == ("scripted", "idea", "7.50")
        assert (chosen.experiments, chosen.hours, chosen.tag) == ("4", "1.5", "new")


async def test_a_number_says_what_it_takes(toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy)))) as (app, pilot):
        for entry, words in (("train_seconds", "a number of seconds"), ("experiments", "a whole number")):
            await type_at(pilot, app, entry, "-")
            await until(pilot, lambda words=words: f"takes {words}" in screen(app))


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (20, 5)])
async def test_it_fits_and_start_is_always_in_sight(size: tuple[int, int], toy: Path) -> None:
    async with start_page(StartRunScreen(Options(str(toy), tag="a/b", agent="scripted:nowhere")), (120, 40)) as (
        app,
        pilot,
    ):
        await pilot.resize_terminal(*size)
        await pilot.pause(0.2)
        lines = screen(app).splitlines()
        assert [len(line) for line in lines] == [size[0]] * size[1]
        assert size == (20, 5) or "Start" in screen(app)


# --- the first page


async def test_the_first_page_offers_what_is_here(toy: Path) -> None:
    folder = write_run(demo_folder() / ".autoresearch" / "nov19", 3, live=False)
    async with start_page(StartScreen(toy)) as (app, pilot):
        await until(pilot, lambda: "nov19" in screen(app))
        shown = screen(app)
        for words in ("research in …", "toy · loss", "needs nothing", "make a workspace", "the demo ·", "q leave"):
            assert words in shown
        await pilot.press("enter")
        await until(pilot, lambda: "a new run in" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: "needs nothing" in screen(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.attached and "DONE" in screen(app))
        assert app.run_folder == folder


async def test_the_first_page_of_an_empty_folder_begins_with_the_demo(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with start_page(StartScreen(tmp_path / "empty"), (80, 24)) as (app, pilot):
        assert "An agent edits one file" in screen(app)
        await until(pilot, lambda: "› demo" in screen(app))
        await pilot.press("j")
        await until(pilot, lambda: "› make a workspace" in screen(app))
        assert screen(app).count("›") == 1
        await pilot.press("?")
        await until(pilot, lambda: "autoresearch --help" in screen(app))
        await pilot.press("?")
        await until(pilot, lambda: "? more" in screen(app))
    async with start_page(StartScreen(tmp_path / "empty"), (40, 12)) as (app, pilot):
        assert "research in " not in screen(app)
        assert screen(app).index("demo") < screen(app).index("make a workspace")
        await pilot.press("escape")
        assert not app.attached


async def test_a_new_workspace_needs_a_new_or_empty_folder(toy: Path) -> None:
    assert trouble(toy, "new") == ""
    assert "not empty" in trouble(toy, ".")
    assert "name a new" in trouble(toy, "  ")
    assert "too long" in trouble(toy, "x" * 300)
    assert place(toy, "~/x") == Path.home() / "x"
    async with start_page(StartScreen(toy)) as (app, pilot):
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "my-research" in screen(app))
        await pilot.press("ctrl+u", ".", "enter")
        await until(pilot, lambda: "not empty" in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: "needs nothing" in screen(app))


async def test_a_new_workspace_is_made_and_its_page_opens(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with start_page(StartScreen(tmp_path / "empty")) as (app, pilot):
        await pilot.press("j", "enter")
        await until(pilot, lambda: "enter makes it" in screen(app))
        await pilot.press("ctrl+u", *"mine", "enter")
        await until(pilot, lambda: "a new run in" in screen(app))
        await until(pilot, lambda: "of 300 s until you stop it" in screen(app))
        assert (tmp_path / "empty" / "mine" / "program.md").is_file()


async def test_a_slow_disk_does_not_keep_the_page_from_being_there(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, workspaces = threading.Event(), starting.workspaces
    monkeypatch.setattr(starting, "workspaces", lambda here: found.wait(30) and workspaces(here))
    page = StartScreen(toy)
    app = Cockpit(Path.cwd(), start=page)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "looking for tasks here" in screen(app))
        await pilot.press("enter", "j", "enter")
        assert app.screen is page
        assert "demo" not in screen(app)
        found.set()
        await until(pilot, lambda: "› research in" in screen(app))
        assert "looking for" not in screen(app)


# --- the command


def test_the_shell_is_not_seen_between_the_page_and_the_cockpit(toy: Path) -> None:
    with terminal("sh", "-c", f"cd {toy} && exec {AUTORESEARCH}") as t:
        t.until(lambda: "research in" in t.shown)
        t.press("\r")
        t.until(lambda: "until you stop it" in t.shown)
        t.press("\r")
        t.until(lambda: "● RUN" in t.shown or "DONE" in t.shown)
        assert b"\x1b[?1049l" not in t.written
        folder = runs(toy)[-1]
        try:
            t.press("q")
            t.until(lambda: "detach" in t.shown)
            t.press("d")
            t.until(lambda: t.process.poll() is not None)
            t.draw(0.1)
            assert t.process.returncode == 0
            assert t.left_clean
            assert b"the engine goes on" in t.written
        finally:
            kill_engine(folder)


def test_run_asks_only_where_it_is_told_to(toy: Path) -> None:
    with terminal("sh", "-c", f"cd {toy} && exec {AUTORESEARCH} run --ask --tag asked --experiments 0") as t:
        t.until(lambda: "asked" in t.shown and "the baseline and 0 experiments" in t.shown)
        t.press("\x1b")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.left_clean
    assert not (toy / ".autoresearch").exists()
    refused = autoresearch("run", "--ask", cwd=toy)
    assert refused.returncode == 2
    assert "--ask needs a terminal" in refused.stderr


def test_a_demo_that_goes_on_is_come_back_to_and_one_that_is_over_is_offered(tmp_path: Path) -> None:
    folder = write_run(demo_folder() / ".autoresearch" / "nov19", 3, live=False)
    (tmp_path / "empty").mkdir()
    command = ("sh", "-c", f"cd {tmp_path / 'empty'} && exec {AUTORESEARCH}")
    with terminal(*command) as t:
        t.until(lambda: "come back to" in t.shown and "nov19" in t.shown)
        t.press("q")
        t.until(lambda: t.process.poll() is not None)
    with lock(folder / "engine.lock", "busy"), terminal(*command) as t:
        t.until(lambda: "nov20" in t.screen.display[0])
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: t.process.poll() is not None)
    assert history(folder).ended is not None
    assert os.environ["XDG_DATA_HOME"] in str(folder)
