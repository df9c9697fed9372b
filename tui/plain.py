"""The viewers without a screen: plain lines for people and logs, journal lines for programs."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from core import events as ev
from core.experiment import Experiment
from core.launch import RUNS, command_for
from tui import agent_words, text
from tui.diffs import diff_lines
from tui.feed import Feed, State, find
from tui.going_on import as_typed
from tui.plain_lines import (
    best_line,
    done_of,
    introduce,
    made,
    numbered,
    program_changed,
    step_line,
    tell_agent,
    tell_trial,
    waiting,
)
from tui.repeats import doubt, unconfirmed, verdicts
from tui.standing import counts, label, last_crash, standing

POLL_SECONDS = 0.2
STEP_EVERY_SECONDS = 1.5  # a promise of at most 2 between two lines, less polling and load
WAIT_EVERY_SECONDS = 10.0
COUNT_DOWN_EVERY_SECONDS = 60.0  # to what the agent waits for: until when was said when it began
CHANGES_TOLD = 40  # lines of a proposal that waits


def follow(run_folder: Path, *, out: TextIO, as_json: bool, from_start: bool) -> int:
    """Print what happens in a run until it ends. Returns the exit code: 0 done or stopped, 1 failed or engine gone.

    `from_start`: begin with what already happened. A reader that closes the pipe ends this quietly.
    """
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")
    try:
        return _Follower(Feed(run_folder, resume=command_for(run_folder, "resume")), out, as_json).follow(from_start)
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # or Python complains when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return 0


class _Follower:
    def __init__(self, feed: Feed, out: TextIO, as_json: bool) -> None:
        self.feed = feed
        self.out = out
        self.as_json = as_json
        self.said_at = time.monotonic()
        self.preparing = 0  # lines of the engine's log that were shown
        self.warned = ""  # that the machine may fall asleep, as it was said
        self.programs = 0  # versions of program.md that the agent has read

    def follow(self, from_start: bool) -> int:
        first = True
        while True:
            lines = self.feed.read()
            state = self.feed.state
            for line in lines:
                self.programs += isinstance(line.event, ev.ProgramRead)
                if first and not from_start:
                    continue
                if self.as_json:
                    self._print(line.verbatim)
                elif isinstance(line.event, ev.ProgramRead):
                    self._say(*program_changed(line.event) if self.programs > 1 else ())
                elif line.event:
                    self._say(*tell(line.event, state))
            if self.feed.behind:
                continue
            if not first and not self.as_json:
                self._say(*waits_again([line.event for line in lines], state))
            if first and not from_start and not self.as_json and state.history.run:
                self._say(*introduce(state, joined=True), *attach(state))
            ended = state.history.ended
            ended_now = not first and any(isinstance(line.event, ev.RunEnded) for line in lines)
            if state.alive is False or ended_now:
                return self._end(0 if ended and ended.reason != "failed" else 1)
            if not self.as_json:
                self._heartbeat(state)
            first = False
            time.sleep(POLL_SECONDS)

    def _heartbeat(self, state: State) -> None:
        """A line now and then while nothing happens: the step while training, or what is waited for."""
        h = state.history
        if h.run is None and len(state.engine_log) > self.preparing:
            self._say(*state.engine_log[self.preparing :])
            self.preparing = len(state.engine_log)
        if state.sleep_trouble and state.sleep_trouble != self.warned:
            self.warned = state.sleep_trouble
            self._say(self.warned)
        silent = time.monotonic() - self.said_at
        if h.ended or h.standing_still:
            return
        stands = standing(state, time.time())
        if stands.word == "STALLED":
            if silent >= WAIT_EVERY_SECONDS:
                self._say(f"{label(state)} stalled: {stands.detail}")
        elif h.phase == "training" and state.live:
            if silent >= (STEP_EVERY_SECONDS if state.live.step is not None else WAIT_EVERY_SECONDS):
                self._say(step_line(state))
        elif silent >= (COUNT_DOWN_EVERY_SECONDS if h.waits else WAIT_EVERY_SECONDS):
            self._say(waiting(state) if h.run else "preparing")

    def _end(self, code: int) -> int:
        if self.as_json:
            if not self.feed.state.history.ended:
                print(standing(self.feed.state, time.time()).detail, file=sys.stderr)
            return code
        last = [e for e in dict.fromkeys(self.feed.state.engine_log) if not (self.warned and e.endswith(self.warned))][
            -5:
        ]
        self._say(*last if code else (), *summary(self.feed.state, self.feed.run_folder))
        return code

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._print(line)
        if lines:
            self.said_at = time.monotonic()

    def _print(self, line: str) -> None:
        self.out.write(line + "\n")
        self.out.flush()


# --- the words -------------------------------------------------------------------------------------------------------


def attach(state: State) -> list[str]:
    """Where a run stands that is joined in mid-flight."""
    stands = standing(state, time.time())
    word = "running" if stands.word == "RUN" else stands.word.lower()
    lines = [f"{word}{': ' + stands.detail if stands.detail else ''}", f"so far: {done_of(state)}: {counts(state)}"]
    lines += [f"best so far: {best_line(state, state.best)}"] if state.best else []
    lines += [crash] if (crash := last_crash(state, time.time())) else []
    pending = state.history.pending
    return lines + (awaited(pending.awaited, state) if pending and pending.awaited else [])


def tell(event: ev.Event, state: State) -> list[str]:
    """The lines for one event; often none."""
    match event:
        case ev.RunStarted():
            return introduce(state)
        case ev.EngineStarted(resumed=True):
            return ["the engine goes on"]
        case ev.RunPaused():
            mend = as_typed(text.one_line(event.mend), state.tag, state.resume)
            return [f"paused: {text.one_line(event.reason)}; {mend}"]
        case ev.RunContinued():
            return ["goes on"]
        case ev.Acknowledged():
            return [text.one_line(f"{event.command}: {event.effect}")]
        case ev.ProposalRefused():
            about = f" ({text.one_line(event.description)})" if event.description else ""
            return [f"{numbered(event.number)} refused: {text.one_line(event.reason)}{about}"]
        case ev.Proposed():
            why = f" — {text.one_line(event.hypothesis)}" if event.hypothesis else ""
            return [f"{numbered(event.number)} {text.one_line(event.description)}{why}", *made(event)]
        case ev.ExperimentDone():
            experiment = find(state.history, event.number)
            return [verdict_line(state, experiment)] if experiment else []
        case ev.TrialReady() | ev.TrialHeld() | ev.TrialContinued() | ev.TrialDone() | ev.TrialVoid() | ev.Crashed():
            return tell_trial(event)
        case ev.AgentWaits() | ev.Remembered() | ev.RepairProposed():
            return tell_agent(event)
        case _:
            return _tell_wish(event, state)


def _tell_wish(event: ev.Event, state: State) -> list[str]:
    """What the user asked for; the engine's answer to the command is told beside it."""
    match event:
        case ev.Steered():
            first, *rest = text.clean_lines(event.text) or [""]
            return [f"your note: {first}", *(f"    {line}" for line in rest)]
        case ev.ApprovalTurned():
            return ["approval is on: every proposal waits for your yes" if event.on else "approval is off"]
        case ev.ApprovalAwaited():
            return awaited(event, state)
        case ev.Approved():
            return [f"{numbered(event.number)} approved{', as you edited it' if event.edits is not None else ''}"]
        case ev.Rejected():
            return [f"{numbered(event.number)} rejected: {text.one_line(event.reason)}"]
        case ev.AgainStarted():
            return [f"{numbered(event.number)} another trial begins"]
        case ev.AgainDone():
            experiment = find(state.history, event.number)
            if experiment is None or not experiment.repeats:
                return []
            return [again_line(state, experiment), *filter(None, [doubt(state.history, experiment)])]
    return []


