"""How a run stands, in words: what every viewer says about it, and what the user can do."""

from __future__ import annotations

import re

from core.facts import fact
from tui import agent_words, pace, text
from tui.feed import State
from tui.going_on import as_typed, for_more, limits_to_go_on, sibling

_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit)\b")
_BY_KEY = "go on with p in the cockpit"  # as the engine says it too
HELD = "held"  # a replay whose clock stands still
_CRASH_SECONDS = 20.0  # for how long a crash is told, at least


@fact
class Standing:
    """`glyph` and `word` name the state of the run; `detail` says why, since when, and what to do; it may be empty.
    `brief`: the same in a cockpit with little room, where a key does it; empty where there is nothing shorter."""

    glyph: str
    word: str
    detail: str = ""
    over: bool = False  # nothing will happen any more by itself
    trouble: bool = False
    brief: str = ""


def standing(state: State, now: float) -> Standing:
    """The state of the run. `now` in Unix seconds."""
    return _replayed(state) if state.replay else _standing(state, now)


def _standing(state: State, now: float) -> Standing:
    h = state.history
    command = f"autoresearch resume {state.tag}" if state.resume is None else state.resume
    resume = f"`{command}` goes on from here" if command else "a recording: it cannot go on here"
    if state.trouble:
        mend = "this window shows what it read before; bring the run folder back, or leave with q"
        return Standing(text.CRASHED, "UNREADABLE", f"{text.one_line(state.trouble)}; {mend}", trouble=True)
    if h.ended:
        message = as_typed(text.one_line(h.ended.message), state.tag, command)
        if imported(state):
            return Standing(text.ENDED, "IMPORTED", message, over=True)
        if h.ended.reason == "failed":
            return Standing(text.CRASHED, "FAILED", message, over=True, trouble=True)
        if h.ended.reason == "done" and command:
            resume = for_more(h.ended.message, h.run.agent if h.run else "", command)
        word = "DONE" if h.ended.reason == "done" else "STOPPED"
        brief = f"{message}; p goes on" if goes_on(state) else ""
        return Standing(text.ENDED, word, "; ".join(filter(None, (message, resume))), over=True, brief=brief)
    if state.alive is False and h.run is None:
        last = state.engine_log[-1] if state.engine_log else "its log is empty"
        return Standing(text.CRASHED, "NO ENGINE", f"the engine ended before the run began: {last}", True, True)
    if state.alive is False and state.recorded:
        when = text.time_of_day(h.last_time, "%d %b %Y %H:%M")
        return Standing(text.ENDED, "RECORDED", f"ended without a last word, {when}; {resume}", over=True)
    if state.alive is False:
        why = "no engine holds this run"
        brief = f"{why}; p starts one" if goes_on(state) else ""
        return Standing(text.CRASHED, "ENGINE GONE", f"{why}; {resume}", True, True, brief)
    if h.run is None:
        return Standing(text.RUNNING, "STARTING", "the engine prepares the data")
    if h.paused:
        since = _since(h.paused_since, now)
        reason, mend = (as_typed(text.one_line(w), state.tag, command) for w in (h.paused.reason, h.paused.mend))
        why = f"{since}{': ' + reason if reason else ''}"
        brief = f"{why}; p goes on" if _BY_KEY in mend else ""
        return Standing(text.PAUSED, "PAUSED", f"{why}{'; ' + mend if mend else ''}", brief=brief)
    if h.pending and h.pending.held_since:
        step = f"held at step {state.live.step}" if state.live and state.live.step is not None else "held"
        why = f"{_since(h.pending.held_since, now)}: {step}"
        how = f"{_BY_KEY}, or: {command}" if command else _BY_KEY
        return Standing(text.PAUSED, "PAUSED", f"{why}; {how}", brief=f"{why}; p goes on")
    if h.pending and h.pending.awaited:
        brief = f"#{h.pending.number} waits for your yes{another(state)}: A answers"
        approve = sibling(state.resume, state.tag, "approve")
        how = f"; or `{approve}`" if approve else ""
        return Standing(text.WAITING, "WAITS", f"{brief}{how}", brief=brief)
    silent = pace.silent_seconds(h, state.live, state.pace, now)
    if silent is not None:
        skip = sibling(state.resume, state.tag, "skip")
        detail = _stalled(state, silent, now, f"s or `{skip}`" if skip else "s")
        return Standing(text.STALLED, "STALLED", detail, trouble=True, brief=_stalled(state, silent, now, "s"))
    return Standing(text.GLYPHS["keep"], "RUN")


def goes_on(state: State) -> bool:
    """Whether a run that is over goes on with an engine that is started for it."""
    h = state.history
    ours = h.run is not None and not h.run.imported_from and state.resume != "" and not (state.recorded or state.replay)
    return ours and limits_to_go_on(h) is not None


