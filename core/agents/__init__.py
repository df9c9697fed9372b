"""What an agent is: it is asked for one proposal at a time and sees the history, never the machine.

get("search", seed=0)            the keyless default: Optuna over the artifact's capital constants
get("scripted:patches/", seed=0) replays a list of patches
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from core.errors import UsageError
from core.experiment import Proposal
from core.history import History
from core.notes import Note


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an agent may know when it is asked.

    sources: path relative to the task folder -> text, as the incumbent has them.
    program: the human's instructions, read afresh each time.
    is_new: says whether these edits make a source that no experiment of this run has had, and the user not rejected.
    notes: what the user has told the agent so far, why proposals were rejected included.
    new_notes: those of them that came since the agent last answered.
    """

    number: int
    sources: Mapping[str, str]
    program: str
    history: History
    direction: Literal["min", "max"]
    is_new: Callable[[Mapping[str, str]], bool]
    notes: tuple[Note, ...] = ()
    new_notes: tuple[Note, ...] = ()


class Refused(Exception):
    """The agent came to no usable proposal this time. `description` is what it was about, if that is known."""

    def __init__(self, reason: str, description: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.description = description


class Exhausted(Exception):
    """The agent has nothing left to propose: the run is done."""


def absolute(name: str) -> str:
    """The name as a run records it: it must mean the same file wherever the run is resumed from."""
    kind, _, argument = name.partition(":")
    return f"{kind}:{Path(argument).absolute()}" if kind == "scripted" and argument else name


class Agent(Protocol):
    """Two real ones exist: `search.Search` and `scripted.Scripted`.

    reads_notes: whether what the user tells it can change what it proposes.
    """

    reads_notes: bool

    def propose(self, request: Request) -> Proposal:
        """The next proposal. Raises Refused or Exhausted."""
        ...


def get(name: str, seed: int) -> Agent:
    """The agent of this name. Raises UsageError for a name or a file that does not exist."""
    kind, _, argument = name.partition(":")
    if kind == "search" and not argument:
        from core.agents.search import Search

        return Search(seed)
    if kind == "scripted" and argument:
        from core.agents.scripted import Scripted

        return Scripted(Path(argument))
    raise UsageError(f"--agent {name}: no such agent; use search or scripted:FILE")


def check(name: str) -> None:
    """Refuse the name of an agent that does not exist, as `get` does, without loading what a search needs."""
    if name != "search":
        get(name, 0)
