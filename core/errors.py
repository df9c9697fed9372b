"""Every exception the engine raises on purpose.

    AutoresearchError          what is wrong, where, and the mend; shown to the user as one line
    ├── UsageError             the user's input: flags, task.toml, a tag, a workspace     (exit 2)
    │   └── Busy               another engine holds this run or this device
    ├── RunFailed              the run cannot go on: the baseline crashes, the branch moved (exit 1)
    ├── BranchLocked           somebody else's git holds the branch just now
    └── EngineUnreachable      no engine answers on the run's socket
        └── EngineNotReady     one is at work, and has not opened its door yet

A crash, a timeout or a NaN of an experiment is not here: those are verdicts.
"""


class AutoresearchError(Exception):
    """One line for the user: what, where, and the mend."""

    exit_code = 1


class UsageError(AutoresearchError):
    """The user's input cannot be used; nothing was changed."""

    exit_code = 2


class Busy(UsageError):
    """Another engine holds this run or this device."""


class RunFailed(AutoresearchError):
    """The run cannot go on without the user."""


class BranchLocked(AutoresearchError):
    """Somebody else's git holds the branch just now."""


class EngineUnreachable(AutoresearchError):
    """No engine answers for this run."""


class EngineNotReady(EngineUnreachable):
    """An engine holds this run, and does not listen yet."""
