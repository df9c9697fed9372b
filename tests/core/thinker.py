"""What tests of the loop's stations share: a run in this process, and an agent that does what a test tells it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from conftest import rates_agent

from core import agents, opening
from core import events as ev
from core.experiment import Proposal
from core.journal import read
from core.launch import Options
from core.loop import commit, conclude, decide, move_branch, propose
from core.run import Run


class Thinker:
    """An agent that does what it is told, once for each time it is asked."""

    reads_notes = True
    repairs = 2

    def __init__(self) -> None:
        self.asked: list[agents.Request] = []
        self.does: list[Callable[[agents.Request], Proposal]] = []

    def propose(self, request: agents.Request) -> Proposal:
        self.asked.append(request)
        if self.does:
            return self.does.pop(0)(request)
        return rate(f"0.{len(self.asked)}1", request)


def rate(value: str, request: agents.Request) -> Proposal:
    lines = [f"RATE = {value}" if x.startswith("RATE") else x for x in request.sources["train.py"].splitlines()]
    return Proposal({"train.py": "\n".join(lines) + "\n"}, f"rate {value}", "why not", {"agent": "thinker"})


def fails(error: Exception) -> Callable[[agents.Request], Proposal]:
    def do(request: agents.Request) -> Proposal:
        raise error

    return do


def opened(toy: Path, **options) -> Run:
    options.setdefault("agent", rates_agent(toy))
    run = opening.open_run(Options(str(toy), tag="t", **options), lambda line: None)
    run.agent = Thinker()
    return run


def close(run: Run) -> None:
    run.control.close()
    run._journal.close()
    while opening._locks:
        opening._locks.pop().close()


def record(run: Run, *stations) -> None:
    for station in stations:
        for event in station(run):
            run.record(event)


def crash(run: Run, reason: str = "RuntimeError: no") -> None:
    run.record(ev.Crashed(run.in_flight.number, run.in_flight.trial + 1, reason, "Traceback\nRuntimeError: no", 1.0))


def events(run: Run, kind: type) -> list:
    return [event for event, _ in read(run.folder / "journal.jsonl") if isinstance(event, kind)]


@contextlib.contextmanager
def past_baseline(toy: Path) -> Iterator[Run]:
    """A run past its baseline, with caps, and an agent of the test's."""
    priced = {"model": "m", "price_in": 1.0, "price_out": 2.0}
    run = opened(toy, agent="claude", agent_options=priced, max_dollars=1.0, max_tokens=40_000)
    record(run, propose, commit)
    run.record(ev.Measured(0, 1, 0.5, 1.0, 1.0, 1.0))
    record(run, decide, move_branch, conclude)
    yield run
    close(run)
