"""How the user arranged the cockpit, kept in the user's state folder: borders, split and wrap. Which pane
is in front is a look of the moment: each cockpit begins with the diff."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import platformdirs

from core.facts import fact
from tui.layout import BORDERS, KINDS, Border, Borders, Kind, Part

_MOST_CELLS = 10_000


@fact
class Arrangement:
    """`borders`: of each layout what was moved there. `split`: None lets the width decide."""

    borders: Mapping[Kind, Borders] = field(default_factory=dict)
    pane: Part = "diff"
    split: bool | None = None
    wrap: bool = False

    def of(self, kind: Kind) -> Borders:
        return self.borders.get(kind, {})

    def moved(self, kind: Kind, border: Border, cells: int) -> Arrangement:
        """The arrangement after a border was moved."""
        return replace(self, borders={**self.borders, kind: {**self.of(kind), border: cells}})

    def put_back(self, kind: Kind) -> Arrangement:
        """The arrangement after all borders of one layout were put back."""
        return replace(self, borders={name: moved for name, moved in self.borders.items() if name != kind})


def path() -> Path:
    """Where it is kept."""
    return Path(platformdirs.user_state_dir("autoresearch")) / "layout.json"


def recall() -> Arrangement:
    """The arrangement as it was left. What is damaged, foreign or absent is as it comes: it is a convenience."""
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Arrangement()
    if not isinstance(found, dict):
        return Arrangement()
    borders, split, wrap = found.get("borders"), found.get("split"), found.get("wrap")
    return Arrangement(
        {kind: moved for kind in KINDS if (moved := _borders(borders, kind))},
        split=split if isinstance(split, bool) else None,
        wrap=wrap is True,
    )


def _borders(borders: object, kind: Kind) -> Borders:
    said: Any = borders.get(kind) if isinstance(borders, dict) else None
    if not isinstance(said, dict):
        return {}
    return {b: said[b] for b in BORDERS if type(said.get(b)) is int and 0 < said[b] < _MOST_CELLS}


def keep(arrangement: Arrangement) -> None:
    """Keep it for the next time. A state folder that cannot be written costs this, nothing else."""
    at = path()
    record = {
        "borders": {kind: dict(moved) for kind, moved in arrangement.borders.items() if moved},
        "split": arrangement.split,
        "wrap": arrangement.wrap,
    }
    with contextlib.suppress(OSError):
        at.parent.mkdir(parents=True, exist_ok=True)
        part = at.with_name(f"{at.name}.{os.getpid()}")
        part.write_text(json.dumps(record), encoding="utf-8")
        part.replace(at)
