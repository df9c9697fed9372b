"""The events of a finished experiment that is tried once more. `core.events` has all the others, and these as well."""

from __future__ import annotations

from core.facts import fact


@fact
class AgainAsked:
    """The user wants another trial of a finished experiment, with a fresh seed. Its verdict stays as it is."""

    number: int


@fact
class AgainStarted:
    """That experiment is in flight once more: the events of a trial follow, with its number."""

    number: int


@fact
class AgainDone:
    """The last event of such a trial: its measurement, or its crash, stands beside the first one."""

    number: int
