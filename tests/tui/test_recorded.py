"""Runs that are opened, replayed and imported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import autoresearch, git, history
from driving import cockpit, experiments, screen, until
from recorded_run import write_run

from core import locks
from core.errors import UsageError
from core.imported import import_run
from tui import text
from tui.app import Cockpit, Left, run_cockpit
from tui.feed import Feed
from tui.recorded import recorded, speed
from tui.replay import Replay
from tui.report import status_text

TABLE = Path(__file__).parents[1] / "data" / "karpathy-h100-mar8-results.tsv"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "upstream").mkdir()
    shutil.copyfile(TABLE, tmp_path / "upstream" / "results.tsv")
    return tmp_path / "upstream"


def test_the_published_table_is_imported_whole(checkout: Path) -> None:
    h = history(import_run(checkout, "mar8"))
    assert len(h.experiments) == 126
    assert [h.count(outcome) for outcome in ("keep", "discard", "crash")] == [22, 102, 1]
    best = min(e.measurement.value for e in h.experiments if e.measurement and e.verdict.outcome == "keep")
    assert h.best.measurement.value == best == 0.969686
    line = next(i for i, row in enumerate(TABLE.read_text().splitlines()) if "0.969686" in row)
    assert h.best.number == line - 1
    assert h.experiments[0].commit == "baseline"
    assert h.experiments[1].delta == pytest.approx(0.986041 - 0.997900)
    again = (checkout / ".autoresearch" / "mar8" / "results.tsv").read_text()
    assert [row.split("\t")[:2] for row in again.splitlines()[1:4]] == [
        ["baselin", "0.997900"], ["bea057b", "0.986041"], ["7f2a65c", "0.981773"]
    ]  # fmt: skip


async def test_it_shows_at_80x24_and_says_what_is_missing(checkout: Path) -> None:
    folder = import_run(checkout, "mar8")
    async with cockpit(folder, (80, 24), live=False) as (app, pilot):
        await until(pilot, lambda: "IMPORTED" in screen(app))
        assert "0.9979 → 0.969686" in screen(app)
        assert screen(app).count("●") >= 6, "the plot has its keeps"
        await pilot.press("b")
        assert experiments(app).selected == history(folder).best.number
        await until(pilot, lambda: "no diff" in screen(app))


async def test_no_key_promises_what_an_imported_run_cannot_do(checkout: Path) -> None:
    folder = import_run(checkout, "mar8")
    async with cockpit(folder, live=False) as (app, pilot):
        for key in "prt":
            app._notice = None
            await pilot.press(key)
            await until(pilot, lambda: app.notice is not None and "the run is over" in app.notice.words)
            assert app.notice.words.endswith("; `autoresearch best mar8` shows the best")
    for looks, why in ((Feed(folder), "imported: no engine made it"), (Feed(folder, resume=""), "imported: no engine")):
        app = Cockpit(folder, read_only=True, feed=looks)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda app=app: "IMPORTED" in screen(app))
            await pilot.press("p")
            await until(pilot, lambda app=app, why=why: why in screen(app))
            assert "controls it" not in screen(app)


async def test_a_recording_without_its_workspace_sends_nobody_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 5)
    app = Cockpit(folder, read_only=True, feed=Feed(folder, resume="", recorded=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "RECORDED" in screen(app))
        await pilot.press("p")
        await until(pilot, lambda: "a recording without its workspace: it can only be looked at" in screen(app))


def test_commits_that_still_exist_give_their_diffs(checkout: Path) -> None:
    git(checkout, "init", "-q")
    (checkout / "train.py").write_text("RATE = 1\n")
    git(checkout, "add", "train.py")
    git(checkout, "commit", "-qm", "start")
    (checkout / "train.py").write_text("RATE = 2\n")
    git(checkout, "commit", "-qam", "faster")
    commit = git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "results.tsv").write_text(
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        f"baseline\t1.0\t44.0\tkeep\tbaseline\n{commit[:7]}\t0.9\t44.0\tkeep\tfaster\nabcdef1\t0.0\t0.0\tcrash\tgone\n"
    )
    h = history(import_run(checkout, "t"))
    assert "+RATE = 2" in h.experiments[1].diff
    assert h.experiments[1].commit == commit
    assert (h.experiments[2].diff, h.experiments[2].hypothesis) == ("", "")
    assert git(checkout, "status", "--porcelain").strip() == "?? results.tsv"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "not a results.tsv"),
        ("a\tb\n", "not a results.tsv"),
        ("commit\tval_bpb\tmemory_gb\tstatus\tdescription\n", "no experiment yet"),
        ("commit\tval_bpb\tmemory_gb\tstatus\tdescription\nx\t0.9\t1\tkept\td\n", "line 2"),
        ("commit\tval_bpb\tmemory_gb\tstatus\tdescription\nx\tnan\t1\tkeep\td\n", "line 2: its numbers"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "results.tsv").write_text(table)
    with pytest.raises(UsageError, match=words):
        import_run(tmp_path, "t")
    assert not list(tmp_path.glob(".autoresearch/*/journal.jsonl"))


def test_the_commands_off_a_terminal(checkout: Path) -> None:
    done = autoresearch("import", ".", "--tag", "mar8", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "best val_bpb 0.969686" in done.stdout
    assert autoresearch("open", cwd=checkout).stdout == done.stdout
    assert str(checkout / ".autoresearch/mar8") in done.stderr
    assert "126 experiments" not in done.stdout
    assert "125 experiments after the baseline: 22 kept, 102 discarded, 1 crashed\nin " in done.stdout
    for unknown in ("own task", "agent ,", "at work"):
        assert unknown not in done.stdout


def test_a_table_is_imported_once_as_long_as_it_is_the_same(checkout: Path) -> None:
    folder = import_run(checkout, "t")
    journal = (folder / "journal.jsonl").read_bytes()
    assert import_run(checkout, "t") == folder
    assert (folder / "journal.jsonl").read_bytes() == journal
    with (checkout / "results.tsv").open("a") as table:
        table.write("abcdef1\t0.9\t1.0\tkeep\tone more\n")
    with pytest.raises(UsageError, match="this table as it was earlier; take another --tag"):
        import_run(checkout, "t")


def test_an_imported_run_says_what_can_be_said(checkout: Path, tmp_path: Path) -> None:
    import_run(checkout, "mar8")
    page = autoresearch("best", cwd=checkout)
    assert page.returncode == 0, page.stderr
    assert page.stdout.startswith("best of mar8: experiment 118, warmdown 0.7 to 0.75\n")
    assert "0.969686   baseline 0.9979, −2.83 %" in page.stdout
    assert "  0.972258  " in page.stdout, "the way there"
    assert "--checkout" not in page.stdout
    for words in (["evaluate"], ["best", "--checkout", str(tmp_path / "new")], ["best", "--sample", "x"]):
        refused = autoresearch(*words, cwd=checkout)
        assert refused.returncode == 2
        assert "mar8 is imported: there is no task to run" in refused.stderr
    for words in (["best", "--patch"], ["best", "--checkpoint", str(tmp_path / "file")], ["resume"]):
        refused = autoresearch(*words, cwd=checkout)
        assert refused.returncode == 2
        assert "imported" in refused.stderr
        assert "Traceback" not in refused.stderr
    diff = autoresearch("diff", "118", cwd=checkout).stdout
    assert "(no diff: the repository of" in diff
    assert "baseline" not in diff


async def test_an_imported_run_claims_nothing_that_is_not_known(checkout: Path) -> None:
    folder = import_run(checkout, "mar8")
    async with cockpit(folder, (120, 40), live=False) as (app, pilot):
        await until(pilot, lambda: "IMPORTED" in screen(app))
        await pilot.press("b", "v")
        await until(pilot, lambda: "cannot be compared" in screen(app))
        assert "no difference" not in screen(app)
        await pilot.press("v", "v", "3")
        await until(pilot, lambda: "peak 44.0 GB" in screen(app) or "peak " in screen(app))
        for unknown in ("trained", "hypothesis", "0 lines"):
            assert unknown not in screen(app)
        crashed = next(e.number for e in history(folder).experiments if e.verdict.outcome == "crash")
        experiments(app).select(crashed)
        await until(pilot, lambda: f"#{crashed} × crash" in screen(app))
        assert "crash: crash" not in screen(app)


def test_what_open_takes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ws" / ".autoresearch" / "nov20", 3)
    for path in (folder, folder / "journal.jsonl", tmp_path / "ws"):
        assert recorded(path).resolve() == folder.resolve()
    with pytest.raises(UsageError, match="no run there"):
        recorded(tmp_path / "nothing")
    assert speed("60x") == speed("60") == 60
    with pytest.raises(UsageError, match="60x"):
        speed("fast")


async def test_what_was_opened_takes_no_commands(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 5)
    app = Cockpit(folder, read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.state.history.run is not None)
        await pilot.press("s")
        await until(pilot, lambda: "opened to look at" in screen(app))


def test_a_replay_shows_what_was_known_at_the_time(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 5, live=False)
    now = [0.0]
    feed = Replay(folder, 10.0, lambda: now[0])
    seen, phases, steps = [], set(), set()
    while not feed.state.history.ended:
        feed.read()
        seen.append(len(feed.state.history.experiments))
        phases.add(feed.state.history.phase)
        steps |= {feed.state.live.step} if feed.state.live and feed.state.live.step is not None else set()
        now[0] += 0.1
        assert now[0] < 100
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3, 4, 5, 6}
    assert {"training", "evaluating"} <= phases
    assert len(steps) > 15, "telemetry comes little by little"
    assert feed.clock() >= feed.state.history.last_time


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cockpit]:
    """A cockpit as `open` makes it, for a test to run."""
    made: list[Cockpit] = []
    monkeypatch.setattr("tui.app._shown", lambda app: made.append(app) or Left("detach", ""))

    def make(folder: Path, replay: float | None = None) -> Cockpit:
        run_cockpit(folder, read_only=True, replay=replay)
        return made[-1]

    return make


async def test_a_recording_is_no_alarm_and_its_advice_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Cockpit]
) -> None:
    alone = write_run(tmp_path / "recorded" / "nov20", 5)
    kept = write_run(tmp_path / "ws" / ".autoresearch" / "nov20", 5)
    git(tmp_path / "ws", "init", "-q")
    monkeypatch.chdir(tmp_path)
    for folder, advice in (
        (alone, "a recording: it cannot go on here"),
        (kept, f"`autoresearch resume nov20 --workspace {tmp_path / 'ws'}` goes on"),
    ):
        app = opened(folder)
        async with app.run_test(size=(160, 40)) as pilot:
            await until(pilot, lambda app=app: "RECORDED" in screen(app))
            assert "ENGINE GONE" not in screen(app)
            assert "ended without a last word, 20 Nov 2025" in screen(app)
            assert "".join(advice.split()) in "".join(screen(app).split())
    assert f"go on with: autoresearch resume nov20 --workspace {tmp_path / 'ws'}" in status_text(kept)
    monkeypatch.chdir(tmp_path / "ws")
    assert "go on with: autoresearch resume nov20\n" in status_text(kept) + "\n"
    assert "can only be looked at" in status_text(alone)


async def test_an_engine_that_goes_while_it_is_looked_at_is_an_alarm(
    tmp_path: Path, opened: Callable[..., Cockpit]
) -> None:
    folder = write_run(tmp_path / "nov20", 5)
    app = opened(folder)
    with locks.lock(folder / "engine.lock", "busy"):
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "RUN" in screen(app) or "STALLED" in screen(app))
            assert "skip" not in screen(app).splitlines()[-1], "nothing can be controlled from here"
            app.feed._alive = lambda _: False
            await until(pilot, lambda: "ENGINE GONE" in screen(app))


async def test_a_replay_says_so_and_is_held_by_space(tmp_path: Path, opened: Callable[..., Cockpit]) -> None:
    now = [0.0]
    app = opened(write_run(tmp_path / "nov20", 5, live=False), 10.0)
    app.feed._now, app.feed._clock = lambda: now[0], replace(app.feed._clock, at=0.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▶ REPLAY 10x" in screen(app))
        keys = screen(app).splitlines()[-1]
        assert "space hold" in keys
        assert not [label for label in ("pause", "skip", "steer") if label in keys]
        now[0] = 4.6
        await until(pilot, lambda: len(app.state.history.experiments) == 2)
        await pilot.press("space")
        await until(pilot, lambda: "REPLAY held" in screen(app))
        assert "space go on" in screen(app)
        now[0] = 60.0
        await pilot.pause(0.5)
        assert len(app.state.history.experiments) == 2
        await pilot.press("space")
        await until(pilot, lambda: "REPLAY 10x" in screen(app))
        now[0] = 63.0
        await until(pilot, lambda: len(app.state.history.experiments) > 2)
        assert len(app.state.history.experiments) < 5
        await pilot.press("s")
        await until(pilot, lambda: "a replay: what happened cannot be changed" in screen(app))
        now[0] = 400.0
        await until(pilot, lambda: "REPLAY over" in screen(app))


async def test_the_news_of_a_replay_is_the_last(tmp_path: Path, opened: Callable[..., Cockpit]) -> None:
    now = [0.0]
    folder = write_run(tmp_path / "nov20", 18, live=False)
    app = opened(folder, 10.0)
    app.feed._now, app.feed._clock = lambda: now[0], replace(app.feed._clock, at=0.0)
    kept = [e for e in history(folder).experiments if e.verdict.outcome == "keep"]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "REPLAY" in screen(app))
        for e in kept[1:4]:
            while app.state.history.incumbent != e.number:
                now[0] += 0.5
                await pilot.pause(0.05)
            await until(pilot, lambda e=e: f"new best {text.score(e.measurement.value)} (#{e.number})" in screen(app))
        app._noticed_at -= 2.5
        app._tick()
        assert "new best" not in screen(app)
