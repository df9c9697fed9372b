"""The user's own programs: the pager and the editor."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from tui import text


def pager() -> list[str]:
    """`$PAGER`, or less."""
    return shlex.split(os.environ.get("PAGER", "")) or ["less"]


def editor() -> list[str]:
    """`$VISUAL`, `$EDITOR`, or vi."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "") or ["vi"]


def run(app: App[Any], argv: list[str], said: bytes | None = None, folder: Path | None = None) -> str:
    """Give the terminal to a program until it ends; it reads `said`, if that is given. Returns what went wrong."""
    trouble = ""
    try:
        with app.suspend(), _deaf():
            try:  # in here: out of `suspend` nothing may be raised, or the terminal is not taken back
                subprocess.run(argv, input=said, cwd=folder)
            except OSError as error:
                trouble = error.strerror or str(error)
    except SuspendNotSupported:
        trouble = "there is no terminal to give to it here"
    return f"{argv[0]}: cannot be opened ({text.one_line(trouble)})" if trouble else ""


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is the other program's for now. Not by ignoring it: that would be passed on to it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
