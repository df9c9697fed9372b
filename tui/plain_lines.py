"""The lines of the plain viewer about one trial, and about the agent at work."""

from __future__ import annotations

import statistics
import time

from core import events as ev
from core.history import Pending
from tui import agent_words, text
from tui.feed import State
from tui.standing import activity, label

_LATELY = 9  # trials whose length is told of as usual
_LONGEST_PRINTED = 100  # characters


def numbered(number: int) -> str:
    """An experiment by its number."""
    return f"#{number}"


# --- a trial ---------------------------------------------------------------------------------------------------------


def tell_trial(event: ev.Event) -> list[str]:
    """How far a trial is."""
    match event:
        case ev.TrialReady():
            return [f"{numbered(event.number)} training, after {text.seconds(event.startup_seconds)} of startup"]
        case ev.TrialHeld():
            return [f"{numbered(event.number)} held" + (f" at step {event.step}" if event.step is not None else "")]
        case ev.TrialContinued():
            return [f"{numbered(event.number)} goes on after {text.seconds(event.held_seconds)}"]
        case ev.TrialDone():
            steps = f"{event.steps} steps" if event.steps is not None else "trained"
            return [f"{numbered(event.number)} {steps} in {text.seconds(event.train_seconds)}, evaluating"]
        case ev.TrialVoid():
            return [f"{numbered(event.number)} trial void ({text.one_line(event.reason)}); it runs again"]
        case ev.Crashed():
            why = f"{numbered(event.number)} crashed: {text.one_line(event.reason)}"
            return [why, *(f"    {line}" for line in text.clean_lines(event.log_tail)[-5:])]
    return []


def step_line(state: State) -> str:
    """The live trial in a line."""
    live = state.live
    assert live is not None
    if live.step is None:
        return _without_steps(state, live.number, time.time())
    parts = [f"{numbered(live.number)} step {live.step}"]
    if live.loss is not None:
        parts.append(f"loss {text.loss(live.loss)}")
    if live.progress is not None:
        parts.append(f"{100 * live.progress:.0f} %")
    if live.tokens_per_second is not None:
        parts.append(f"{text.quantity(live.tokens_per_second)} tok/s")
    if live.memory_mb is not None:
        parts.append(text.memory(live.memory_mb))
    if live.eta_seconds is not None:
        parts.append(f"{text.seconds(live.eta_seconds)} left")
    return "  ".join(parts)


def _without_steps(state: State, number: int, now: float) -> str:
    """A trial that reports nothing: for how long it trains, of how many seconds about, and what it printed last."""
    measured = [e.measurement.train_seconds for e in state.history.experiments[-_LATELY:] if e.measurement]
    usual = f" of about {text.clock(statistics.median(measured))}" if measured else ""
    since = state.pace.since or now
    log = state.log
    said = next(filter(str.strip, reversed(log.lines)), "") if log and log.number == number else ""
    told = f"{numbered(number)} training {text.clock(max(0.0, now - since))}{usual}"
    return f"{told}  it printed: {text.one_line(said)[:_LONGEST_PRINTED]}" if said else told


# --- the agent -------------------------------------------------------------------------------------------------------


def tell_agent(event: ev.Event) -> list[str]:
    """What the agent waits for, notes, mends."""
    match event:
        case ev.AgentWaits():
            return [
                f"{numbered(event.number)} {agent_words.quoted(event.reason)}: again in {text.clock(event.seconds)}"
            ]
        case ev.Remembered():
            return [f"{numbered(event.number)} the agent's note to itself: {text.one_line(event.text)}"]
        case ev.RepairProposed():
            why = f" — {text.one_line(event.hypothesis)}" if event.hypothesis else ""
            what = f"{numbered(event.number)} repair {event.repair}: {text.one_line(event.description)}{why}"
            return [what, *made(event)]
    return []


def program_changed(event: ev.ProgramRead) -> list[str]:
    """That the agent reads other instructions from here on."""
    return [f"program.md changed: the agent reads the new one from {numbered(event.number)} on"]


def made(event: ev.Proposed | ev.RepairProposed) -> list[str]:
    """What a proposal did cost, and that its agent had the user's rights."""
    known = Pending(event.number, ev.Proposed(event.number, "", None, {}, "", "", event.details))
    told = agent_words.origin(known)
    return [f"    {told}"] if told else []


def waiting(state: State) -> str:
    """What is waited for while nothing else is told."""
    spent = f", {agent_words.spending(state.history)}" if agent_words.thinks(state.history) else ""
    waits = agent_words.waits(state.history, time.time())
    return f"{label(state)} {waits or activity(state)}{spent.removesuffix(', ')}"
