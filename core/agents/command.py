"""Any command-line agent: Claude Code, Codex, aider, a script. It edits a private copy; its edit is the proposal.

`command:WORDS` is split into words as a shell does it, and no shell runs it. `{prompt}` in a word is the path of the
file that holds the prompt, which comes on stdin as well. It runs with the user's rights and environment, unconfined;
only the API key is held back, unless `env:ANTHROPIC_API_KEY` stands before the words.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import sandbox, secrets
from core.agents import CalledOff, Desk, Refused, Request, Unable
from core.agents.command_copy import Copy, named
from core.agents.command_run import Ended, Errand, run, span
from core.agents.command_words import ASKED, NOTED, described, noted, shortened
from core.agents.prompt import prompt
from core.errors import UsageError
from core.experiment import Proposal
from core.spending import Usage
from core.trial import tell

LIMIT_SECONDS = 15 * 60.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 15.0, 1800.0  # after a failure of the program itself, doubled each time
FAILURES_IN_A_ROW = 20  # some nine hours of them: then the user is asked
_HANDED = f"env:{secrets.VARIABLE}"
_KEY = re.compile(r"sk-ant-[\w-]{8}")
_MANNERS = f"""\
# How you answer

You work in the current folder: a private copy of the task, a git repository of its own whose one commit is the \
incumbent. Make the change by editing {{artifact}} in place, and nothing else: whatever else you change is dropped. \
Read the files first; they are not shown here. Do not train, evaluate, commit, ask or wait: the experiment is run when \
you have ended. You have {{limit}}; then you are ended, and what you did is lost. End with a short message: why this \
should help, and what its failure would teach. A line of it that begins with {NOTED} is kept for you, and shown to you \
again in later proposals. Its last line begins with {ASKED} and says in at most 100 characters what changed, with \
names and numbers."""
_OURS = ("model", "effort", "price_in", "price_out")  # options of the agent `claude`
_HELD_BACK = {
    secrets.VARIABLE, "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX",
}  # fmt: skip
_LONGEST_NAME = 200


class CommandAgent:
    """A program that edits files. Raises UsageError, when made, for words that cannot be run."""

    reads_notes = True
    repairs = 2

    def __init__(self, command: str, options: Mapping[str, Any], *, waits: bool = True) -> None:
        """`options`: `seconds`, how long one proposal may take.

        waits: whether it waits after a failure until it may try again; one that does not is Unable to work until then.
        """
        if _KEY.search(command):
            mend = f"put {_HANDED} before the program instead"
            raise UsageError(f"--agent command: an API key stands in it, and it would be written down; {mend}")
        self._name = shortened(f"command:{command}", _LONGEST_NAME)
        try:
            self._handed, self._words = _split(absolute(command))
        except ValueError as error:
            raise UsageError(f"--agent {self._name}: {error}") from None
        self._limit_seconds = _seconds(options.get("seconds"))
        for option in _OURS:
            if options.get(option) is not None:
                flag = option.partition("_")[0]
                raise UsageError(f"--{flag} is for the agent claude; a program has its own: write it into the command")
        if not self._own and shutil.which(self._words[0]) is None:
            raise UsageError(f"--agent {self._name}: {self._missing()}")
        self._waits = waits
        self._failures, self._failure, self._failed = 0, "", 0.0  # of the program itself: in a row; the last one, when

    def propose(self, request: Request) -> Proposal:
        """Run it on a fresh copy. Raises Refused where it fails or leaves no usable edit, Unable, CalledOff."""
        desk = request.desk
        self._wait_after_failures(desk)
        copy, ended = self._work(request)
        if ended.called_off:
            raise CalledOff
        description, hypothesis = described(ended.words.message)
        description = description or f"an edit by {Path(self._words[0]).name}, which said nothing"
        if ended.failure:
            self._has_failed(ended.failure)
            raise Refused(ended.failure, description)
        for note in noted(ended.words.message):
            desk.remember(note)
        dropped = named(copy.changed())
        if dropped:
            desk.say(f"\nDropped, for it is not part of the artifact: {', '.join(dropped)}\n")
        try:
            edits = copy.edits(request.sources)
        except Refused as refusal:
            self._failures = 0
            raise Refused(refusal.reason, description) from None
        if not edits:
            others = f", only {', '.join(dropped)}" if dropped else ""
            reason = f"nothing of the artifact ({', '.join(request.sources)}) was changed{others}"
            # As at a limit of its server's, told with exit status 0.
            self._has_failed(f"{reason}; the agent said: {description}")
            raise Refused(reason, description)
        self._failures = 0
        return Proposal(edits, description, hypothesis, self._details(ended, dropped))

    def _work(self, request: Request) -> tuple[Copy, Ended]:
        """Have the program work on a copy, and record what it says that this has cost."""
        desk = request.desk
        try:
            copy = Copy.of(request, desk.folder / "copy")
            asked = desk.folder / "PROMPT.md"
            asked.write_text(prompt_text(request, self._limit_seconds), encoding="utf-8", errors="replace")
        except OSError as error:
            where = error.filename or desk.folder
            raise Unable(f"the agent's copy cannot be made: {where}: {error.strerror}", "make room for it") from None
        program, env = self._program(copy), self._environment(asked, copy.folder, request.number)
        call = self._reserve(desk)
        argv = [program, *(word.replace("{prompt}", str(asked)) for word in self._words[1:])]
        try:
            ended = run(Errand(argv, copy.folder, env, asked, self._limit_seconds, env.get(secrets.VARIABLE, "")), desk)
        except OSError as error:
            mend = "its first line has to name what runs it, as in #!/usr/bin/env python3, and that has to be there"
            raise Unable(f"{self._words[0]} cannot be started: {error.strerror}", mend) from None
        desk.settle(call, ended.words.usage or Usage(), ended.words.dollars)
        return copy, ended

    @property
    def _own(self) -> bool:
        """Whether the program is one of the task's own files."""
        return "/" in self._words[0] and not os.path.isabs(self._words[0])

    def _reserve(self, desk: Desk) -> int:
        """Nobody can say what it will cost: only what it says afterwards is counted."""
        try:
            return desk.reserve(self._name, 0, None)
        except UsageError:
            mend = "leave the cap out and give the program one of its own, as in: claude -p --max-budget-usd 1"
            raise UsageError(f"--max-dollars: what {self._name} will cost is not known before; {mend}") from None

    def _program(self, copy: Copy) -> str:
        word = self._words[0]
        found = str(copy.folder / word) if self._own else shutil.which(word)
        if found and os.path.isfile(found) and os.access(found, os.X_OK):
            return found
        raise Unable(self._missing(), "mend that, then say resume; or start a run with another --agent")

    def _environment(self, asked: Path, folder: Path, number: int) -> dict[str, str]:
        """The user's own, but for the key and for what would lead git out of the copy."""
        told = asked.with_name("proposal.json")
        tell(told, {"role": "propose", "experiment": number, "prompt": str(asked)})
        env = {name: value for name, value in os.environ.items() if name not in _HELD_BACK}
        env |= {sandbox.VARIABLE: str(told), "PWD": str(folder)}
        if self._handed:
            found = secrets.find()
            key = found.key if found else None
            if key is None:
                raise Unable(f"{_HANDED}: there is no key to hand on", secrets.missing())
            env[secrets.VARIABLE] = key
        return env

    def _has_failed(self, failure: str) -> None:
        self._failures, self._failure, self._failed = self._failures + 1, failure, time.monotonic()

    def _wait_after_failures(self, desk: Desk) -> None:
        """A program that fails is asked again ever later: a limit of its server's is over some time."""
        if not self._failures:
            return
        if self._failures >= FAILURES_IN_A_ROW:
            failures, self._failures = self._failures, 0
            last = shortened(self._failure, _LONGEST_NAME)
            raise Unable(f"{failures} failures in a row, the last one {last}", f"try it by hand: {self._name}")
        seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (self._failures - 1))
        if not self._waits:
            if time.monotonic() < self._failed + seconds:
                raise Unable(shortened(self._failure, _LONGEST_NAME), "it is tried again later")
            return
        times = f", {self._failures} times in a row" if self._failures > 1 else ""
        if not desk.wait(seconds, f"{shortened(self._failure, _LONGEST_NAME)}{times}"):
            raise CalledOff

    def _details(self, ended: Ended, dropped: list[str]) -> dict[str, Any]:
        words = ended.words
        details: dict[str, Any] = {"agent": self._name, "unconfined": True, "seconds": round(ended.seconds, 1)}
        details["dropped"] = dropped
        if words.dollars is not None:
            details["dollars"] = words.dollars
        if words.usage is not None:
            details["tokens"] = words.usage.tokens
        return details

    def _missing(self) -> str:
        word = self._words[0]
        if os.path.isabs(word) and os.path.isfile(word):
            return f"{word} is not executable; make it so with: chmod +x {shlex.quote(word)}"
        return f"{word}: no such program" + (" in the task's folder as it is committed" if self._own else "")


