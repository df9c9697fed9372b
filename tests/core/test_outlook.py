"""What a start would come to, looked at ahead: the words of the refusal itself, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ended, git
from test_loop import snapshot

from core.errors import UsageError
from core.launch import Options, launch
from core.outlook import look

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
    assert outlook.plan == "the baseline and 3 experiments of 7 s: 28 s of training, plus start-up and evaluation"
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
