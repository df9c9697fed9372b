"""The commands that carry facts: a note, a word on a proposal, another trial. Each becomes an event of the journal.

`Wishes.grant` is called by the door (`core.control`) from its own thread, one command at a time. The engine's thread is
either at work, and finds what was recorded when it next looks, or waits for it in `core.loop.approve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core import agents
from core.commands import Command, digest
from core.errors import UsageError
from core.events import AgainAsked, ApprovalTurned, Approved, Proposed, Rejected, Steered
from core.experiment import Proposal
from core.log import plain

if TYPE_CHECKING:
    from core.history import History
    from core.run import Run

LONGEST_NOTE = 4000  # characters
_TAKES: Mapping[str, tuple[str, ...]] = {
    "steer": ("text",),
    "approval-on": (),
    "approval-off": (),
    "approve": ("number", "edits", "seen"),
    "reject": ("number", "reason", "seen"),
    "again": ("number",),
}


class Wishes:
    """What the user wants of one run, checked and recorded."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def grant(self, command: Command, details: Mapping[str, Any]) -> str | None:
        """Record what a command asks for; returns when it takes effect, in words, None for a command of another kind.

        Raises UsageError where it is refused; then nothing was recorded.
        """
        for key in details:
            if key not in _TAKES.get(command, ()):
                raise UsageError(f"{command}: takes no {plain(str(key))[:40]!r}")
        match command:
            case "steer":
                return self._steer(_text(command, details, "text"))
            case "approval-on" | "approval-off":
                return self._turn(command == "approval-on")
            case "approve":
                return self._approve(self._waiting(command, details), _edits(details))
            case "reject":
                reason = _text(command, details, "reason", "no reason given")
                return self._reject(self._waiting(command, details).number, reason)
            case "again":
                return self._again(_number(command, details))
            case _:
                return None

    def _steer(self, text: str) -> str:
        run = self._run
        run.record(Steered(text))
        if not run.agent.reads_notes:
            return f"recorded; but {run.agent_name} reads no notes, so it changes nothing in its proposals"
        if run.journalled().phase == "proposing":
            return "the agent is at a proposal now; it reads this before the next one"
        return "the agent reads it before its next proposal"

    def _turn(self, on: bool) -> str:
        run, h = self._run, self._run.journalled()
        if h.approval is on:
            return f"approval is {'on' if on else 'off'} already"
        waiting = h.waiting
        if waiting is not None:
            _refuse_while_stopping(run, waiting.number)
        run.record(ApprovalTurned(on))
        if on:
            return "every proposal waits for your yes from the next one on"
        approved = f"#{waiting.number} is approved, and " if waiting is not None else ""
        return f"{approved}no proposal waits any more"

    def _approve(self, proposed: Proposed, edits: Mapping[str, str] | None) -> str:
        number = proposed.number
        merged = {**proposed.edits, **(edits or {})}
        if merged == proposed.edits:
            self._run.record(Approved(number))
            return f"#{number} begins now"
        described = self._run.proposals.described(merged, proposed.edits, proposed.description)
        try:
            checked = self._run.proposals.checked(Proposal(merged, described, proposed.hypothesis), by_user=True)
        except agents.Refused as refusal:
            raise UsageError(f"#{number} still waits; your version cannot be used: {refusal.reason}") from None
        self._run.record(Approved(number, merged, checked.description))
        return f"#{number} begins now, as you edited it: {checked.description}"

    def _reject(self, number: int, reason: str) -> str:
        run = self._run
        run.record(Rejected(number, reason))
        reads = "the agent reads why, and" if run.agent.reads_notes else f"{run.agent_name} reads no notes, and"
        return f"#{number} is rejected; {reads} proposes something else"

    def _waiting(self, command: Command, details: Mapping[str, Any]) -> Proposed:
        """The proposal that is answered. One that took the number of a rejected one is not what the user has seen."""
        run, number = self._run, _number(command, details)
        history = run.journalled()
        proposed, awaited = history.waiting, history.pending.awaited if history.pending else None
        if history.aside and history.aside.awaited:
            raise UsageError(f"another trial runs first; #{history.aside.number} waits for your answer after it")
        if proposed is None:
            raise UsageError("no proposal waits for an answer; `approval on` makes the next ones wait")
        if proposed.number != number:
            raise UsageError(f"#{number} does not wait for an answer; #{proposed.number} does")
        if "seen" in details and awaited is not None and details["seen"] != digest(awaited.diff):
            raise UsageError(f"another #{number} waits by now; look at it first")
        _refuse_while_stopping(run, number)
        return proposed

    def _again(self, number: int) -> str:
        run, h = self._run, self._run.journalled()
        check_again(h, number)
        before = len(h.asked_again)
        run.record(AgainAsked(number))
        what = f"another trial of #{number}"
        if run.control.stopping_now or run.control.stopping:
            return f"{what} is recorded; the run is about to stop, and does it on resume"
        if before:
            return f"{what} follows {'the one' if before == 1 else f'the {before}'} asked for before"
        if h.pending is None:
            return f"{what} begins when the run goes on" if run.control.paused else f"{what} begins now"
        return f"{what} follows #{h.pending.number}"


def check_again(h: History, number: int) -> None:
    """Refuse another trial of what is not finished."""
    if not any(e.number == number for e in h.experiments):
        known = f"0 to {h.experiments[-1].number} are finished" if h.experiments else "none is finished yet"
        in_flight = any(p.number == number for p in (h.pending, h.aside) if p)
        what = "is not finished" if in_flight else "is no experiment of this run"
        raise UsageError(f"#{number} {what}, so it cannot have another trial; {known}")
    if h.experiments[0].verdict.outcome == "crash":
        raise UsageError("its baseline crashed, so the run cannot go on; mend the artifact and start a new one")


def _refuse_while_stopping(run: Run, number: int) -> None:
    if run.control.stopping or run.control.stopping_now:
        mend = f"go on with: autoresearch resume {run.tag}, then answer"
        raise UsageError(f"the run is about to stop, so #{number} waits on; {mend}")


# --- the shapes of details -------------------------------------------------------------------------------------------


def _number(command: str, details: Mapping[str, Any]) -> int:
    number = details.get("number")
    if not isinstance(number, int) or isinstance(number, bool):
        raise UsageError(f"{command}: `number` must be the number of an experiment")
    return number


def _text(command: str, details: Mapping[str, Any], key: str, empty: str | None = None) -> str:
    """Plain text of the user's; `empty` stands for nothing at all, None refuses that."""
    text = details.get(key, "" if empty is not None else None)
    if not isinstance(text, str):
        raise UsageError(f"{command}: `{key}` must be text")
    if len(text) > LONGEST_NOTE:
        raise UsageError(f"{command}: {len(text):,} characters; the limit is {LONGEST_NOTE:,}, so say it shorter")
    said = plain(text).strip()
    if not said and empty is None:
        raise UsageError(f"{command}: nothing is said in it")
    return said or str(empty)


def _edits(details: Mapping[str, Any]) -> Mapping[str, str] | None:
    edits = details.get("edits")
    if edits is None:
        return None
    if not isinstance(edits, dict) or not all(isinstance(text, str) for text in edits.values()):
        raise UsageError("approve: `edits` must map file names to whole texts")
    return edits
