"""Events to and from the JSON objects of journal lines: `{"type": …, "time": …, **fields}`, `time` in Unix seconds.

Readers skip types they do not know, so that an older cockpit can follow a newer engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from core.events import Event

TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}


def to_record(event: Event, time: float) -> dict[str, Any]:
    """The JSON object of one journal line."""
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    return {"type": type(event).__name__, "time": time, **fields}


def from_record(record: Mapping[str, Any]) -> Event | None:
    """The event of a journal line; None for a type or a shape that this version does not know."""
    kind: Any = TYPES.get(str(record.get("type")))
    if kind is None:
        return None
    known = _fields(kind)
    try:
        event: Event = kind(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in record.items() if key in known}
        )
    except TypeError:
        return None
    return event


@cache
def _fields(kind: type[Event]) -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(kind))
