"""`replace` for the frozen dataclasses with slots that this package is made of.

It does what `dataclasses.replace` does, in less than half the time: a fold over a long journal does little else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

Fact = TypeVar("Fact")


def replace(fact: Fact, /, **changes: Any) -> Fact:
    """The same fact with some fields changed. Of dataclasses with slots and without `__post_init__`.

    Raises TypeError for a field that there is not.
    """
    values, puts = _shape(type(fact))
    new = object.__new__(type(fact))
    for put, value in zip(puts.values(), values(fact), strict=True):
        put(new, value)
    try:
        for name, value in changes.items():
            puts[name](new, value)
    except KeyError as error:
        raise TypeError(f"{type(fact).__name__} has no field {error}") from None
    return new


@cache
def _shape(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, Callable[[Any, Any], None]]]:
    """How to read all fields at once, and how to write each: its slot knows nothing of `frozen`."""
    names = [field.name for field in fields(kind)]
    read = attrgetter(*names)
    return (read if len(names) > 1 else lambda fact: (read(fact),)), {n: getattr(kind, n).__set__ for n in names}