def _replayed(state: State) -> Standing:
    """The same of a run that is shown as it happened: nothing in it is an alarm, nor can it be controlled."""
    h, word = state.history, f"REPLAY {state.replay}"
    if state.trouble:
        return Standing(text.CRASHED, "UNREADABLE", text.one_line(state.trouble), trouble=True)
    if h.ended:
        return Standing(text.ENDED, "REPLAY over", text.one_line(h.ended.message), over=True)
    if state.alive is False:
        return Standing(text.ENDED, "REPLAY over", "here the recording ends, without a last word", over=True)
    if state.replay == HELD:
        return Standing(text.PAUSED, word, "space goes on")
    if h.paused:
        return Standing(text.RUNNING, word, f"the run was paused here: {text.one_line(h.paused.reason)}")
    if h.pending and h.pending.held_since:
        return Standing(text.RUNNING, word, "the trial was held here")
    if h.pending and h.pending.awaited:
        return Standing(text.RUNNING, word, f"#{h.pending.number} waited for the user's yes")
    return Standing(text.RUNNING, word)


def _stalled(state: State, silent: float, now: float, skip: str) -> str:
    h = state.history
    if h.phase == "startup":
        return f"not ready after {text.clock(silent)} of start-up; {skip} ends it"
    left = pace.cut_in(h, state.pace, now)
    ends = f", or the time limit in {text.clock(left)}" if left is not None else ""
    return f"no step for {text.clock(silent)}; {skip} ends it{ends}"


def too_late(state: State, now: float, what: str) -> str:
    """Why nothing comes of a command to a run that is over, and what the user can do instead."""
    stands, best = standing(state, now), sibling(state.resume, state.tag, "best")
    why = f"{what}: {'no engine is there to hear it' if stands.trouble else 'the run is over'}"
    does = "shows the best" if imported(state) else "prints its best change"
    patch = "" if imported(state) else " --patch"  # of an imported run it is not known what it began with
    takes = f"`{best}{patch}` {does}" if state.best and state.best.number and best else ""
    return "; ".join(filter(None, (why, stands.detail, takes)))


def imported(state: State) -> bool:
    """Whether the run was read from a table: no engine made it, and none can go on with it."""
    return state.history.run is not None and bool(state.history.run.imported_from)


def only_looks(state: State) -> str:
    """Why nothing can be controlled where a run is looked at, if it could not be anywhere else either."""
    if imported(state):
        return "imported: no engine made it, and none can go on with it; it can only be looked at"
    return "a recording without its workspace: it can only be looked at" if state.resume == "" else ""


def activity(state: State) -> str:
    """What happens now, in a word; empty when nothing does."""
    phase = state.history.phase
    if state.alive is False or phase == "ended":
        return ""
    if phase == "approving":
        return "waiting for your yes"
    if agent_words.mends(state.history):
        return "repairing"
    return "running" if phase == "startup" and not pace.has_start_up(state.history) else phase


def label(state: State) -> str:
    """The experiment that is in flight, or the next one, of a run that has ended the last: `#48`, or `#12 once more
    (trial 2)`."""
    h, p = state.history, state.history.pending
    if h.ended and h.experiments:
        return f"#{h.experiments[-1].number}"
    if h.paused and p is None and h.repeats is not None:
        return f"#{h.repeats} once more"
    return f"#{p.number} once more (trial {max(2, p.trial)})" if p and p.again else f"#{h.next_number}"


def another(state: State) -> str:
    """Of a proposal that waits, how many were rejected before it: ` (in place of 1 rejected)`."""
    p = state.history.pending
    rejected = sum(was.number == p.number for was in state.history.rejected) if p and not p.again else 0
    return f" (in place of {rejected} rejected)" if rejected else ""


def counts(state: State) -> str:
    """`9 kept, 33 discarded, 5 crashed`."""
    kept, discarded, crashed = (state.counts.get(outcome, 0) for outcome in ("keep", "discard", "crash"))
    return f"{kept} kept, {discarded} discarded, {crashed} crashed"


def last_crash(state: State, now: float) -> str:
    """`#44 crashed, oom: torch.OutOfMemoryError: …`, if that was the last experiment: for a while, and until there is
    another proposal."""
    h = state.history
    e = h.experiments[-1] if h.experiments else None
    if e is None or e.verdict.outcome != "crash" or h.ended or (h.pending and h.pending.again):
        return ""
    if h.pending and h.pending.proposed and now - state.pace.finished_at >= _CRASH_SECONDS:
        return ""
    reason, lines = text.one_line(e.verdict.reason), list(filter(str.strip, text.clean_lines(e.log_tail)))
    said = next((line for line in reversed(lines) if _EXCEPTION.match(line)), lines[-1] if lines else "")
    said = text.one_line(said)
    if said and ":" not in reason:
        return f"#{e.number} crashed, {reason}: {said}"
    return f"#{e.number} crashed: {reason}"


def _since(at: float | None, now: float) -> str:
    if at is None:
        return "paused"
    return f"since {text.time_of_day(at)} ({text.clock(now - at)})"
