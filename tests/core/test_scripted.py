"""The agent `scripted`: replays patches exactly, or says which one does not fit."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.agents import Exhausted, Refused, Request
from core.agents.patch import DoesNotApply, apply, parse
from core.agents.scripted import Scripted
from core.desk import Paper
from core.errors import UsageError
from core.experiment import Proposal
from core.history import History

SOURCE = "A = 1\nB = 2\n\ndef f():\n    return A\n"


def request(number: int = 1, refused: int = 0, sources: Mapping[str, str] | None = None) -> Request:
    sources = {"train.py": SOURCE} if sources is None else sources
    return Request(number, sources, "", History(refused=refused), "min", lambda edits: True, Paper(Path()))


def jsonl(tmp_path: Path, *records: object) -> Path:
    file = tmp_path / "script.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def diff(old: str, new: str, name: str = "train.py", context: int = 3) -> str:
    lines = difflib.unified_diff(
        old.split("\n")[:-1], new.split("\n")[:-1], f"a/{name}", f"b/{name}", "", "", context, ""
    )
    return "\n".join(lines) + "\n"


def edited(proposal: Proposal) -> str:
    return proposal.edits["train.py"]


def test_the_three_kinds_of_lines(tmp_path: Path) -> None:
    agent = Scripted(
        jsonl(
            tmp_path,
            {"description": "one", "hypothesis": "because", "replace": [["A = 1", "A = 10"], ["B = 2", "B = 20"]]},
            {"description": "two", "patch": diff(SOURCE, SOURCE.replace("B = 2", "B = 3"))},
            {"description": "three", "edits": {"train.py": "A = 0\n"}, "file": "train.py"},
        )
    )
    first = agent.propose(request(1))
    assert (first.description, first.hypothesis) == ("one", "because")
    assert edited(first) == SOURCE.replace("1", "10").replace("2", "20")
    assert edited(agent.propose(request(2))) == SOURCE.replace("2", "3")
    assert edited(agent.propose(request(3))) == "A = 0\n"
    with pytest.raises(Exhausted, match="all 3 patches"):
        agent.propose(request(4))


def test_a_folder_of_patches_in_the_order_of_names(tmp_path: Path) -> None:
    mail = (
        "From 0123 Mon Sep 17 00:00:00 2001\nFrom: A <a@localhost>\nSubject: [PATCH 2/2] Raise B by a\n lot\n\n"
        "It was low.\nReally.\n---\n train.py | 2 +-\n\ndiff --git a/train.py b/train.py\nindex 1..2 100644\n"
        + diff(SOURCE, SOURCE.replace("B = 2", "B = 200"))
        + "-- \n2.39.0\n"
    )
    (tmp_path / "02.patch").write_text(mail)
    (tmp_path / "01.patch").write_text("Lower A\n\nIt is high.\n\n" + diff(SOURCE, SOURCE.replace("A = 1", "A = 0")))
    (tmp_path / "03-no-words.patch").write_text(diff(SOURCE, SOURCE + "C = 3\n", "cuda/train.py"))
    (tmp_path / "notes.txt").write_text("not a patch")
    agent = Scripted(tmp_path)
    proposals = [agent.propose(request(number)) for number in (1, 2, 3)]
    assert [p.description for p in proposals] == ["Lower A", "Raise B by a lot", "03-no-words"]
    assert [p.hypothesis for p in proposals[:2]] == ["It is high.", "It was low. Really."]
    assert edited(proposals[1]) == SOURCE.replace("B = 2", "B = 200")
    assert edited(proposals[2]) == SOURCE + "C = 3\n"


def test_a_resumed_run_goes_on_at_the_right_patch_and_meets_no_refused_one_again(tmp_path: Path) -> None:
    lines = [{"description": str(n), "replace": [["A = 1" if n != 2 else "absent", f"A = {n}"]]} for n in range(1, 5)]
    file = jsonl(tmp_path, *lines)
    number, refused, said = 1, 0, []
    while True:
        agent = Scripted(file)  # as after a kill, each time
        try:
            said.append(agent.propose(request(number, refused)).description)
            number += 1
        except Refused as refusal:
            said.append(f"refused {refusal.description}")
            refused += 1
        except Exhausted:
            break
    assert said == ["1", "refused 2", "3", "4"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"replace": [["A = 1", "A = 2"], ["C = 3", ""]]},
            "replacement 2 of 2: its old text does not stand in train.py",
        ),
        ({"replace": [["A", "B"]]}, "replacement 1 of 1: its old text stands 2 times in train.py"),
        ({"patch": diff("X = 1\n", "X = 2\n")}, "hunk 1 of 1 does not apply to train.py: its old lines are not in"),
        ({"patch": diff("A = 1\n", "A = 2\n", "other.py")}, r"other.py is not part of the artifact \(train.py\)"),
        ({"edits": {"other.py": ""}}, r"other.py is not part of the artifact"),
        ({"replace": [["A", "B"]], "file": "other.py"}, r"other.py is not part of the artifact"),
    ],
)
def test_what_does_not_apply_is_refused_with_the_reason(tmp_path: Path, record: dict[str, object], reason: str) -> None:
    agent = Scripted(jsonl(tmp_path, {"description": "it", **record}))
    with pytest.raises(Refused, match=f"patch 1 of 1: {reason}") as refusal:
        agent.propose(request())
    assert refusal.value.description == "it"


def test_which_file_must_be_said_where_there_are_several(tmp_path: Path) -> None:
    sources = {"a.py": "A = 1\n", "b.py": "A = 1\n"}
    lines = [{"description": "x", "replace": [["1", "2"]], **extra} for extra in ({}, {"file": "b.py"})]
    agent = Scripted(jsonl(tmp_path, *lines))
    with pytest.raises(Refused, match="say which"):
        agent.propose(request(1, 0, sources))
    assert agent.propose(request(2, 0, sources)).edits == {"b.py": "A = 2\n"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ('{"description": "a", "edits": {"a": "b"}}\n\n{"descripton": "a"}', "line 3: unknown key descripton"),
        ('{"description": "a"}', "exactly one of replace, patch, edits"),
        ('{"description": "a", "patch": "", "edits": {}}', "exactly one of"),
        ('{"description": 3, "edits": {"a": "b"}}', "description must be text"),
        ('{"edits": {"a": "b"}}', "no description"),
        ('{"description": "a", "replace": [["a"]]}', "replace must be a list"),
        ('{"description": "a", "edits": {"a": 1}}', "edits must map"),
        ('{"description": "a", "patch": "hello"}', "no file"),
    ],
)
def test_a_file_that_is_not_understood_is_a_usage_error(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "script.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason) as error:
        Scripted(file)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


def test_a_missing_or_empty_place_is_a_usage_error(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "absent", "does not exist"),
        (tmp_path, r"no \*.patch"),
        (tmp_path / "x.txt", "neither"),
    ):
        (tmp_path / "x.txt").write_text("x")
        with pytest.raises(UsageError, match=reason):
            Scripted(path)
    (tmp_path / "bad.patch").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        Scripted(tmp_path)


def test_random_edits_come_out_as_they_went_in() -> None:
    rng = random.Random(0)
    for _ in range(300):
        old = [rng.choice(["a", "b", "", "\tc", "d\r", "é", "\x0c", "-- x", "+y"]) for _ in range(rng.randrange(25))]
        new = list(old)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(new) + 1)
            new[at : at + rng.randrange(3)] = [f"new {rng.random()}" for _ in range(rng.randrange(3))]
        before, after = ("".join(line + "\n" for line in lines) for lines in (old, new))
        if before != after:
            hunks = parse(diff(before, after, context=rng.randrange(4)))["train.py"]
            assert apply(before, hunks, "train.py") == after


def test_a_missing_last_line_end_is_kept_made_and_removed() -> None:
    mark = "\\ No newline at end of file\n"
    head = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n"
    for patch, old, new in (
        (f"{head}-b\n+c\n{mark}", "a\nb\n", "a\nc"),
        (f"{head}-b\n{mark}+c\n", "a\nb", "a\nc\n"),
        (f"{head}-b\n{mark}+c\n{mark}", "a\nb", "a\nc"),
    ):
        assert apply(old, parse(patch)["x"], "x") == new
    with pytest.raises(DoesNotApply):
        apply("a\nb\n", parse(f"{head}-b\n{mark}+c\n")["x"], "x")


def test_a_hunk_moves_only_to_the_one_place_where_its_lines_are() -> None:
    hunks = parse(diff("x\ny\nz\n", "x\nY\nz\n"))["train.py"]
    assert apply("first\nx\ny\nz\n", hunks, "train.py") == "first\nx\nY\nz\n"
    with pytest.raises(DoesNotApply, match="are in 2 places"):
        apply("first\nx\ny\nz\nx\ny\nz\n", hunks, "train.py")
    with pytest.raises(DoesNotApply, match="hunk 1 of 1"):
        apply("x\ny \nz\n", hunks, "train.py")  # white space counts


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("@@ -1 +1 @@\n-a\n+b\n", "a hunk before its file"),
        ("--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "x becomes y"),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", "not made"),
        ("--- a/x\n+++ b/x\n", "no hunk"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n", "line 5: the hunk is shorter"),
        ("--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n a\n b\n", "longer than its header"),
    ],
)
def test_a_damaged_patch_is_named(patch: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(patch)
