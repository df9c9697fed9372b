"""What keeps the cockpit light: what it loads, how it folds, when it looks."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from driving import cockpit, until
from recorded_run import write_run
from textual.widget import Widget

from core.facts import replace
from core.journal import read
from tui.feed import State, fold, reduce
from tui.themes import STYLES

HEAVY = (
    "psutil", "pygit2", "numpy", "optuna", "anthropic", "textual_serve", "rich.markdown", "markdown_it", "hashlib",
    "tomllib",
)  # fmt: skip


def test_the_cockpit_loads_nothing_heavy_before_it_paints() -> None:
    program = f"import sys, tui.cli, tui.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


async def test_styles_belong_to_the_app_alone(tmp_path: Path) -> None:
    """A widget that has them is matched with the whole stylesheet once for each of them, whenever a class changes."""
    async with cockpit(write_run(tmp_path / "nov20", 3)) as (app, _):
        own = [w for w in app.screen.walk_children(Widget) if w._get_component_classes() & STYLES]
        assert own == []
        assert app.named_style("kept").color is not None


async def test_another_experiments_diff_is_painted_with_its_row(tmp_path: Path) -> None:
    """Once told by a message it would come a painting later."""
    async with cockpit(write_run(tmp_path / "nov20", 3)) as (app, pilot):
        await until(pilot, lambda: app.research.experiments.selected is not None)
        app.research.action_select(1)
        assert app.research.diffs.view._whose == app.research.experiments.selected


def test_folding_many_events_is_folding_one_by_one(tmp_path: Path) -> None:
    events = list(read(write_run(tmp_path / "nov20", 40) / "journal.jsonl"))
    one_by_one = State()
    for event, at in events:
        one_by_one = reduce(one_by_one, event, at)
    assert fold(State(), events) == one_by_one
    middle = len(events) // 2
    assert fold(fold(State(), events[:middle]), events[middle:]) == one_by_one


def test_folding_nothing_changes_nothing() -> None:
    state = State()
    assert fold(state, []) is state


@dataclass(frozen=True)
class Loose:
    a: int
    b: int = 2


@dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    b: int = 2


@pytest.mark.parametrize("kind", [Loose, Slotted])
def test_replace_makes_another_fact_and_knows_its_fields(kind: type[Loose] | type[Slotted]) -> None:
    fact = kind(1)
    other = replace(fact, b=3)
    assert (other.a, other.b) == (1, 3)
    assert (fact.a, fact.b) == (1, 2)
    assert other == kind(1, 3)
    assert hash(other) == hash(kind(1, 3))
    with pytest.raises(TypeError, match="c"):
        replace(fact, c=1)


async def test_garbage_is_looked_for_again_once_it_has_painted(tmp_path: Path) -> None:
    gc.disable()
    try:
        async with cockpit(write_run(tmp_path / "nov20", 3)) as (_, pilot):
            await until(pilot, gc.isenabled)
    finally:
        gc.enable()
        gc.unfreeze()