def awaited(event: ev.ApprovalAwaited, state: State) -> list[str]:
    """The proposal that waits: what it changes, and how to answer."""
    changes = [f"    {line.kind} {line.text}" for line in diff_lines(event.diff) if line.kind in ("+", "-")]
    run = state.history.run
    folder = Path(run.workspace if run else ".") / RUNS / state.tag
    yes, no, whole = (
        text.one_line(command_for(folder, words)) for words in ("approve", "reject", f"diff {event.number}")
    )
    if (more := len(changes) - CHANGES_TOLD) > 0:
        changes[CHANGES_TOLD:] = [f"    … {more} more lines: {whole}"]
    answers = f'{yes}   or   {no} --reason "…"'
    return [f"{numbered(event.number)} waits for your yes; it changes", *changes, f"answer with: {answers}"]


def waits_again(news: Iterable[ev.Event | None], state: State) -> list[str]:
    """The proposal that waits once more, after the trial that another engine had begun."""
    p = state.history.pending
    back = any(isinstance(event, ev.AgainDone) for event in news)
    left = state.history.engine is not None and state.history.engine.only_asked
    return awaited(p.awaited, state) if back and not left and p and p.awaited else []


def again_line(state: State, experiment: Experiment) -> str:
    """What the last further trial of an experiment came to, beside the judged one."""
    repeat, first = experiment.repeats[-1], experiment.measurement
    if repeat.measurement is None:
        return f"{numbered(experiment.number)} once more: no score, {text.one_line(repeat.reason)}; its verdict stays"
    value = repeat.measurement.value
    change = f", {text.delta(value - first.value)} against the first trial" if first else ""
    return f"{numbered(experiment.number)} once more: {state.metric} {text.score(value)}{change}; its verdict stays"