def absolute(command: str) -> str:
    """The command as a run records it: a program given by a relative path is that of the folder it is typed in."""
    try:
        handed, words = _split(command)
    except ValueError:
        return command  # refused where it is made
    program = os.path.expanduser(words[0])
    if "/" not in program or (not os.path.isabs(program) and not Path(program).is_file()):
        return command  # from PATH, or one of the task's own files
    program = str(Path(program).parent.resolve() / Path(program).name)
    return shlex.join([*([_HANDED] if handed else []), program, *words[1:]])


def prompt_text(request: Request, limit_seconds: float = LIMIT_SECONDS) -> str:
    """All that the program is told: what every model is told, and how it is to answer. Raises Unable."""
    manners = _MANNERS.format(artifact=" and ".join(request.sources), limit=span(limit_seconds))
    return prompt(request, manners, with_sources=False).text + "\n"


def _split(command: str) -> tuple[bool, list[str]]:
    """Whether the key is to be handed on, and the program's words. Raises ValueError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    handed = words[:1] == [_HANDED]
    words = words[1:] if handed else words
    if not words or not words[0]:
        raise ValueError("no program; for instance: --agent 'command:claude -p'")
    if words[0].startswith("env:"):
        raise ValueError(f"{words[0]}: only {_HANDED} is known; every other variable is handed on anyway")
    return handed, words


def _seconds(given: Any) -> float:
    if given is None:
        return LIMIT_SECONDS
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1e6:
        raise UsageError(f"--agent-seconds: must be a number of seconds above 0, not {given!r}")
    return float(given)
