"""The events of an agent at work: it is asked, calls a model, waits, is refused, proposes, mends.

Part of `core.events`, which has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.facts import fact


@fact
class Proposing:
    """The agent was asked for a proposal."""

    number: int
    incumbent: int | None


@fact
class ProgramRead:
    """program.md as the agent gets to read it from here on: the first time, and whenever it has changed."""

    number: int
    text: str


@fact
class CallReserved:
    """An agent is about to call a model: the most that this can cost. dollars: None where the price is unknown."""

    number: int
    call: int  # counted over the whole run
    model: str
    tokens: int
    dollars: float | None


@fact
class CallSettled:
    """What that call did cost, in the server's count of tokens; `input` has no cached ones."""

    number: int
    call: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    dollars: float | None


@fact
class AgentWaits:
    """The agent waits before it tries again: so many seconds from now at most."""

    number: int
    reason: str
    seconds: float


@fact
class Remembered:
    """A note of the agent to itself."""

    number: int
    text: str


@fact
class ProposalRefused:
    """Refused before it was committed: no edit, does not parse, a duplicate. Not an experiment."""

    number: int
    reason: str
    description: str


@fact
class Proposed:
    """The intent: the whole edit, durable before anything else happens. The baseline's edits are empty."""

    number: int
    parent: str
    incumbent: int | None
    edits: Mapping[str, str]
    description: str
    hypothesis: str
    details: Mapping[str, Any]


@fact
class RepairProposed:
    """The agent's mend of what crashed: the whole edit on the same parent. It is committed and tried in its place."""

    number: int
    repair: int  # from 1
    edits: Mapping[str, str]
    description: str
    hypothesis: str
    details: Mapping[str, Any]
