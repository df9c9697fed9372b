"""What an agent is asked, and what of its answers may be committed."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core import agents
from core.events import Event, ProgramRead
from core.experiment import Proposal
from core.log import plain
from core.own_words import described

if TYPE_CHECKING:
    from core.run import Run
    from core.task import Task

LARGEST_SOURCE = 2**20  # characters of one artifact file
LONGEST_PROGRAM = 500_000  # characters of program.md that are read; what is too long for a prompt, agents refuse
LONGEST_DESCRIPTION, LONGEST_HYPOTHESIS = 300, 4000  # characters


class Proposals:
    """The agent's desk at one run: its request, and the check of what it returns."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tried: dict[int, str] = {}  # experiment -> key of its source

    def news(self) -> Iterator[Event]:
        """That the human's instructions have changed since the agent last read them."""
        history, program = self._run.history, self._program()
        if program != history.program:
            yield ProgramRead(history.next_number, program)

    def _program(self) -> str:
        return program(self._run.workspace.root, self._run.task)

    def request(self) -> agents.Request:
        """What the agent gets to see: the incumbent's source, the program as it is now, the history."""
        run, history = self._run, self._run.history
        sources, program = self._sources(), self._program()

        def is_new(edits: Mapping[str, str]) -> bool:
            key = _key({**sources, **edits})
            return key not in self._had() and key not in self._rejected(sources)

        return agents.Request(
            history.next_number, sources, program, history, run.task.metric.direction, is_new, run.desk,
            history.notes, history.notes[history.notes_read :], run.task.contract,
        )  # fmt: skip

    def repair_request(self) -> agents.Request:
        """What the agent gets to see of its experiment that crashed: the source is that one's."""
        p, asked = self._run.in_flight, self.request()
        assert p.proposed is not None
        assert p.crashed is not None
        sources = {**asked.sources, **p.proposed.edits}
        crash = agents.Crash(p.crashed.reason, p.crashed.log_tail, len(p.repairs) + 1)

        def is_new(edits: Mapping[str, str]) -> bool:
            return _key({**sources, **edits}) != _key(sources) and asked.is_new({**sources, **edits})

        return replace(asked, number=p.number, sources=sources, crash=crash, is_new=is_new)

    def repaired(self, proposal: Proposal) -> Proposal:
        """The mend as it may be committed: the whole edit on the incumbent. Raises agents.Refused."""
        p = self._run.in_flight
        assert p.proposed is not None
        whole = self.checked(replace(proposal, edits={**p.proposed.edits, **proposal.edits}))
        if whole.edits == p.proposed.edits:
            raise agents.Refused("no edit: the source is what crashed", whole.description)
        return whole

    def checked(self, proposal: Proposal, *, by_user: bool = False) -> Proposal:
        """The proposal as it may be committed, its words made plain. Raises agents.Refused for what must not be.

        `by_user`: what the user once rejected is the user's to take after all.
        """
        said, why = " ".join(plain(proposal.description).split()), plain(proposal.hypothesis)
        proposal = replace(proposal, description=said[:LONGEST_DESCRIPTION], hypothesis=why[:LONGEST_HYPOTHESIS])
        sources, artifact = self._sources(), self._run.task.artifact
        if not {n: t for n, t in proposal.edits.items() if sources.get(n) != t}:
            raise agents.Refused("no edit: the source is the incumbent's", said)
        for name, text in proposal.edits.items():
            if name not in artifact:
                raise agents.Refused(f"{name} is not part of the artifact ({', '.join(artifact)})", said)
            if len(text) > LARGEST_SOURCE:
                raise agents.Refused(f"{name} would have {len(text):,} characters; the limit is 1 MiB", said)
            try:
                text.encode("utf-8")
                if name.endswith(".py"):
                    ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # all that ast.parse raises
                raise agents.Refused(f"{name} does not parse: {error}", said) from None
        key = _key({**sources, **proposal.edits})
        if key in self._had():
            raise agents.Refused("a duplicate: an earlier experiment had this very source", said)
        if not by_user and key in self._rejected(sources):
            raise agents.Refused("a duplicate: the user has rejected this very source", said)
        return proposal

    def described(self, edits: Mapping[str, str], proposed: Mapping[str, str], said: str) -> str:
        """What a version of the user's own is called. `proposed` and `said`: the agent's, and what it called that."""
        sources = self._sources()
        return described(sources, {**sources, **proposed}, {**sources, **edits}, said)

    def _sources(self) -> dict[str, str]:
        best = self._run.history.best
        return self._run.sources(best.commit if best else self._run.base)

    def _had(self) -> set[str]:
        """The keys of what experiments had."""
        for e in self._run.history.experiments[len(self._tried) :]:
            self._tried[e.number] = _key(self._run.sources(e.commit))
        return set(self._tried.values())

    def _rejected(self, sources: Mapping[str, str]) -> set[str]:
        """The keys of what the user said no to; an edit is the whole text of a file, whatever it was made on."""
        return {_key({**sources, **p.edits}) for p in self._run.history.rejected}


def program(root: Path, task: Task) -> str:
    """The human's instructions: the file that the task names, else program.md beside task.toml or in the workspace."""
    beside = root / task.folder
    for file in [beside / task.program] if task.program else [beside / "program.md", root / "program.md"]:
        with suppress(OSError), open(file, encoding="utf-8", errors="replace") as text:
            return text.read(LONGEST_PROGRAM)
    return ""


def _key(sources: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()
