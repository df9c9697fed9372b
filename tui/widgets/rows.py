"""The rows of the list of experiments: one that is finished, one that is under way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from core.experiment import Experiment
from core.history import Pending
from core.own_words import BY_HAND
from tui import agent_words, text
from tui.repeats import contradicted, repeated
from tui.verdicts import short_reason
from tui.widgets.columns import WITH_REASON, Columns, in_room
from tui.widgets.marking import lit
from tui.widgets.paint import OUTCOMES, Piece, cell

_WITH_SPREAD = 60  # columns from which repeats are told with their spread
_ROOMY = 40  # cells for all words from which the description has room beside others
_LEAST_DESCRIBED = 8  # cells that the mark of further trials leaves to the description
_PLAIN_REASONS = {"keep", "baseline", "better", "worse"}

Sought = re.Pattern[str] | None


def finished(
    e: Experiment,
    width: int,
    best: int | None,
    now: str,
    better: str = "min",
    found: str = "",
    sought: Sought = None,
    columns: Columns | None = None,
) -> list[Piece]:
    """The row of a finished experiment. `best`: the incumbent's number; `now`: what another trial of it is doing;
    `better`: "min" or "max"; `sought`: what is searched for, `found`: where, if the row does not show it; `columns`:
    those of the list."""
    columns = columns or Columns().after([e], "")
    m, outcome = e.measurement, e.verdict.outcome
    style = OUTCOMES.get(outcome, "")
    why = "crashed" if outcome == "crash" else "dim"
    reason = short_reason(e.verdict.reason)
    strong = "strong" if e.number == best else ""
    plain = strong or ("" if outcome == "keep" else "dim")
    took = text.clock(m.total_seconds) if m and m.total_seconds else ""  # an imported run has no times
    cost = f"{text.memory(m.peak_memory_mb) if m else '':>8} {took:>7}  "
    told = width >= WITH_REASON
    said = "" if told or not reason or reason in _PLAIN_REASONS else f"{reason}: "
    score = text.aligned(text.score(m.value if m else None), columns.scores.decimals, columns.value)
    delta = text.aligned(text.delta(e.delta), columns.deltas.decimals, columns.delta)
    before: list[Piece] = [
        *_lit_number((_number(e.number, text.RUNNING if now else ""), "live" if now else "dim"), sought),
        (cell(score, columns.value), plain),
        (f" {cell(delta, columns.delta)}  ", style if outcome == "keep" else "dim"),
        (text.GLYPHS.get(outcome, "?") + " ", style),
        *lit([(cell(reason or text.one_line(outcome), 9) if told else "", why)], sought),
        (cost if columns.with_cost(width) else "", "dim"),
        (f"{now} once more: " if now else "", "live"),
        (f"{found}: " if found else "", "accent"),
    ]
    close = _room(before, width) < _ROOMY
    said = f"{reason.partition(',')[0]}: " if said and close else said
    before += [
        *lit([(said, why)], sought),
        ("edited: " if e.edited and BY_HAND not in e.description else "", "dim"),
        ("" if said and close else _origin(e, told), "dim"),  # what was tried says more
    ]
    mark = (repeated(e, better, spread=width >= _WITH_SPREAD), "pausing" if contradicted(e, better) else "accent")
    return [*before, *_described(text.one_line(e.description), plain, mark, _room(before, width), sought)]


def _room(before: Sequence[Piece], width: int) -> int:
    """What is left of a row, less the mark of the selected one."""
    return width - 1 - sum(cell_len(words) for words, _ in before)


def _number(number: int, glyph: str) -> str:
    """In six cells, also beyond the thousandth experiment."""
    return f"{f'{glyph}{number:>3}' if glyph else f'{number:>4}':<6}"


def _lit_number(number: Piece, sought: Sought) -> Sequence[Piece]:
    """A search finds it as `#18` too."""
    bare = sought.pattern.removeprefix(re.escape("#")) if sought else ""
    return lit([number], re.compile(bare) if bare else None)


def _described(words: str, style: str, mark: Piece, room: int, sought: Sought) -> list[Piece]:
    """The description, and behind it the mark of further trials: the words are cut before it is."""
    space = room - cell_len(mark[0]) - 2
    if not mark[0] or space < _LEAST_DESCRIBED:
        words = _in_view(words, sought, room - cell_len(mark[0]))
        return [(f"{mark[0]} " if mark[0] else "", mark[1]), *lit([(words, style)], sought)]
    words = _in_view(words, sought, space)
    words = cell(words, space) if cell_len(words) > space else words
    return [*lit([(words, style)], sought), ("  ", ""), mark]


def _in_view(words: str, sought: Sought, room: int) -> str:
    """Words that will be cut, from where what is searched for is to be seen."""
    found = sought.search(words) if sought else None
    if found is None:
        return in_room(words, room)
    if cell_len(words) <= room or cell_len(words[: found.end()]) < room:
        return words
    return "…" + words[max(0, found.start() - max(0, room // 3)) :].lstrip()


def in_flight(
    p: Pending, width: int, doing: str, still: bool, columns: Columns | None = None, cut: bool = False
) -> list[Piece]:
    """The row of the experiment that is under way; `cut`: no engine goes on with it."""
    columns = columns or Columns()
    glyph, style = (text.PAUSED, "pausing") if still else (text.RUNNING, "live")
    glyph, style = ("", "dim") if cut else (glyph, style)
    glyph, style = (text.WAITING, "pausing") if p.awaited else (glyph, style)
    described = text.one_line(p.proposed.description) if p.proposed else "…"
    before: list[Piece] = [
        (_number(p.number, glyph), style),
        (f"{doing:>{columns.figures}}  ", style),
        (" " * (11 if width >= WITH_REASON else 2), ""),
        (" " * (18 if columns.with_cost(width) else 0), ""),
        ("edited: " if p.edited and BY_HAND not in described else "", "dim"),
        (_origin(p, width >= WITH_REASON), "dim"),
    ]
    return [*before, (in_room(described, _room(before, width)), "")]


def _origin(entry: Experiment | Pending, roomy: bool) -> str:
    """How it came about, where that is out of the ordinary: mended after a crash, made with the user's rights."""
    made = agent_words.UNCONFINED if roomy and agent_words.unconfined(entry) else ""
    return "".join(f"{word}: " for word in (agent_words.times_repaired(entry), made) if word)
