"""A proposal that waits for a yes while a trial asked for before runs, and an engine that comes while one looks on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from conftest import autoresearch, ended, git, history
from recorded_run import append, commit_of, write_run

from core import agents, control
from core import events as ev
from core.errors import UsageError
from core.launch import Options
from tui import plain
from tui.cli import cli
from tui.feed import Feed

AT = 1_800_000_000.0
DIFF = "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-SOFTCAP = 15\n+SOFTCAP = 20\n"
RESUMED = ev.EngineStarted(4243, True, "cpu", 50)


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    """#3 waits, and an engine has begun another trial of #0."""
    folder = write_run(tmp_path / ".autoresearch" / "nov20", 2, ended=False, live=False)
    append(
        folder,
        ev.Proposing(3, 0), ev.Proposed(3, commit_of(0), 0, {"train.py": "SOFTCAP = 20\n"}, "softcap 20", "", {}),
        ev.ApprovalAwaited(3, DIFF), ev.RunEnded("stopped", "stopped by the user"),
        RESUMED, ev.AgainAsked(0), ev.AgainStarted(0),
        at=AT,
    )  # fmt: skip
    return folder


def test_it_waits_again_after_that_trial(aside: Path) -> None:
    append(aside, ev.AgainDone(0), at=AT)
    h = history(aside)
    assert (h.phase, h.waiting and h.waiting.number) == ("approving", 3)


def test_the_plain_viewer_says_that_it_waits_again(aside: Path) -> None:
    feed, out = Feed(aside, alive=lambda _: True), io.StringIO()
    feed.read()
    append(aside, ev.AgainDone(0), at=AT)
    lines = feed.read()
    out.write("\n".join(plain.waits_again([line.event for line in lines], feed.state)))
    assert "#3 waits for your yes" in out.getvalue()
    assert "approve" in out.getvalue()
    assert plain.waits_again([], feed.state) == []


def test_an_answer_meanwhile_is_refused_with_the_reason(aside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "alive", lambda _: True)
    with pytest.raises(UsageError, match="another trial of #0 runs first; #3 waits for your answer after it"):
        cli(["approve", "nov20", "--workspace", str(aside.parent.parent)], standalone_mode=False)


def test_an_engine_that_comes_is_there_with_its_first_line(tmp_path: Path) -> None:
    folder, alive = write_run(tmp_path / "nov20", 2, live=False), False
    feed = Feed(folder, alive=lambda _: alive)
    feed.read()
    assert feed.state.alive is False
    alive = True
    append(folder, RESUMED, at=AT)
    feed.read()
    assert feed.state.alive is True


@pytest.mark.parametrize(
    ("name", "reads"),
    [("search", False), ("scripted:x", False), ("claude", True), ("command:x", True), ("hybrid", True),
     ("hybrid:command:x", True)],
)  # fmt: skip
def test_the_one_in_the_agents_place_reads_what_the_agent_reads(name: str, reads: bool) -> None:
    assert agents.Absent(name).reads_notes is reads


def test_confirm_says_that_the_best_has_changed(toy: Path, engines) -> None:
    """The engine was killed between the score of a better one and its verdict."""
    steps = toy.parent / "steps.jsonl"
    source = (toy / "train.py").read_text()
    edits = [{"description": r, "edits": {"train.py": source.replace("0.5", r)}} for r in ("0.4", "0.35")]
    steps.write_text("".join(json.dumps(edit) + "\n" for edit in edits))
    folder = engines(Options(str(toy), agent=f"scripted:{steps}", tag="t", experiments=2))
    first = ended(folder).experiments[1].commit
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    measured = max(i for i, line in enumerate(lines) if '"measured"' in line.lower())
    journal.write_text("".join(lines[: measured + 1]))
    git(toy, "branch", "-f", "autoresearch/t", first)
    assert history(folder).incumbent == 1
    told = autoresearch("confirm", "--seeds", "2", "t", cwd=toy)
    assert told.returncode == 1
    assert "the best is #2 by now" in told.stderr
    assert "no further trial" not in told.stderr
    assert autoresearch("confirm", "--seeds", "2", "t", cwd=toy).returncode == 0
