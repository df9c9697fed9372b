"""The user's own programs: the pager and the editor."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from tui import text

_PLUS_LINE = ("vi", "vim", "nvim", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "mg", "joe")
_COLON_LINE = ("hx", "helix")


def pager() -> list[str]:
    """`$PAGER`, or less."""
    return shlex.split(os.environ.get("PAGER", "")) or ["less"]


def editor() -> list[str]:
    """`$VISUAL`, `$EDITOR`, or vi."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "") or ["vi"]


def editor_at(paths: Sequence[str], at: tuple[str, int] | None) -> list[str]:
    """The editor with these files, at this line of this one of them if it takes a line."""
    argv = editor()
    name = Path(argv[0]).name
    if at is None or name not in (*_PLUS_LINE, *_COLON_LINE):
        return [*argv, *paths]
    path, line = at
    first = [f"{path}:{line}"] if name in _COLON_LINE else [f"+{line}", path]
    return [*argv, *first, *(other for other in paths if other != path)]


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
