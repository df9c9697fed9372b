"""The measurement of a trial: by the task's trusted evaluate command, or, labelled, by what the artifact itself said.

The command runs in an empty folder of ours. It gets the checkpoint and two fresh checkouts, never the folder in which
the artifact ran, and it answers with one JSON file that is checked here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from core import sandbox, standstill
from core.channel import Channel, finite
from core.control import Control
from core.facts import fact
from core.log import plain, plain_tail
from core.task import Metric
from core.trial import End, tell

_POLL_SECONDS = 0.1
_REASONS = ("nan", "no checkpoint", "bad checkpoint", "serve failed")


@fact
class Answer:
    """What evaluation came to. `value` is there if and only if `end` is "done"."""

    end: End
    reason: str = ""
    detail: str = ""
    value: float = float("nan")
    findings: Mapping[str, Any] = field(default_factory=dict)


class Evaluation:
    """One evaluate command: started (early, perhaps), told to go, waited for, ended."""

    def __init__(self, argv: list[str], folder: Path, told: Mapping[str, Any], log: Path) -> None:
        """`folder` is ours alone; `told` is the content of the trial file, but for `control` and `answer`."""
        self._argv, self._folder, self._told, self._log = argv, folder, told, log
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""

    def start(self) -> None:
        """Start the command, which then waits for `go`."""
        empty = self._folder / "empty"
        empty.mkdir(parents=True, exist_ok=True)
        trial_file = self._folder / "trial.json"
        self._channel = Channel()
        theirs = self._channel.theirs.fileno()
        tell(trial_file, {**self._told, "answer": str(self._folder / "measurement.json"), "control": theirs})
        self._log.parent.mkdir(parents=True, exist_ok=True)
        env = sandbox.environment(trial_file)
        with open(self._log, "wb") as output, self._channel.theirs:
            try:
                self._process = sandbox.spawn(
                    self._argv, cwd=empty, env=env, pass_fds=(theirs,), output=output.fileno()
                )
            except OSError as error:
                self._failure = f"{error.strerror}: {self._argv[0]}"
                self._channel.close()

    def finish(self, control: Control, limit_seconds: float) -> Answer:
        """Say go (starting it first where it was not early), wait for the answer and check it.

        A pause waits until evaluation is over: it takes seconds and nothing is trained in it.
        """
        if self._process is None and not self._failure:
            self.start()
        if self._process is None:
            return Answer("crash", f"evaluate cannot be started: {self._failure}")
        self._channel.go()
        deadline = time.monotonic() + limit_seconds
        with sandbox.end_of(self._process) as ended, contextlib.closing(standstill.Watch(0.0)) as watch:
            while self._process.poll() is None:
                select.select([control.wake.fileno(), *ended], [], [], _POLL_SECONDS)
                control.calm()
                deadline += watch.looked()  # it was stopped with us: its time is no part of the score
                if control.stopping_now:
                    return Answer("void", "stopped by the user")
                if control.take_skip():
                    return Answer("skipped", "skipped")
                if time.monotonic() > deadline:
                    return Answer("crash", f"timeout: evaluation was not over after {limit_seconds:.0f} s")
        return self._answer(self._process.returncode)

    @property
    def pids(self) -> set[int]:
        """The living process, if there is one."""
        return set() if self._process is None else {self._process.pid}

    def close(self) -> None:
        """End it and everything it started."""
        if self._process is None:
            return
        self._channel.close()
        sandbox.kill_tree(self._process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10.0)
        sandbox.sweep(self._folder)

    def _answer(self, code: int) -> Answer:
        try:
            if code != 0:
                raise ValueError
            said = json.loads((self._folder / "measurement.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            tail = plain_tail(self._log.read_bytes()) if self._log.is_file() else ""
            return Answer("crash", f"evaluate gave no answer (exit status {code})", tail)
        return check_answer(said)


def check_answer(said: object) -> Answer:
    """The content of measurement.json, held to its contract."""
    if not isinstance(said, dict):
        return Answer("crash", "evaluate gave no answer: its measurement.json holds no object")
    if "rejected" in said:
        return Answer("crash", f"rejected: {plain(str(said['rejected']))[:300]}")
    if "crash" in said:
        reason = str(said["crash"])
        reason = reason if reason in _REASONS else f"evaluate failed: {plain(reason)[:160]}"
        return Answer("crash", reason, plain(str(said.get("detail", "")))[-4000:])
    value = said.get("value")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return Answer("crash", "evaluate gave no answer: its measurement.json has no number under `value`")
    if not finite(value):
        return Answer("crash", "nan")
    findings = said.get("findings")
    return Answer("done", value=float(value), findings=findings if isinstance(findings, dict) else {})


def self_reported(metric: Metric, log: Path, folder: Path) -> Answer:
    """The value that the artifact itself printed last, or wrote: believed, and labelled so."""
    if metric.json is not None:
        return _from_json(metric, folder / metric.json)
    assert metric.pattern is not None
    printed = log.read_bytes() if log.is_file() else b""
    text = plain(printed.decode("utf-8", "replace"))
    found = re.findall(metric.pattern, text, re.MULTILINE)
    if not found:
        return Answer(
            "crash", f"no `{metric.name}` in its output; the pattern is {metric.pattern}", plain_tail(printed)
        )
    try:
        value = float(found[-1])
    except ValueError:
        return Answer("crash", f"`{metric.name}` is no number: {found[-1][:60]!r}")
    return Answer("done", value=value) if finite(value) else Answer("crash", "nan")


def _from_json(metric: Metric, path: Path) -> Answer:
    try:
        with _regular(path) as file:
            said = json.loads(file.read(1 << 20))
        value = said[metric.name]
    except (OSError, ValueError, KeyError, TypeError):
        return Answer("crash", f"no `{metric.name}` in {path.name}")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return Answer("crash", f"`{metric.name}` in {path.name} is no number")
    return Answer("done", value=float(value)) if finite(value) else Answer("crash", "nan")


def _regular(path: Path) -> Any:
    """Open a file that untrusted code left: no link, no pipe, no device. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")
