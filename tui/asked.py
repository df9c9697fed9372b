"""Commands that an engine took and that have not taken effect yet: told by the journal, so every viewer knows of them,
whoever sent them."""

from __future__ import annotations

from core import events as ev
from core.history import History
from tui import text

Asked = tuple[ev.Acknowledged, ...]

_LASTING = ("pause", "pause-after", "stop", "stop-now")  # those that may take effect much later
_SOON = {
    "pause": "pausing",
    "pause-after": "pauses after trial",
    "stop": "stops after this one",
    "stop-now": "stopping",
}
_TAKEN_BACK = ("pause", "pause-after", "stop")  # by resume


def after(asked: Asked, event: ev.Event, history: History) -> Asked:
    """What is still to take effect after one more event; `history` has it in. Pure."""
    match event:
        case ev.Acknowledged(command="resume"):
            return _without(asked, *_TAKEN_BACK)
        case ev.Acknowledged(command="pause") if paused(history):
            return asked
        case ev.Acknowledged(command=command) if command in _LASTING:
            return (*_without(asked, command), event)
        case ev.TrialHeld():
            return _without(asked, "pause")
        case ev.RunPaused():
            return _without(asked, "pause", "pause-after")
        case ev.RunEnded() | ev.EngineStarted():
            return ()
    return asked


def _without(asked: Asked, *commands: str) -> Asked:
    return tuple(a for a in asked if a.command not in commands) if asked else asked


def soon(asked: Asked) -> str:
    """The last of them in two or three words, for where it stands as long as it is to come."""
    return _SOON[asked[-1].command] if asked else ""


def words(asked: Asked) -> str:
    """The last of them and when it takes effect; empty where nothing is under way."""
    return text.one_line(f"{asked[-1].command}: {asked[-1].effect}") if asked else ""


def waiting(history: History) -> int | None:
    """The number of the proposal that waits for the user's word."""
    pending = history.pending
    return pending.number if pending and pending.awaited else None


def awaited(history: History) -> ev.ApprovalAwaited | None:
    """The proposal that waits itself: of those with one number, which."""
    return history.pending.awaited if history.pending else None


def paused(history: History) -> bool:
    """Whether the run is held, between trials or within one; waiting for the user's word is no pause."""
    pending = history.pending
    return history.paused is not None or (pending is not None and pending.held_since is not None)


def took_effect(command: str, was: History, now: History) -> bool:
    """Whether what this command asked for is to be seen by now, so that nothing need be said of it any more."""
    if command in ("pause", "pause-after", "resume"):
        return paused(was) != paused(now)
    if command in ("approve", "reject", "approval-off"):
        return awaited(was) != awaited(now)  # also where the next one waits by now, with the same number
    return command == "skip" and was.phase != now.phase
