"""The task's `prepare` command: data and device are made ready once per engine, before anything is journalled."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import sandbox
from core.errors import RunFailed, UsageError
from core.log import plain
from core.task import Task
from core.trial import tell

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|metal|mps")
BAD_INPUT = 2  # prepare's exit status for what the user has to mend

# prepare alone may fetch things, so it alone is told of the user's hub, proxies and certificates.
_NETWORK = re.compile(
    r"HF_\w+|HUGGING_FACE_HUB_TOKEN|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE", re.I
)


def prepare(
    task: Task, folder: Path, device: str, fingerprint: str | None, progress: Callable[[str], None]
) -> Mapping[str, Any]:
    """Run prepare in `folder` and return its answer. Without the command: what a task of the user's own needs.

    `fingerprint` is what a resumed run must find again. Raises UsageError with prepare's own last line.
    """
    if "prepare" not in task.commands:
        if not _DEVICE.fullmatch(device):
            raise UsageError(f"--device {device}: no such device; use auto, cpu, cuda, cuda:1, metal or mps")
        return {"device": "cpu" if device == "auto" else device, "settings": dict(task.settings), "fingerprint": ""}
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as scratch:
        answer = Path(scratch) / "prepared.json"
        told = {
            "role": "prepare",
            "experiment": 0,
            "trial": 0,
            "device": device,
            "seed": 0,
            "budget": {"train_seconds": task.budget.train_seconds},
            "settings": dict(task.settings),
            "control": None,
            "answer": str(answer),
            "fingerprint": fingerprint,
        }
        trial_file = Path(scratch) / "trial.json"
        tell(trial_file, told)
        code, last = _listen(task.command("prepare", folder), folder, _environment(trial_file), progress)
        if code == BAD_INPUT:
            raise UsageError(last)
        try:
            prepared: dict[str, Any] = json.loads(answer.read_bytes())
        except (OSError, ValueError):
            raise RunFailed(
                f"{task.name}: prepare failed with exit status {code}: {last or 'it said nothing'}"
            ) from None
    if fingerprint and prepared.get("fingerprint") != fingerprint:
        mend = "start a new run: autoresearch run"
        raise UsageError(f"the data or the tokenizer is not what this run began with; scores would not compare; {mend}")
    return prepared


def ready_device(prepared: Mapping[str, Any], folder: Path, progress: Callable[[str], None]) -> None:
    """What prepare's answer wants done once the device is ours: nothing, a refusal, or a command that gets it ready.

    Raises UsageError for a refusal. The command's failure is only said.
    """
    if prepared.get("refuse"):
        raise UsageError(str(prepared["refuse"]))
    if argv := prepared.get("warm"):
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as scratch:
            code, last = _listen(argv, folder, sandbox.environment(Path(scratch) / "warm.json"), progress)
        if code:
            progress(f"getting the device ready failed ({last or f'exit status {code}'}); trials do without")


def _listen(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], progress: Callable[[str], None]
) -> tuple[int, str]:
    """Run a command, pass its lines on as they come. Returns its exit status and its last line, which is kept back
    where the status says that it is a message for the user."""
    process = sandbox.spawn(argv, cwd=folder, env=env, output=subprocess.PIPE)
    last, told = "", True
    try:
        assert process.stdout is not None
        for line in _lines(process.stdout.fileno()):
            if not told:
                progress(last)
                told = True
            if text := plain(line.decode("utf-8", "replace")).strip():
                last, told = text, False
        code = process.wait()
        if not told and code != BAD_INPUT:
            progress(last)
    finally:
        sandbox.kill_tree(process)
        process.wait()
        if process.stdout:
            process.stdout.close()
    return code, last


def _lines(descriptor: int) -> Iterator[bytes]:
    """The lines that a process writes, and an empty one after a second in which it wrote none."""
    rest = b""
    while True:
        if not select.select([descriptor], [], [], 1.0)[0]:
            yield b""
            continue
        data = os.read(descriptor, 65536)
        if not data:
            yield from filter(None, [rest])
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _environment(trial_file: Path) -> dict[str, str]:
    network = {name: value for name, value in os.environ.items() if _NETWORK.fullmatch(name)}
    return {**network, **sandbox.environment(trial_file)}
