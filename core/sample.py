"""The trained model of an experiment continues a text: a child process of the backend's says it piece by piece.

The child imports the artifact, so nothing it says is believed: its pieces are made harmless before anybody sees them.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from core import sandbox
from core.backend_choice import BACKENDS
from core.best import Pick, checkpoint
from core.channel import Channel, Overflow
from core.errors import RunFailed, UsageError
from core.facts import fact
from core.log import crash_reason, plain, plain_tail
from core.rescore import Bench, bench
from core.trial import tell

_POLL_SECONDS = 0.5
_LONGEST_TAIL = 64 * 1024


@fact
class Wish:
    """What the user wants continued. temperature 0: always the likeliest token."""

    text: str
    tokens: int
    temperature: float
    seed: int


def sample(pick: Pick, wish: Wish, device: str, progress: Callable[[str], None]) -> Generator[str, None, str]:
    """Pieces of the continuation as they come; returns why it ended: "tokens" or "end" (of the model's text).

    Raises UsageError (no checkpoint, no sampler, the device is in use), RunFailed where the model cannot answer.
    """
    backend = pick.run.backend
    if backend not in BACKENDS:
        raise UsageError(f"task {pick.task.name} has no sampler: only the reference GPT's models continue a text")
    model = checkpoint(pick)
    with bench(pick, model, device, ("sample",), progress) as place:
        child = _Child([sys.executable, "-P", "-m", f"backends.{backend}", "sample"], place, wish)
        try:
            return (yield from child.pieces())
        finally:
            child.close()


class _Child:
    """The living process: its control socket takes pieces, its log is looked at only when it fails."""

    def __init__(self, argv: list[str], place: Bench, wish: Wish) -> None:
        self._channel, self._log, self._folder = Channel(), place.folder / "log", place.folder
        self._most = wish.tokens + 1  # pieces: one a token at most, and what was held back of a character
        theirs = self._channel.theirs.fileno()
        told = {
            **place.told,
            "role": "sample",
            "seed": wish.seed,
            "prepared": {"tokenizer": place.prepared["tokenizer"]},
            "sample": {"text": wish.text, "tokens": wish.tokens, "temperature": wish.temperature},
            "control": theirs,
        }
        trial_file = place.folder / "trial.json"
        tell(trial_file, told)
        env = sandbox.environment(trial_file)
        with open(self._log, "wb") as output, self._channel.theirs:
            self._process = sandbox.spawn(
                argv, cwd=place.checkouts[0], env=env, pass_fds=(theirs,), output=output.fileno()
            )

    def pieces(self) -> Generator[str, None, str]:
        came = 0
        while not self._channel.closed and came <= self._most:
            select.select([self._channel.socket], [], [], _POLL_SECONDS)
            try:
                for message in self._channel.messages():
                    match message.get("type"):
                        case "text" if (came := came + 1) > self._most:
                            raise RunFailed("the model says more than it was asked for; its artifact is not honest")
                        case "text":
                            yield plain(str(message.get("text")).replace("\r", ""))
                        case "done":
                            return str(message.get("reason"))
                        case "failed":
                            raise RunFailed(f"the model cannot continue a text: {_one_line(message.get('detail'))}")
            except Overflow:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_POLL_SECONDS)
        why = crash_reason(_tail(self._log), self._process.poll() or 0)
        raise RunFailed(f"the model stopped in the middle of its answer: {why}")

    def close(self) -> None:
        self._channel.close()
        sandbox.kill_tree(self._process)
        self._process.wait()
        sandbox.sweep(self._folder)


def _one_line(detail: object) -> str:
    """The last line of a traceback says most."""
    lines = plain(str(detail)).strip().splitlines() or ["it does not say why"]
    return lines[-1][:300]


def _tail(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST_TAIL))
        return plain_tail(file.read())
