"""What the user tells the agent of a run, as its history keeps it."""

from __future__ import annotations

from core.facts import fact


@fact
class Note:
    """What the user told the agent: a note, or why a proposal was rejected.

    number: the first experiment that can heed it; of a rejection, the one that was rejected.
    """

    number: int
    text: str
    time: float
    rejected: str = ""  # the description of the proposal that this rejected
