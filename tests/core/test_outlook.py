"""What a start would come to, looked at ahead: the words of the refusal itself, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import autoresearch, commit_all, ended, git, history, rates_agent
from test_loop import snapshot

from core.agents import ANOTHER
from core.errors import UsageError
from core.launch import Options, launch
from core.outlook import look
from tui import told
from tui.going_on import for_more

SCRIPT = '{"edits": {"train.py": [["RATE = 0.5", "RATE = 0.4"]]}, "description": "d"}\n'


def quiet(line: str) -> None:
    """Nobody listens."""


def test_a_start_that_may_be_is_told_with_its_tag_and_its_plan(toy: Path) -> None:
    (toy / "train.py").write_text("RATE = 0.1\n")
    before = snapshot(toy)
    outlook = look(Options(str(toy), experiments=3, train_seconds=7.0))
    assert outlook.troubles == {}
    assert outlook.tag
    assert outlook.changed == ("train.py",)
    assert outlook.plan == "the baseline and 3 experiments of at most 7 s, 28 s in all"
    assert outlook.root == toy.resolve()
    assert snapshot(toy) == before
    assert not (toy / ".autoresearch").exists()


@pytest.mark.parametrize(
    ("about", "change"),
    [
        ("train_seconds", {"train_seconds": 0.0}),
        ("train_seconds", {"train_seconds": float("nan")}),
        ("experiments", {"experiments": -1}),
        ("hours", {"hours": 0.0}),
        ("tag", {"tag": "a/b"}),
        ("tag", {"tag": "taken"}),
        ("tag", {"tag": "branched"}),
        ("agent", {"agent": "oracle"}),
        ("agent", {"agent": "scripted:nowhere"}),
        ("task", {"task": "nowhere"}),
    ],
)
def test_what_would_be_refused_is_said_in_the_same_words(
    about: str, change: dict[str, object], toy: Path, engines: Callable[[Options], Path]
) -> None:
    ended(engines(Options(str(toy), tag="taken", experiments=0)))
    git(toy, "branch", "autoresearch/branched")
    wish = Options(**{"workspace": str(toy), **change})
    with pytest.raises(UsageError) as refused:
        launch(wish, quiet)
    assert look(wish).troubles == {about: str(refused.value)}
    assert look(wish).plan == ""


def test_everything_that_is_wrong_is_said_at_once(toy: Path) -> None:
    (toy / "task.toml").write_text("[task\n")
    troubles = look(Options(str(toy), tag="..", train_seconds=-1.0, hours=0.0)).troubles
    assert set(troubles) == {"task", "tag", "train_seconds", "hours"}


def test_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    assert set(look(Options(str(tmp_path))).troubles) == {"workspace"}
    git(tmp_path, "init", "-q")
    assert "no commit yet" in look(Options(str(tmp_path))).troubles["workspace"]


PREPARE = '[commands]\nprepare = "true"\n'


@pytest.mark.parametrize(
    ("prepared", "wish", "plan"),
    [
        (False, {}, "experiments of at most 5 s until you stop it"),
        (False, {"experiments": 1, "hours": 2.0}, "the baseline and 1 experiment of at most 5 s, 10 s in all, "
         "at most 2 h"),
        (True, {}, "experiments of 5 s until you stop it, at most 720 an hour, start-up and evaluation not counted"),
        (True, {"experiments": 8}, "the baseline and 8 experiments of 5 s: 45 s of training, plus start-up and "
         "evaluation"),
    ],
)  # fmt: skip
def test_a_rate_is_told_only_where_trials_last_as_long_as_their_budget(
    prepared: bool, wish: dict[str, float], plan: str, toy: Path
) -> None:
    if prepared:
        whole = (toy / "task.toml").read_text().replace("[commands]\n", PREPARE)
        (toy / "task.toml").write_text(whole)
        commit_all(toy)
    assert look(Options(**{"workspace": str(toy), **wish})).plan == plan


def test_the_plan_of_a_run_that_goes_on_is_what_is_left(toy: Path, engines: Callable[[Options], Path]) -> None:
    ended(engines(Options(str(toy), agent=rates_agent(toy), tag="t", experiments=1)))
    shown = autoresearch("resume", "t", "--plain", "--experiments", "2", cwd=toy)
    assert "2 more experiments of at most 5 s, 10 s in all" in shown.stderr
    assert "the baseline and 1" not in shown.stdout
    notes = " ".join(row for row, _ in told.notes(history(toy / ".autoresearch" / "t"), None, 200))
    assert "2 more experiments of at most 5 s" in notes


def test_an_artifact_that_the_search_could_not_change_is_refused_before_its_baseline(toy: Path) -> None:
    (toy / "train.py").write_text('print("loss:", 1.0)\n')
    commit_all(toy)
    said = "train.py: no capital constants for the agent search to tune"
    with pytest.raises(UsageError, match=said) as refused:
        launch(Options(str(toy), tag="t"), quiet)
    assert "autoresearch run --agent" in str(refused.value)
    assert look(Options(str(toy), tag="t")).troubles == {"agent": str(refused.value)}
    assert not (toy / ".autoresearch").exists()
    assert look(Options(str(toy), tag="t", experiments=0)).troubles == {}, "the baseline alone needs no agent"
    assert look(Options(str(toy), tag="t", agent=rates_agent(toy))).troubles == {}


def test_for_more_names_no_resume_that_would_end_at_once() -> None:
    assert for_more(f"train.py: no capital constants; {ANOTHER}", "search", "autoresearch resume t") == ""
