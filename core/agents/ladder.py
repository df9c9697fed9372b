"""What an agent is told when nothing has been kept for a while: a ladder of bolder steps, climbed rung by rung.

docs/agents.md shows the same rungs in the same words; a test compares them.
"""

from __future__ import annotations

from typing import Literal

from core.facts import fact
from core.history import History

PATIENCE = 6  # experiments without a keep before the first rung, and from each rung to the next

Shown = Literal["near misses", "losses", "keeps", "nothing"]


@fact
class Rung:
    """A bolder step. shows: which experiments are laid before the agent with their diffs."""

    name: str
    words: str
    shows: Shown


RUNGS = (
    Rung(
        "Revisit near misses",
        "Take one that fell just short of an earlier incumbent and try it again on this one, perhaps a little stronger "
        "or weaker: what did not pay there may pay here.",
        "near misses",
    ),
    Rung(
        "Combine",
        "Put two or three changes together that each came close, or that each helped, and that do not touch the same "
        "thing: small gains add up to one that shows.",
        "near misses",
    ),
    Rung(
        "Ablate",
        "Take out one part of what was kept, or of what was there from the beginning, and see whether it still earns "
        "its place. An equal score with fewer lines is a keep, and it says where the gains really come from.",
        "keeps",
    ),
    Rung(
        "Simplify",
        "Find the part that costs the most time or lines for what it gives, and replace it with the plainest thing "
        "that could do the same work. Time saved is budget for everything else.",
        "nothing",
    ),
    Rung(
        "Turn round",
        "Take the changes that hurt most and try the opposite of each: a strong effect in one direction is evidence "
        "for the other.",
        "losses",
    ),
    Rung(
        "Change the structure",
        "Leave the constants alone. Replace a mechanism: another algorithm, another order of the parts, another shape "
        "of the whole, a method from the literature that has not been tried in this run. Expect to lose once or twice.",
        "nothing",
    ),
)


def barren(history: History) -> int:
    """How many experiments were finished since the last that was kept."""
    return sum(e.number > history.incumbent for e in history.experiments) if history.incumbent is not None else 0


def rung(count: int) -> tuple[int, Rung] | None:
    """The rung for so many barren experiments and which round of the ladder it is, from 1; None before the first."""
    step = count // PATIENCE - 1
    return (step // len(RUNGS) + 1, RUNGS[step % len(RUNGS)]) if step >= 0 else None
