"""The lines of the plain viewer about the run, about one trial, and about the agent at work."""

from __future__ import annotations

import time

from core import events as ev
from core.experiment import Experiment
from core.history import Pending
from tui import agent_words, text
from tui.feed import State
from tui.pace import is_guessed, usual_training
from tui.standing import activity, label

_LONGEST_PRINTED = 100  # characters


def numbered(number: int) -> str:
    """An experiment by its number."""
    return f"#{number}"


# --- the run ---------------------------------------------------------------------------------------------------------


def introduce(state: State, joined: bool = False) -> list[str]:
    """What run this is. `joined` in mid-flight: without what was still to come when its engine began."""
    h = state.history
    run, engine = h.run, h.engine
    assert run is not None
    task = run.task.get("task")
    name = str(task.get("name", "")) if isinstance(task, dict) else ""
    backend = agent_words.PRODUCTS.get(run.backend, run.backend)
    parts = (
        f"run {run.tag}",
        name,
        f"{backend} on {run.device}" if backend else run.device,
        f"agent {agent_words.in_full(h)}",
        f"{'at most ' if is_guessed(h, None) else ''}{text.seconds(run.train_seconds)} a trial",
    )
    lines = [" · ".join(text.one_line(part) for part in parts if part)]
    counts_down = engine is not None and (engine.experiments, engine.hours) != (None, None) and not engine.only_asked
    plan = "" if joined and counts_down else h.plan
    return lines + [text.one_line(line) for line in (plan, *run.notes) if line]


def done_of(state: State) -> str:
    """`58 of 141 experiments`; without a limit `58 experiments`."""
    h = state.history
    if h.engine and h.engine.experiments is not None:
        return f"{h.proposals} of {h.engine.experiments} experiments"
    return f"{h.proposals} experiment{'' if h.proposals == 1 else 's'}"


def best_line(state: State, best: Experiment) -> str:
    """Its score, number and description, and what that is against the baseline."""
    first, m = state.history.experiments[0].measurement, best.measurement
    value = m.value if m else None
    change = text.percent_change(first.value if first else None, value) if best.number else ""
    against = f", {change} against the baseline" if change else ""
    believed = ", self-reported" if m and m.self_reported else ""
    return f"{state.metric} {text.score(value)} (#{best.number}{against}{believed}) {text.one_line(best.description)}"


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
    h, usual = state.history, usual_training(state.history)
    long = f" of about {text.clock(usual)}" if usual is not None else ""
    if usual is None and h.run and is_guessed(h, state.live):
        long = f" of at most {text.clock(h.run.train_seconds)}"
    since = state.pace.since or now
    log = state.log
    said = next(filter(str.strip, reversed(log.lines)), "") if log and log.number == number else ""
    told = f"{numbered(number)} training {text.clock(max(0.0, now - since))}{long}"
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
