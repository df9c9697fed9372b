"""`replace` for frozen dataclasses: for those without slots in a sixth of the time that `dataclasses.replace` takes.

A fold over a long journal does little else. So what is folded has no slots; there is only one of it at a time.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

Fact = TypeVar("Fact")


def replace(fact: Fact, /, **changes: Any) -> Fact:
    """The same fact with some fields changed. Raises TypeError for a field that there is not."""
    before = getattr(fact, "__dict__", None)
    if before is None:
        return dataclasses.replace(fact, **changes)  # type: ignore[type-var]
    new = object.__new__(type(fact))
    values = new.__dict__
    values.update(before, **changes)
    if len(values) != len(before):
        raise TypeError(f"{type(fact).__name__} has no field {', '.join(sorted(changes.keys() - before.keys()))}")
    return new
