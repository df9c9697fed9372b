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
    assert (
        described({"train.py": BEFORE, "other.py": "A = 1"}, {"train.py": after, "other.py": "A = 1"}, "wider")
        == called
    )
