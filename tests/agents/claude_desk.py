"""What the tests of the agent `claude` share: a request on paper, and an agent that asks a scripted server."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from messages_server import MessagesServer

from core.agents import Crash, Request
from core.agents.claude import Claude
from core.desk import Paper
from core.experiment import Proposal
from core.history import History

SOURCE = 'RATE = 0.5\nprint("loss:", (RATE - 0.3) ** 2)\n'
PRICE_IN, PRICE_OUT = 4.0, 20.0  # of the default model


def request(
    folder: Path, sources: Mapping[str, str] | None = None, desk: Paper | None = None, **fields: Any
) -> Request:
    """What the agent is asked about experiment 1."""
    given = {"train.py": SOURCE} if sources is None else sources
    asked = Request(1, given, "Make it better.", History(), "min", lambda edits: True, desk or Paper(folder))
    return dataclasses.replace(asked, **fields)


def claude(server: MessagesServer, **options: Any) -> Claude:
    """The agent, asking this server; its jitter is the same each time."""
    return Claude({"base_url": server.url, **options}, random.Random(0))


def propose(server: MessagesServer, asked: Request, **options: Any) -> Proposal:
    return claude(server, **options).propose(asked)


def crash(tail: str, repair: int = 1) -> Crash:
    return Crash("ZeroDivisionError: division by zero", tail, repair)
