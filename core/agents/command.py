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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import sandbox, secrets
from core.agents import CalledOff, Crash, Desk, Refused, Request, Unable
from core.agents.command_copy import Copy, named
from core.agents.command_run import Ended, run
from core.agents.command_words import ASKED, described, shortened
from core.errors import UsageError
from core.experiment import Proposal
from core.spending import Usage
from core.trial import tell

LIMIT_SECONDS = 15 * 60.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 15.0, 1800.0  # after a failure of the program itself, doubled each time
FAILURES_IN_A_ROW = 20  # some nine hours of them: then the user is asked
_HANDED = f"env:{secrets.VARIABLE}"
_KEY = re.compile(r"sk-ant-[\w-]{8}")
_OURS = ("model", "effort", "base_url")  # options of the agent `claude`
_HELD_BACK = {
    secrets.VARIABLE, "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX",
}  # fmt: skip
_LONGEST_NAME = 200


class CommandAgent:
    """A program that edits files. Raises UsageError, when made, for words that cannot be run."""

    reads_notes = True
    repairs = 2

    def __init__(self, command: str, options: Mapping[str, Any]) -> None:
        """`options`: `seconds`, how long one proposal may take."""
        if _KEY.search(command):
            mend = f"put {_HANDED} before the program instead"
            raise UsageError(f"--agent command: an API key stands in it, and it would be written down; {mend}")
        self._name = shortened(f"command:{command}", _LONGEST_NAME)
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--agent {self._name}: cannot be split into words: {error}") from None
        self._handed = words[:1] == [_HANDED]
        self._words = words[1:] if self._handed else words
        if not self._words or not self._words[0]:
            raise UsageError(f"--agent {self._name}: no program; for instance: --agent 'command:claude -p'")
        if self._words[0].startswith("env:"):
            raise UsageError(f"--agent {self._name}: only {_HANDED} is known; every other variable is handed on anyway")
        for option in _OURS:
            if options.get(option):
                mend = f"say it to the program, as in: --agent 'command:claude -p --{option.replace('_', '-')} …'"
                raise UsageError(f"--{option.replace('_', '-')} is for the agent claude; {mend}")
        self._limit_seconds = _seconds(options.get("seconds"))
        program = os.path.expanduser(self._words[0])
        if ("/" not in program or program.startswith("/")) and shutil.which(program) is None:
            raise UsageError(f"--agent {self._name}: {self._missing()}")
        self._failures = 0  # of the program itself, in a row

    def propose(self, request: Request) -> Proposal:
        """Run it on a fresh copy. Raises Refused where it fails or leaves no usable edit, Unable, CalledOff."""
        desk = request.desk
        self._wait_after_failures(desk)
        try:
            copy = Copy.of(request, desk.folder / "copy")
            prompt = desk.folder / "PROMPT.md"
            prompt.write_text(prompt_text(request), encoding="utf-8", errors="replace")
        except OSError as error:
            where = error.filename or desk.folder
            raise Unable(f"the agent's copy cannot be made: {where}: {error.strerror}", "make room for it") from None
        program, env = self._program(copy), self._environment(prompt, copy.folder, request.number)
        call = self._reserve(desk)
        try:
            argv = [program, *(word.replace("{prompt}", str(prompt)) for word in self._words[1:])]
            ended = run(argv, copy.folder, env, prompt, self._limit_seconds, desk)
        except OSError as error:
            mend = "make it a program, with a first line like #!/usr/bin/env python3"
            raise Unable(f"{self._words[0]} cannot be started: {error.strerror}", mend) from None
        words = ended.words
        desk.settle(call, words.usage or Usage(), words.dollars)
        if ended.called_off:
            raise CalledOff
        description, hypothesis = described(words.message)
        description = description or f"an edit by {Path(self._words[0]).name}, which said nothing"
        if ended.failure:
            self._failures += 1
            raise Refused(ended.failure, description)
        self._failures = 0
        dropped = copy.changed()
        if dropped:
            desk.say(f"\nDropped, for it is not part of the artifact: {', '.join(named(dropped))}\n")
        try:
            edits = copy.edits(request.sources)
        except Refused as refusal:
            raise Refused(refusal.reason, description) from None
        if not edits:
            others = f"; it changed {', '.join(named(dropped))}" if dropped else ""
            raise Refused(f"it changed nothing of the artifact ({', '.join(request.sources)}){others}", description)
        return Proposal(edits, description, hypothesis, self._details(ended, dropped))

    def _reserve(self, desk: Desk) -> int:
        """Nobody can say what it will cost: only what it says afterwards is counted."""
        try:
            return desk.reserve(self._name, 0, None)
        except UsageError:
            mend = "leave the cap out and give the program one of its own, as in: claude -p --max-budget-usd 1"
            raise UsageError(f"--max-dollars: what {self._name} will cost is not known before; {mend}") from None

    def _program(self, copy: Copy) -> str:
        word = os.path.expanduser(self._words[0])
        own = copy.folder / word  # one of the task's own files
        if found := shutil.which(word):
            return found
        if "/" in word and own.is_file() and os.access(own, os.X_OK):
            return str(own)
        raise Unable(self._missing(), "mend that, or resume with another --agent")

    def _environment(self, prompt: Path, folder: Path, number: int) -> dict[str, str]:
        """The user's own, but for the key and for what would lead git out of the copy."""
        told = prompt.with_name("proposal.json")
        tell(told, {"role": "propose", "experiment": number, "prompt": str(prompt)})
        env = {name: value for name, value in os.environ.items() if name not in _HELD_BACK}
        env |= {sandbox.VARIABLE: str(told), "PWD": str(folder)}
        if self._handed:
            key = secrets.api_key()
            if key is None:
                raise Unable(f"{_HANDED}: there is no key to hand on", secrets.missing())
            env[secrets.VARIABLE] = key
        return env

    def _wait_after_failures(self, desk: Desk) -> None:
        """A program that fails is asked again ever later: a limit of its server's is over some time."""
        if not self._failures:
            return
        name = Path(self._words[0]).name
        if self._failures >= FAILURES_IN_A_ROW:
            failures, self._failures = self._failures, 0
            raise Unable(f"{name} failed {failures} times in a row", f"try it by hand: {self._name}")
        seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (self._failures - 1))
        times = "once" if self._failures == 1 else f"{self._failures} times"
        if not desk.wait(seconds, f"{name} failed {times}: again"):
            raise CalledOff

    def _details(self, ended: Ended, dropped: list[str]) -> dict[str, Any]:
        words = ended.words
        details: dict[str, Any] = {"agent": self._name, "unconfined": True, "seconds": round(ended.seconds, 1)}
        details["dropped"] = named(dropped)
        if words.dollars is not None:
            details["dollars"] = words.dollars
        if words.usage is not None:
            details["tokens"] = words.usage.tokens
        return details

    def _missing(self) -> str:
        word = self._words[0]
        if "/" in word and os.path.isfile(os.path.expanduser(word)):
            return f"{word} is not executable; make it so with: chmod +x {shlex.quote(word)}"
        return f"{word}: no such program"


