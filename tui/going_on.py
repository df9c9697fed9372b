"""Commands about a run in words that the engine wrote: it knows the tag, not where they are read."""

from __future__ import annotations

import re
from pathlib import Path

from core.history import History
from core.launch import command_for
from tui import text

MORE = 20  # experiments that a run which has done its own is offered
_EXPECTED = ("the limit was reached", "stopped by the user")  # of which nothing need be said


def as_typed(words: str, tag: str, command: str | None) -> str:
    """These words, with each `autoresearch … TAG` in them as the command that makes the run go on is typed; without
    that they stay as they are."""
    if not command or not tag:
        return words
    where = command.partition(f"autoresearch resume {tag}")[2]
    bare = rf"(autoresearch [a-z][\w -]*? {re.escape(tag)})(?![\w-]|\.\w| --workspace)"
    return re.sub(bare, lambda found: found[1] + where, words)


def as_typed_here(words: str, run_folder: Path) -> str:
    """The same for a run whose command is to work in the current folder."""
    return as_typed(words, run_folder.name, command_for(run_folder, "resume"))


def sibling(resume: str | None, tag: str, name: str) -> str:
    """Another command about the same run, from the one that makes it go on; "" where none does."""
    resume = f"autoresearch resume {tag}" if resume is None else resume
    return resume.replace("autoresearch resume", f"autoresearch {name}", 1)


def last_words(message: str | None) -> str:
    """Why a run ended, where that is more than what was asked of it."""
    return "" if message in _EXPECTED else text.one_line(message or "")


def for_more(message: str | None, agent: str, command: str | None) -> str:
    """What makes a run that is done go on; empty where its last words hold it, as those of a cap do."""
    if not command or "--max-" in (message or "") or "autoresearch run --agent" in (message or ""):
        return ""
    kind, _, script = agent.partition(":")
    if kind == "scripted" and message != _EXPECTED[0]:  # it has replayed all that it was given
        return f"write more patches to {text.one_line(script)}, then: `{command} --experiments N`"
    return f"for more: `{command} --experiments {MORE}`"


def limits_to_go_on(h: History) -> dict[str, float] | None:
    """The new limits with which a run that is over goes on, none where its own do; None: nothing would come of it."""
    if h.ended is None or h.ended.reason != "done":
        return {}
    if h.ended.message != _EXPECTED[0]:
        return None  # its agent has nothing left to propose, or has spent what it may
    if h.engine and h.engine.experiments is not None and h.proposals >= h.engine.experiments:
        return {"experiments": MORE}
    return {"hours": (h.run.hours if h.run else None) or 1.0}


def question_to_go_on(h: History, agent: str, limits: dict[str, float]) -> str:
    """What a yes to going on brings about, before it does."""
    run, p, most = h.run, h.pending, h.engine.experiments if h.engine else None
    assert run is not None
    why = {None: "Its engine is gone.", "done": "It has reached its limit.", "stopped": "It was stopped."}.get(
        h.ended.reason if h.ended else None, f"It failed: {text.one_line(h.ended.message if h.ended else '')}."
    )
    does = f"asks {agent} for #{h.next_number}"
    if p is not None and p.trial_open:
        does = f"runs the trial of #{p.number} again, which was cut"
    elif p is not None and p.proposed is not None:
        does = f"takes up #{p.number}, which is under way"
    until = f"up to {most} experiments" if most is not None else "until you stop it"
    if "experiments" in limits:
        until = f"for {limits['experiments']:g} experiments more"
    elif "hours" in limits:
        until = f"for {limits['hours']:g} h more"
    each = f"at most {run.train_seconds:g} s of training each"
    return f"{why} Go on? An engine starts on {run.device}, {does}, and goes on {until}, {each}."
