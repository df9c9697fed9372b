"""Runs that are opened, replayed and imported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import autoresearch, git, history
from driving import cockpit, experiments, screen, until
from recorded_run import write_run

from core.errors import UsageError
from core.imported import NO_COMMIT, import_run
from tui.app import Cockpit
from tui.recorded import recorded, speed
from tui.replay import Replay

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
        assert "0.9979 → 0.9697" in screen(app)
        assert screen(app).count("●") >= 6, "the plot has its keeps"
        await pilot.press("b")
        assert experiments(app).selected == history(folder).best.number
        await until(pilot, lambda: "no diff" in screen(app))


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
    assert (h.experiments[2].diff, h.experiments[2].hypothesis) == ("", NO_COMMIT)
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
    assert "exists" in autoresearch("import", ".", "--tag", "mar8", cwd=checkout).stderr


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
