"""What the tests of the agent `command` share: a request at a real repository, and small programs that stand for it."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from conftest import TOY_SOURCE, TOY_TASK, commit_all

from core.agents import Crash, Request
from core.agents.command import CommandAgent
from core.desk import Paper
from core.events import RunStarted
from core.experiment import Proposal
from core.history import History

BETTER = "sed -i.old s/0.5/0.4/ train.py && rm train.py.old\n"
SPOKEN = "echo 'Half as far off.'; echo 'DESCRIPTION: RATE 0.5 → 0.4'\n"


class Desk(Paper):
    """A desk whose workspace is a repository, and which can be told to stop."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._workspace = workspace
        self.stops: Callable[[], bool] = lambda: False

    @property
    def workspace(self) -> Path:
        return self._workspace

    @property  # type: ignore[override]
    def stopping(self) -> bool:
        return self.stops()

    @stopping.setter
    def stopping(self, value: bool) -> None:
        self.stops = lambda: value


def workspace(folder: Path, files: Mapping[str, str] | None = None, task_folder: str = "") -> RunStarted:
    """A repository with the toy task in `task_folder` and other files. Returns the run that begins at its commit."""
    task = folder / task_folder
    task.mkdir(parents=True)
    (task / "task.toml").write_text(TOY_TASK)
    (task / "train.py").write_text(TOY_SOURCE)
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    base = commit_all(folder)
    read = tomllib.loads(TOY_TASK)
    return RunStarted(
        "t", str(folder), task_folder, read, "", "cpu", "command:x", 0, base, "", {}, 5.0, None, None, ""
    )  # fmt: skip


def request(
    tmp_path: Path, run: RunStarted | None = None, sources: Mapping[str, str] | None = None, crash: Crash | None = None
) -> Request:
    """What the agent is asked, on a desk of its own."""
    run = run or workspace(tmp_path / "toy")
    number = len(list(tmp_path.glob("desk-*")))
    desk = Desk(tmp_path / f"desk-{number}", Path(run.workspace))
    given = {"train.py": TOY_SOURCE} if sources is None else sources
    return Request(1, given, "Make it better.", History(run=run), "min", lambda edits: True, desk, crash=crash)


def script(folder: Path, body: str, name: str = "agent", line: str = "#!/bin/sh") -> Path:
    """An executable program."""
    path = folder / name
    path.write_text(f"{line}\n{body}")
    path.chmod(0o755)
    return path


def python(folder: Path, body: str) -> Path:
    """The same in Python, without the user's site-packages: it starts at once."""
    return script(folder, body, line=f"#!{os.path.realpath(sys.executable)} -IS")


def propose(tmp_path: Path, body: str, asked: Request | None = None, seconds: float = 60.0) -> Proposal:
    """What the agent makes of a shell script."""
    agent = CommandAgent(str(script(tmp_path, body)), {"seconds": seconds})
    return agent.propose(asked or request(tmp_path))
