"""Which values of constants go together: whole passes in a batch, whole heads in a width, an effect at all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from core.agents.constants import Value
from core.agents.space import DEVICE_BATCH, LENGTH, TOTAL_BATCH

_WIDTHS = r"(N_|NUM_)?(EMBD|EMBED|EMBED_DIM|EMBEDDING_DIM|HIDDEN|HIDDEN_SIZE|HIDDEN_DIM|WIDTH|D_MODEL|DIM|HEADS?)"
_DIVISORS = r"((N_|NUM_)?(KV_)?HEADS?|HEAD_DIM|HEAD_SIZE|(N_|NUM_)?GROUPS)"


def fitted(
    values: Mapping[str, Value], before: Mapping[str, Value], sequence_length: int | None
) -> dict[str, Value] | None:
    """These values, made to go together where they did `before`; None if they cannot, or if nothing would come of them.

    A batch stays a whole number of forward passes (DEVICE_BATCH_SIZE shrinks with TOTAL_BATCH_SIZE), and a width that
    is a multiple of its heads stays one. sequence_length: tokens in a row, where the task says so.
    """
    values = dict(values)
    if not _fit_batches(values, before, sequence_length):
        return None
    pairs = list(_divisible(before))
    for size, divisor in pairs:
        if values[size] != before[size]:
            even = min(8, _int(before, size) & -_int(before, size))  # what is a multiple of 8, 4 or 2 stays one
            grain = math.lcm(max(1, _int(values, divisor)), even)
            values[size] = max(1, round(_int(values, size) / grain)) * grain
    if any(_int(values, size) % max(1, _int(values, divisor)) for size, divisor in pairs):
        return None
    return values if _effect(values) != _effect(before) else None


def _fit_batches(values: dict[str, Value], before: Mapping[str, Value], sequence_length: int | None) -> bool:
    total, device = _named(before, TOTAL_BATCH), _named(before, DEVICE_BATCH)
    if not total or not device or (values[total] == before[total] and values[device] == before[device]):
        return True
    batch, rows = _int(before, total), _int(before, device)
    length = sequence_length or _int(before, _named(before, LENGTH) or "")
    if length < 1 or batch % (rows * length):  # not known: keep the passes a step, or count in rows
        length = batch // rows if batch % rows == 0 else 0
    if length < 1:
        return True
    rows = _int(values, device)
    while rows > 0 and _int(values, total) % (rows * length):
        rows //= 2
    if rows < 1 or (rows != _int(values, device) and values[total] == before[total]):
        return False
    values[device] = rows
    return True


def _divisible(values: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """(size, divisor) for the widths and heads of these constants that divide now."""
    for size in values:
        for divisor in values:
            named = re.fullmatch(_WIDTHS, size) and re.fullmatch(_DIVISORS, divisor) and size != divisor
            if named and _int(values, divisor) > 0 and _int(values, size) % _int(values, divisor) == 0:
                yield size, divisor


def _effect(values: Mapping[str, Value]) -> dict[str, object]:
    """The values, with those replaced that only count through others: two sources of equal effect are one experiment.

    The width of nanochat's models is DEPTH * ASPECT_RATIO rounded up to a multiple of HEAD_DIM; of a window pattern
    only as many letters count as there are layers, and the last layer always has the full window.
    """
    effect: dict[str, object] = dict(values)
    depth, ratio, head = (_int(values, name) for name in ("DEPTH", "ASPECT_RATIO", "HEAD_DIM"))
    if depth > 0 and ratio > 0 and head > 0:
        effect["ASPECT_RATIO"] = -(-depth * ratio // head) * head
    pattern = values.get("WINDOW_PATTERN")
    if depth > 0 and isinstance(pattern, str) and pattern:
        effect["WINDOW_PATTERN"] = "".join(pattern[i % len(pattern)] for i in range(depth - 1))
    return effect


def _named(values: Mapping[str, Value], pattern: str) -> str | None:
    """The name among these that matches and has a positive int."""
    return next((name for name in values if re.fullmatch(pattern, name) and _int(values, name) > 0), None)


def _int(values: Mapping[str, Value], name: str) -> int:
    """The int of this name; 0 where there is none."""
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
