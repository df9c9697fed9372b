"""A version of the user's own is called after what it changes."""

from __future__ import annotations

import pytest

from core.own_words import described

BEFORE = 'DEPTH = 2\nLR = 0.04  # of the matrices\nCOLOUR = "#fff"\n\ndef f(x):\n    return x\n'


@pytest.mark.parametrize(
    ("change", "called"),
    [
        ([("DEPTH = 2", "DEPTH = 4")], "DEPTH 2 → 4 (edited by hand)"),
        ([("DEPTH = 2", "DEPTH: int = 4")], "DEPTH 2 → 4 (edited by hand)"),
        ([("0.04  # of the matrices", "0.05")], "LR 0.04 → 0.05 (edited by hand)"),
        ([("#fff", "#000")], 'COLOUR "#fff" → "#000" (edited by hand)'),
        ([("= 2", "= 4"), ("0.04", "0.05"), ("#fff", "#000")], "DEPTH 2 → 4, LR 0.04 → 0.05, +1 more (edited by hand)"),
        ([("= 2", "= 4"), ("return x", "return 2 * x")], "DEPTH 2 → 4, other lines (edited by hand)"),
        ([("return x", "return 2 * x")], "edited by hand: wider"),
        ([("DEPTH = 2\n", "")], "edited by hand: wider"),
        ([("# of the matrices", "# tried 0.05")], "edited by hand: wider"),
    ],
)
def test_a_version_is_called_after_its_settings(change: list[tuple[str, str]], called: str) -> None:
    after = BEFORE
    for old, new in change:
        assert old in after
        after = after.replace(old, new)
    before = {"train.py": BEFORE, "other.py": "A = 1"}
    assert described(before, before, {**before, "train.py": after}, "wider") == called


def test_what_the_user_changed_of_the_proposal_comes_first() -> None:
    before = {"a.py": "STEP = 0.2\nITERS = 212\nNOISE = 0.1\n"}
    proposal = {"a.py": "STEP = 1.9\nITERS = 235\nNOISE = 0.1\n"}
    after = {"a.py": "STEP = 1.9\nITERS = 235\nNOISE = 0.3\n"}
    called = "NOISE 0.1 → 0.3, STEP 0.2 → 1.9, +1 more (edited by hand)"
    assert described(before, proposal, after, "bigger steps") == called
    withdrawn = {"a.py": "STEP = 0.2\nITERS = 235\nNOISE = 0.1\n"}
    assert described(before, proposal, withdrawn, "bigger steps") == "ITERS 212 → 235 (edited by hand)"


def test_a_long_line_takes_no_time() -> None:
    before = {"a.py": "name:" + " " * 100_000 + "x"}
    after = {"a.py": "name:" + " " * 100_000 + "y"}
    assert described(before, before, after, "said") == "name x → y (edited by hand)"


@pytest.mark.parametrize(
    ("path", "before", "after", "called"),
    [
        ("a.py", "X = 1\nreturn n // 2", "X = 2\nreturn n // 4", "X 1 → 2, other lines (edited by hand)"),
        ("a.py", "X = n // 2", "X = n // 4", "X n // 2 → n // 4 (edited by hand)"),
        ("a.c", "int X = 1; // one", "int X = 1; // two", "edited by hand: said"),
        ("a.c", "#define N 1\nx = 1", "#define N 2\nx = 3", "x 1 → 3, other lines (edited by hand)"),
        ("a.md", "# One\nstyle: dry", "# Two\nstyle: wet", "style dry → wet, other lines (edited by hand)"),
    ],
)
def test_what_a_comment_is_depends_on_the_file(path: str, before: str, after: str, called: str) -> None:
    assert described({path: before}, {path: before}, {path: after}, "said") == called
