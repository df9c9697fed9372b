"""What an agent is: it is asked for one proposal at a time and sees the history, never the machine.

get("search", 0)               the keyless default: Optuna over the artifact's capital constants, and structural moves
get("claude", 0, {"model": …}) a model edits the file; needs a key, or a local server that speaks the Messages API
get("command:…", 0)            any command-line agent
get("hybrid", 0)               numbers from the search, ideas from a model
get("scripted:patches/", 0)    replays a list of patches
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from core import caps
from core.errors import UsageError
from core.experiment import Proposal
from core.facts import fact
from core.history import History
from core.notes import Note
from core.spending import Usage

NAMES = "search, claude, command:ANYTHING, hybrid or scripted:FILE"
ANOTHER = "change the artifact or take another agent (claude, command:…), in a new run: autoresearch run --agent A"


@fact
class Crash:
    """Why the experiment in flight crashed. `log_tail` has no control characters; it comes from untrusted code.

    repair: which repair of it this would be, from 1.
    """

    reason: str
    log_tail: str
    repair: int


@fact
class Request:
    """Everything an agent may know when it is asked.

    sources: path relative to the task folder -> text, as the incumbent has them; for a repair, as what crashed has.
    program: the human's instructions, read afresh each time.
    is_new: says whether these edits make a source that no experiment of this run has had, and the user not rejected.
    notes: what the user has told the agent so far, why proposals were rejected included.
    new_notes: those of them that came since the agent last answered.
    contract: what of the artifact everything else relies on, in the task's words.
    crash: set where a repair is asked for.
    """

    number: int
    sources: Mapping[str, str]
    program: str
    history: History
    direction: Literal["min", "max"]
    is_new: Callable[[Mapping[str, str]], bool]
    desk: Desk
    notes: tuple[Note, ...] = ()
    new_notes: tuple[Note, ...] = ()
    contract: str = ""
    crash: Crash | None = None


class Refused(Exception):
    """The agent came to no usable proposal this time. `description` is what it was about, if that is known."""

    def __init__(self, reason: str, description: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.description = description


class Unable(Exception):
    """The agent cannot work until the user does something: the run pauses, and the agent is asked again afterwards."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}; {mend}")
        self.reason = reason
        self.mend = mend


class CalledOff(Exception):
    """The run is to stop at once, so the agent stopped thinking."""


class Exhausted(Exception):
    """The agent has nothing left to propose: the run is done."""


class CapReached(Exhausted):
    """What the agent needs next might pass a cap, in dollars or tokens. The run is done; the words say the mend."""


class Desk(Protocol):
    """An agent's hand on the run. `core.desk.RunDesk` is the real one, `core.desk.Paper` one without a run."""

    def reserve(self, model: str, tokens: int, dollars: float | None) -> int:
        """Set aside the most that the next call can cost, durably and before it is made. Returns the call's number.

        Raises CapReached where that might pass a cap. A call that is never settled counts as reserved, for ever.
        """
        ...

    def settle(self, call: int, usage: Usage, dollars: float | None) -> None:
        """What a call did cost."""
        ...

    def say(self, text: str) -> None:
        """Show what the agent thinks while it thinks. Never raises."""
        ...

    def wait(self, seconds: float, reason: str) -> bool:
        """Wait, with a countdown that viewers show. False: the run is to stop, or at its limit of hours."""
        ...

    def remember(self, text: str) -> None:
        """Write down a note of the agent to itself: it is in `History.memory` from now on."""
        ...

    def keep(self, turn: Mapping[str, Any]) -> None:
        """Keep a turn of the conversation about this proposal; durable when it returns."""
        ...

    def kept(self) -> list[dict[str, Any]]:
        """The turns of this proposal that an engine which was killed has kept."""
        ...

    def forget(self) -> None:
        """Drop the turns that were kept: going on from them leads nowhere."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether the run is to stop at once."""
        ...

    @property
    def folder(self) -> Path:
        """An empty folder for this one proposal, removed afterwards."""
        ...

    @property
    def workspace(self) -> Path:
        """The user's workspace, to be read only."""
        ...


class Agent(Protocol):
    """Real ones are `search.Search`, `scripted.Scripted`, `claude.Claude`, `command.CommandAgent`, `hybrid.Hybrid`.

    reads_notes: whether what the user tells it can change what it proposes.
    repairs: how often it may mend a crash of its own experiment.
    """

    reads_notes: bool
    repairs: int

    def propose(self, request: Request) -> Proposal:
        """The next proposal, or the repair of the one that crashed. Raises Refused, Unable, CalledOff or Exhausted."""
        ...


class Absent:
    """In the agent's place where nothing is to be proposed. What it is told waits for the real one."""

    repairs = 0

    def __init__(self, name: str) -> None:
        """`name`: of the real one, as the run records it."""
        self.reads_notes = caps.reads_notes(name)

    def propose(self, request: Request) -> Proposal:
        """Never a proposal."""
        raise Exhausted("no proposal is asked for")


def absolute(name: str) -> str:
    """The name as a run records it: it must mean the same file wherever the run is resumed from."""
    kind, _, argument = name.partition(":")
    match kind:
        case "scripted" if argument:
            return f"{kind}:{Path(argument).absolute()}"
        case "command":
            from core.agents.command import absolute as absolute_command

            return f"{kind}:{absolute_command(argument)}"
        case "hybrid" if argument:
            return f"{kind}:{absolute(argument)}"
    return name


def get(name: str, seed: int, options: Mapping[str, Any] | None = None) -> Agent:
    """The agent of this name. `options`: of models, as the command line gives them; JSON values, never a key.

    Raises UsageError for a name, a file or an option that does not exist.
    """
    kind, _, argument = name.partition(":")
    options = options or {}
    match kind:
        case "search" if not argument:
            from core.agents.search import Search

            return Search(seed)
        case "scripted" if argument:
            from core.agents.scripted import Scripted

            return Scripted(Path(argument))
        case "claude" if not argument:
            from core.agents.claude import Claude

            return Claude(options)
        case "command" if argument.strip():
            from core.agents.command import CommandAgent

            return CommandAgent(argument, options)
        case "hybrid" if not argument.startswith("hybrid"):
            from core.agents.hybrid import Hybrid

            if argument.startswith("command:"):
                from core.agents.command import CommandAgent

                return Hybrid(seed, CommandAgent(argument.removeprefix("command:"), options, waits=False))
            return Hybrid(seed, get(argument or "claude", seed, options))
    raise UsageError(f"--agent {name}: no such agent; use {NAMES}")


def check_artifact(name: str, sources: Mapping[str, str]) -> None:
    """Refuse what an agent could propose nothing for, before a baseline is trained. `sources`: the artifact's files.

    What cannot be read as Python is the baseline's to find out.
    """
    if name == "search":
        from core.agents.artifact import Artifact

        try:
            Artifact(sources)
        except Exhausted as nothing:
            raise UsageError(str(nothing)) from None
        except Refused:
            pass


def check(name: str, options: Mapping[str, Any] | None = None) -> None:
    """Refuse the name of an agent that does not exist, as `get` does, without loading what a search needs."""
    if name != "search":
        get(name, 0, options)
