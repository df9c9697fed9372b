"""The experiments of a run as a table for people: what `results` prints on a terminal."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size

from core.experiment import Experiment
from core.history import History
from tui import agent_words, text
from tui.feed import State
from tui.repeats import LUCK, contradicted, verdicts
from tui.tail import as_float
from tui.watch import folded_for_terminal

_LEFT = ("commit", "verdict")  # columns of words; the others hold figures
_LEAST = 20  # cells of a description


def table(history: History, width: int) -> str:
    """A row an experiment under the columns' names; what each did cost, where that is known of any. What a description
    has beyond `width` cells is cut off and marked: the tab-separated values have all of it. What further trials say of
    the result stands below."""
    metric, better = State(history).metric, State(history).direction
    rows = [_row(e, better) for e in history.experiments]
    names = ["#", "commit", metric, "Δ", "memory", "verdict", "cost", "description"]
    if not any(row[6] for row in rows):
        rows, names = [row[:6] + row[7:] for row in rows], names[:6] + names[7:]
    for i in (2, 3):
        for row, number in zip(rows, text.in_line([row[i] for row in rows]), strict=True):
            row[i] = number
    widths = [max(cell_len(row[i]) for row in (names, *rows)) for i in range(len(names) - 1)]

    def line(row: list[str]) -> str:
        cells = ""
        for words, room, name in zip(row[:-1], widths, names, strict=False):
            gap = " " * (room - cell_len(words))
            cells += f"{words}{gap}  " if name in _LEFT else f"{gap}{words}  "
        left, described = max(_LEAST, width - cell_len(cells)), row[-1]
        cut = described if cell_len(described) <= left else f"{set_cell_size(described, left - 1)}…"
        return f"{cells}{cut}".rstrip()

    said = verdicts(history)
    if any(e.measurement and e.measurement.self_reported for e in history.experiments):
        said.append(f"{metric} is self-reported: the artifact says it itself, and nothing checked it")
    below = [row for sentence in said for row in folded_for_terminal(sentence, width)]
    return "\n".join([*map(line, [names, *rows]), *below]) + "\n"


def _row(e: Experiment, better: str) -> list[str]:
    m, outcome = e.measurement, text.one_line(e.verdict.outcome)
    reason = text.one_line(e.verdict.reason) if m is None else ""  # where there is no score: why
    described = text.one_line(e.description)
    return [
        str(e.number),
        text.one_line(e.commit[:7]),
        text.exact(m.value) if m else "—",
        text.delta(e.delta),
        text.memory(m.peak_memory_mb) if m and m.peak_memory_mb else "",
        f"{outcome} {LUCK}" if contradicted(e, better) else outcome,
        _cost(e),
        f"{reason}: {described}" if reason and reason != outcome and reason not in described else described,
    ]


def _cost(e: Experiment) -> str:
    """In dollars, in tokens where there is no price; empty where nothing is known."""
    details = agent_words.details_of(e)
    paid, tokens = as_float(details.get("dollars")), as_float(details.get("tokens"))
    if paid is not None and math.isfinite(paid) and paid >= 0:
        return agent_words.dollars(paid)
    return f"{text.quantity(tokens)} tokens" if tokens and math.isfinite(tokens) else ""
