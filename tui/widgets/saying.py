"""The words of the strip at the top: the answer to a command, why a run stands still, what is tried, or thought."""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

from rich.cells import cell_len

from core.facts import fact
from tui import agent_words, text
from tui.feed import State
from tui.standing import Standing, last_crash, standing
from tui.told import folded
from tui.widgets.paint import Part, Piece, cell, fit, part, shorten

Stage = Literal["pending", "done", "failed", "away"]

_ROOMY = 100  # columns from which the agent's name stands in the first row
_ASKS = "[asks "  # the log begins so, each time that a model is asked
_LONGEST_THOUGHT = 4000  # characters of a line that are looked through
_LEAST_CUT = 20  # columns from which a sentence that is cut says how to see all of it
_MORE: tuple[Piece, ...] = (("i", "accent"), (" all", "dim"))
_MORE_CELLS = 5
_REMEMBERED = 100  # notices
_SENTENCES = 5  # the last ones: what was said before them is no news
_BETWEEN = re.compile(r"""(?:(?<=[.!?])|(?<=[.!?]["'”)]))\s+(?![a-z])""")  # two sentences
_END = (".", "!", "?")


@fact
class Notice:
    """What became of the last command, or what happened while nobody looked (`away`: it stays until a key comes).
    `brief`: the same in a window with little room, if there are shorter words."""

    stage: Stage
    words: str
    brief: str = ""

    def is_old(self, seconds: float, replayed: bool) -> bool:
        """Whether it has been there for long enough; in a replay the next comes soon."""
        return self.stage not in ("pending", "away") and seconds > (2.0 if replayed else 8.0)


class Said(deque[tuple[float, str]]):
    """What was said lately, and when (Unix seconds), the last at the end."""

    def __init__(self) -> None:
        super().__init__(maxlen=_REMEMBERED)
        self._now = 0.0, ""

    def say(self, at: float, words: str, instead: bool = False) -> None:
        """Said from now on; `instead` of what was said until now, which it answers or tells anew."""
        if instead and self._now in self:
            self.remove(self._now)
        self._now = at, words
        self.append(self._now)


def words(
    state: State, now: float, width: int, notice: Notice | None, free: int = 1, most: int = 1, by_key: bool = True
) -> list[list[Piece]]:
    """The answer to a command, or why the run stands still and what to do, or what is being tried or thought: one row,
    or as many as are `free`; up to `most` of a sentence for which there are no shorter words. What has no room there is
    behind a key, which is then named."""
    h, left = state.history, _words(state, now, notice)
    stands, waits = standing(state, now), agent_words.waits(state.history, now)
    if (notice or stands.detail or waits) and left[0].width > width > _LEAST_CUT:
        sentence, style = left[0].pieces[0]
        most = max(free, most)
        if notice or stands.detail:
            return _in_rows(sentence, notice.brief if notice else stands.brief * by_key, style, width, free, most)
        return _in_rows(sentence, agent_words.waits(h, now, width - _MORE_CELLS - 1), style, width, most, most)
    if not left and (thought := _thought(state, width)):
        return [[(thought, "dim")]]
    right = [part(2, (agent_words.where(h) if width < _ROOMY else "", "dim"))]
    return [shorten(fit(left, right, width), width)]


def full(state: State, now: float, notice: Notice | None) -> list[str]:
    """All of it, a line a sentence."""
    said = ["".join(words for words, _ in part.pieces) for part in _words(state, now, notice)]
    detail = standing(state, now).detail
    return [words for words in (*said, detail if detail not in said else "") if words]


def _in_rows(sentence: str, brief: str, style: str, width: int, free: int, most: int) -> list[list[Piece]]:
    rows, room = folded(sentence, width), width - _MORE_CELLS
    if brief and len(rows) > free and cell_len(brief) < room:
        return [[(cell(brief, room), style), *_MORE]]
    if len(rows) <= most:
        return [[(row, style)] for row in rows]
    last = cell(" ".join(rows[most - 1 :]), room - 1)
    return [*([(row, style)] for row in rows[: most - 1]), [(cell(last, room), style), *_MORE]]


def _words(state: State, now: float, notice: Notice | None) -> list[Part]:
    stands, pending = standing(state, now), state.history.pending
    if notice:
        return [part(3, (notice.words, {"pending": "pausing", "failed": "trouble"}.get(notice.stage, "accent")))]
    if stands.detail:
        return [part(3, (stands.detail, "" if stands.over and not stands.trouble else style_of(stands)))]
    if waits := agent_words.waits(state.history, now):
        return [part(4, (waits, "pausing"))]
    crash = agent_words.crash_to_mend(state.history) or last_crash(state, now)
    if pending and pending.proposed:
        trying = part(3, (f"trying #{pending.number}: ", "dim"), (text.one_line(pending.proposed.description), ""))
        if crash:
            return [part(4, (crash, "crashed")), trying]
        return [trying, part(1, (text.one_line(pending.proposed.hypothesis), "dim"))]
    if crash:
        return [part(4, (crash, "crashed"))]
    refused = state.history.last_refusal
    if pending and refused and refused.number == pending.number:
        return [part(3, (f"refused: {text.one_line(refused.reason)}", "dim"))]
    return []


def _thought(state: State, width: int) -> str:
    """The last whole sentence that the agent says in its words to this asking and that has room here, while it thinks;
    of what a tool is called with, and of a sentence that is not at its end yet, nothing."""
    if not (thinks_aloud(state) and state.log):
        return ""
    said: list[str] = []
    for line in reversed(state.log.lines):
        if line.startswith(_ASKS) or len(said) >= _SENTENCES:
            break
        if not line.startswith(("[", " ", "\t")):
            found = _BETWEEN.split(line[-_LONGEST_THOUGHT:].strip())
            said += [s for s in reversed(found) if s.rstrip("\"'”)").endswith(_END)]
    return next((sentence for sentence in said[:_SENTENCES] if cell_len(sentence) <= width), "")


def thinks_aloud(state: State) -> bool:
    """Whether the agent thinks, and the log that is followed is its own."""
    log, pending = state.log, state.history.pending
    own = log is not None and log.thoughts and pending is not None and pending.number == log.number
    return own and agent_words.thinks(state.history)


def style_of(stands: Standing) -> str:
    """Of how a run stands."""
    if stands.trouble:
        return "trouble"
    return "dim" if stands.over else "pausing" if stands.glyph in (text.PAUSED, text.WAITING) else "live"