def verdict_line(state: State, experiment: Experiment) -> str:
    """Number, verdict, score, Δ, reason and description of a finished experiment."""
    verdict, measurement = experiment.verdict, experiment.measurement
    glyph = text.GLYPHS.get(verdict.outcome, "?")
    value = f"{state.metric} {text.score(measurement.value)}" if measurement else "—"
    label = " (self-reported)" if measurement and measurement.self_reported else ""
    reason, described = text.one_line(verdict.reason), text.one_line(experiment.description)
    parts = (
        f"{numbered(experiment.number)} {glyph} {text.one_line(verdict.outcome):<8}{value}{label}",
        text.delta(experiment.delta),
        reason,
        agent_words.times_repaired(experiment),
        described if described != reason else "",
    )
    return "  ".join(part for part in parts if part)


def summary(state: State, run_folder: Path) -> list[str]:
    """The last lines: how it ended, the best, the counts, and where all of it lies."""
    stands, run, best = standing(state, time.time()), state.history.run, state.best
    lines = ["", f"{stands.word.lower()}{': ' + stands.detail if stands.detail else ''}"]
    if best:
        lines.append(f"best: {best_line(state, best)}")
        lines += verdicts(state.history)
    if run:
        done = state.history.proposals
        lines.append(f"{done} experiment{'' if done == 1 else 's'} after the baseline: {counts(state)}")
        lines += agent_words.bill(state.history)
    if run and best:
        branch = f"autoresearch/{text.one_line(run.tag)}"
        lines.append(f"the branch {branch} in {text.one_line(run.workspace)} holds what was kept; see it with:")
        lines.append(f"  {command_for(run_folder, 'results')}   or   {_git(run.workspace)} log {branch}")
        ask = unconfirmed(state.history) and stands.over
        lines += [f"is its gain luck? {command_for(run_folder, 'confirm')}"] if ask else []
    elif not run:
        lines.append(f"its log: {run_folder / 'engine.log'}")
    return lines


def _git(workspace: str) -> str:
    """`git`, as it reaches this workspace from the current folder."""
    try:
        root = Path(workspace).resolve()
        near = Path.cwd().is_relative_to(root) or not root.is_dir()
    except (OSError, ValueError):  # a null byte in a foreign journal
        return "git"
    return "git" if near else text.one_line(f"git -C {shlex.quote(str(root))}")
