"""One short trial of a train.py on random tokens, with us in the engine's place (docs/architecture.md).

It measures speed and memory of any edit, for it asks nothing of the file but that it trains through the harness.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core import sandbox

_MESSAGE_BYTES = 65_536
_OVERTIME_SECONDS = 15.0  # beyond the deadline, for the last step of a trial that has begun to train
_ROWS_PASSES = 4  # so many passes of random rows are written, then they come again


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: the files of `folder` with this train.py in place of its own, until `deadline` (monotonic)."""

    folder: Path
    source: str
    device: str
    settings: Mapping[str, int]  # sequence_length, vocab_size
    rows: int  # a pass
    train_seconds: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial said and when, on our clock: (seconds, steps done), the first of them READY with 0 steps."""

    steps: tuple[tuple[float, int], ...] = ()
    memory_mb: float = 0.0
    mfu: float | None = None
    trouble: str = ""


def rehearse(order: Order, scratch: Path) -> Report:
    """Run it to its end in the folder `scratch`, which is ours alone. Nothing of it is left running."""
    tree = scratch / "tree"
    shutil.copytree(order.folder, tree, ignore=shutil.ignore_patterns(".git", ".autoresearch", "__pycache__"))
    (tree / "train.py").write_text(order.source, encoding="utf-8")
    rows = scratch / "rows.npy"
    shape = (_ROWS_PASSES * order.rows, order.settings["sequence_length"] + 1)
    np.save(rows, np.random.default_rng(0).integers(order.settings["vocab_size"], size=shape, dtype=np.uint16))
    ours, theirs = socket.socketpair()
    with ours, (scratch / "log").open("wb") as log:
        with theirs:
            trial_file = scratch / "trial.json"
            trial_file.write_text(json.dumps(_told(order, scratch, theirs.fileno())), encoding="utf-8")
            process = sandbox.spawn(
                [sys.executable, "train.py"],
                cwd=tree,
                env=sandbox.environment(trial_file),
                pass_fds=(theirs.fileno(),),
                output=log.fileno(),
            )
        try:
            return _Listener(order, ours, rows).report(scratch / "log")
        finally:
            sandbox.kill_tree(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10.0)
            sandbox.sweep(scratch)


def _told(order: Order, scratch: Path, control: int) -> dict[str, Any]:
    left = max(order.deadline - time.monotonic(), 1.0)
    return {
        "role": "train",
        "experiment": 0,
        "trial": 1,
        "device": order.device,
        "seed": 42,
        "budget": {"train_seconds": order.train_seconds, "startup_seconds": left, "timeout_seconds": left},
        "settings": dict(order.settings),
        "control": control,
        "checkpoint": str(scratch / "checkpoint.safetensors"),
    }


@dataclass(slots=True)
class _Listener:
    """Our end of the control socket."""

    order: Order
    control: socket.socket
    rows: Path
    steps: list[tuple[float, int]] = field(default_factory=list)
    memory_mb: float = 0.0
    mfu: float | None = None
    trouble: str = ""
    over: bool = False

    def report(self, log: Path) -> Report:
        """Listen until the trial is done, fails, ends, or the time is over."""
        unread = b""
        while not self.over:
            limit = self.order.deadline + (_OVERTIME_SECONDS if len(self.steps) > 1 else 0.0)
            self.control.settimeout(max(limit - time.monotonic(), 0.01))
            try:
                chunk = self.control.recv(_MESSAGE_BYTES)
            except TimeoutError:
                break
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self.trouble = _last_line(log)
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # an edit may write there what it likes
                    self._take(json.loads(line))
        return Report(tuple(self.steps), self.memory_mb, self.mfu, self.trouble)

    def _take(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "ready":
                self.steps.append((time.monotonic(), 0))
                with self.rows.open("rb") as file:
                    socket.send_fds(self.control, [b'{"type": "go"}\n'], [file.fileno()])
            case "step":
                self.steps.append((time.monotonic(), int(message["step"])))
                self.memory_mb = max(self.memory_mb, float(message["memory_mb"]))
                self.mfu = message["mfu"]
            case "failed":
                oom = message["reason"] == "oom"
                said = str(message["detail"]).splitlines()[:1]
                self.trouble = "out of memory" if oom else f"{message['reason']}: {''.join(said)}"
                self.over = True
            case "done":
                self.memory_mb = message["summary"]["peak_memory_mb"] or self.memory_mb
                self.over = True


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = "".join(c for c in lines[-1] if c.isprintable())[:200] if lines else ""
    return said or "it ended without a word"