def absolute(command: str) -> str:
    """The command as a run records it: a program given by a relative path is that of the folder it is typed in."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command  # refused where it is made
    at = 1 if words[:1] == [_HANDED] else 0
    program = os.path.expanduser(words[at]) if len(words) > at else ""
    if "/" not in program or not Path(program).is_file():
        return command  # from PATH, or one of the task's own files
    words[at] = str(Path(program).absolute())
    return shlex.join(words)


def prompt_text(request: Request) -> str:
    """All that the program is told."""
    artifact = ", ".join(request.sources)
    parts = [
        "You do research on a program: propose the next experiment by editing its source.",
        request.program,
        request.contract,
        _crash(request.crash) if request.crash else "",
        f"""# How to answer

You work in a private copy of the task, a git repository of its own; the artifact is as shown above. Make one
experiment's change by editing {artifact} in the current folder, and nothing else: whatever else you change is dropped.
Do not train or evaluate, do not ask, do not wait; autoresearch runs the experiment when you have ended. End with a
short message: why this should help, and then one last line that begins with {ASKED} and names the change in at most
100 characters, like

{ASKED} warm-down 0.4 → 0.6""",
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _crash(crash: Crash) -> str:
    return f"The experiment crashed ({crash.reason}); repair it. The end of its log:\n\n{crash.log_tail}"


def _seconds(given: Any) -> float:
    if given is None:
        return LIMIT_SECONDS
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1e6:
        raise UsageError(f"seconds must be a number of seconds above 0, not {given!r}")
    return float(given)
