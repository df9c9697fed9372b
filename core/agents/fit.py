"""Which values of constants go together: whole passes in a batch, whole heads in a width, an effect, room in memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from core.agents.constants import Value
from core.agents.space import DEVICE_BATCH, LENGTH, TOTAL_BATCH
from core.facts import fact
from core.history import History

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
    if _gate(values) > 1 >= _gate(before):  # it would read more channels than there are
        return None
    return values if _effect(values) != _effect(before) else None


def _gate(values: Mapping[str, Value]) -> float:
    """The channels that the reference's value gate reads, as a part of those there are."""
    head = max(1, _int(values, "HEAD_DIM"))
    width = -(-_int(values, "DEPTH") * _int(values, "ASPECT_RATIO") // head) * head
    return _int(values, "GATE_CHANNELS") / width if width else 0.0


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


# --- memory ----------------------------------------------------------------------------------------------------------

_OUT_OF_MEMORY = re.compile(r"(?i)^oom$|out of memory")
_CAPACITY = re.compile(r"total capacity of ([\d.]+) GiB")  # as PyTorch says it
_MARGIN = 0.97  # of the capacity: what is predicted beyond that is not tried
_DEPTH = r"(N_|NUM_)?(DEPTH|LAYERS?)"
_SIZE = r"(N_|NUM_)?(EMBD|EMBED_DIM|HIDDEN|HIDDEN_SIZE|HIDDEN_DIM|WIDTH|D_MODEL|DIM)"


@fact
class Need:
    """What a model's size asks of memory, in units of its own: what grows with the batch, and what does not."""

    activations: float
    weights: float

    def at_least(self, other: Need) -> bool:
        return self.activations >= other.activations and self.weights >= other.weights


class Room:
    """What the run has shown of memory: sizes that had room, with their peaks, and sizes that had none."""

    def __init__(self, history: History, known: Mapping[int, Mapping[str, Value]]) -> None:
        """known: the constants of experiments, by number."""
        self._measured: list[tuple[Need, float]] = []
        self._beyond: list[Need] = []
        self._capacity_mb = math.inf
        for e in history.experiments:
            need = _need(known.get(e.number, {}))
            if need is None:
                continue
            if e.measurement:
                self._measured.append((need, e.measurement.peak_memory_mb))
            elif _OUT_OF_MEMORY.search(e.verdict.reason):
                self._beyond.append(need)
                for gib in _CAPACITY.findall(e.log_tail):
                    self._capacity_mb = min(self._capacity_mb, float(gib) * 1024)
        # What ran out of memory at a size that had room before did so for another reason: its structure.
        self._beyond = [b for b in self._beyond if not any(m.at_least(b) for m, _ in self._measured)]
        self._law = _law(self._measured)
        if self._law:
            self._capacity_mb = min([self._capacity_mb * _MARGIN, *(_peak(self._law, b) for b in self._beyond)])

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a model of these constants may fit, by all that the run has shown."""
        need = _need(values)
        if need is None or any(m.at_least(need) for m, _ in self._measured):
            return True
        if any(need.at_least(b) for b in self._beyond):
            return False
        return self._law is None or _peak(self._law, need) < self._capacity_mb


def _need(values: Mapping[str, Value]) -> Need | None:
    rows = _int(values, _named(values, DEVICE_BATCH) or _named(values, TOTAL_BATCH) or "")
    depth = max(1, _int(values, _named(values, _DEPTH) or ""))
    width = depth * _int(values, "ASPECT_RATIO") or _int(values, _named(values, _SIZE) or "")
    return Need(float(rows * depth * width), float(depth * width * width)) if rows and width else None


_Law = tuple[float, float, float]


def _law(measured: Sequence[tuple[Need, float]]) -> _Law | None:
    """MB = fixed + a · activations + b · weights by least squares; None where too few sizes were measured to tell.

    Peaks of one size are close to each other, so the largest of each stands for it.
    """
    peaks: dict[Need, float] = {}
    for need, peak in measured:
        peaks[need] = max(peak, peaks.get(need, 0.0))
    if len(peaks) < 4:
        return None
    rows = [(1.0, n.activations, n.weights, peak) for n, peak in peaks.items()]
    scale = [max(abs(row[i]) for row in rows) or 1.0 for i in range(3)]
    table = [
        [sum(row[i] / scale[i] * (row[j] / scale[j] if j < 3 else row[3]) for row in rows) for j in range(4)]
        for i in range(3)
    ]
    for i in range(3):  # Gauss-Jordan, with pivots
        pivot = max(range(i, 3), key=lambda r: abs(table[r][i]))
        table[i], table[pivot] = table[pivot], table[i]
        if abs(table[i][i]) < 1e-6:
            return None  # these sizes do not tell the two apart
        table[i] = [x / table[i][i] for x in table[i]]
        for r in range(3):
            if r != i:
                table[r] = [x - table[r][i] * y for x, y in zip(table[r], table[i], strict=True)]
    fixed, a, b = (table[i][3] / scale[i] for i in range(3))
    return (fixed, a, b) if a >= 0 and b >= 0 else None


def _peak(law: _Law, need: Need) -> float:
    return law[0] + law[1] * need.activations + law[2] * need.weights
