"""How a run stands, in words: what every viewer says about it, and what the user can do."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tui import text
from tui.feed import State


@dataclass(frozen=True, slots=True)
class Standing:
    """`glyph` and `word` name the state of the run; `detail` says why, since when, and what to do; it may be empty."""

    glyph: str
    word: str
    detail: str = ""
    over: bool = False  # nothing will happen any more by itself
    trouble: bool = False


def standing(state: State, now: float) -> Standing:
    """The state of the run. `now` in Unix seconds."""
    h = state.history
    resume = f"`autoresearch resume {state.tag}` goes on from here"
    if h.ended:
        message = text.one_line(h.ended.message)
        if h.run and h.run.imported_from:
            return Standing(text.ENDED, "IMPORTED", message, over=True)
        if h.ended.reason == "failed":
            return Standing(text.CRASHED, "FAILED", message, over=True, trouble=True)
        if h.ended.reason == "done":
            resume = f"for more: `autoresearch resume {state.tag} --experiments 20`"
        word = "DONE" if h.ended.reason == "done" else "STOPPED"
        return Standing(text.ENDED, word, f"{message + '; ' if message else ''}{resume}", over=True)
    if state.alive is False and h.run is None:
        last = state.engine_log[-1] if state.engine_log else "its log is empty"
        return Standing(text.CRASHED, "NO ENGINE", f"the engine ended before the run began: {last}", True, True)
    if state.alive is False:
        return Standing(text.CRASHED, "ENGINE GONE", f"no engine holds this run; {resume}", True, True)
    if h.run is None:
        return Standing(text.RUNNING, "STARTING", "the engine prepares the data")
    if h.paused:
        since = _since(h.paused_since, now)
        reason, mend = text.one_line(h.paused.reason), text.one_line(h.paused.mend)
        return Standing(text.PAUSED, "PAUSED", f"{since}{': ' + reason if reason else ''}{'; ' + mend if mend else ''}")
    if h.pending and h.pending.held_since:
        step = f"held at step {state.live.step}" if state.live and state.live.step is not None else "held"
        how = f"go on with p in the cockpit, or: autoresearch resume {state.tag}"
        return Standing(text.PAUSED, "PAUSED", f"{_since(h.pending.held_since, now)}: {step}; {how}")
    return Standing("●", "RUN")


def activity(state: State) -> str:
    """What happens now, in a word; empty when nothing does."""
    return "" if state.alive is False or state.history.phase == "ended" else state.history.phase


def counts(state: State) -> str:
    """`9 kept, 33 discarded, 5 crashed`."""
    h = state.history
    return f"{h.count('keep')} kept, {h.count('discard')} discarded, {h.count('crash')} crashed"


def _since(at: float | None, now: float) -> str:
    if at is None:
        return "paused"
    return f"since {time.strftime('%H:%M', time.localtime(at))} ({text.clock(now - at)})"
