"""Show a run in the viewer that was asked for, and do what Ctrl-C in it means."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from core import control
from core.errors import EngineUnreachable, UsageError
from core.launch import Options, command_for

if TYPE_CHECKING:
    from tui.app import Left

INTERRUPTED = 130  # the exit code


def watch(folder: Path, *, plain: bool, as_json: bool, new: bool) -> int:
    """Show a run in the viewer that was asked for, until it ends or the viewer leaves."""
    if terminal() and not (plain or as_json):
        gc.disable()  # until the first painting is there: see RunWindow
        from tui import report
        from tui.feed import read_ahead

        ahead = read_ahead(folder)
        from tui.app import run_cockpit

        if new and (started := report.history(folder).run):
            for line in (*started.notes, started.plan):
                say(line)
        return _left(folder, run_cockpit(folder, new=new, ahead=ahead))
    from tui.plain import follow

    try:
        return follow(folder, out=sys.stdout, as_json=as_json, from_start=new or as_json)
    except KeyboardInterrupt:
        return _interrupt(folder)


def start(options: Options | None) -> int:
    """Choose a run on a page, and show it: on the page of a new run that these flags fill in, or on the first page."""
    from tui.app import run_start
    from tui.screens.start import StartScreen
    from tui.screens.start_run import StartRunScreen

    here = Path.cwd() if options is None else Path(options.workspace)
    folder, left = run_start(StartScreen(here) if options is None else StartRunScreen(options), here)
    return 0 if folder is None else _left(folder, left)


def look(folder: Path, replay: float | None) -> int:
    """Show a recorded run without a hand on it; `replay`: as it happened, so many times faster."""
    if not terminal():
        from tui import report

        click.echo(report.status_text(folder))
        return 0
    gc.disable()  # until the first painting is there: see RunWindow
    from tui.feed import read_ahead

    ahead = read_ahead(folder) if replay is None else None
    from tui.app import run_cockpit

    left = run_cockpit(folder, new=False, read_only=True, replay=replay, ahead=ahead)
    if left.message:
        say_folded(left.message)
    return 0


def _left(folder: Path, left: Left) -> int:
    """Say the last words of a cockpit; the exit status is the run's."""
    from tui import report

    if left.message:
        say_folded(left.message)
    return 1 if report.failed(folder) else 0


def terminal() -> bool:
    """Whether somebody sits before a terminal that can show a cockpit."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def _interrupt(folder: Path) -> int:
    """Ctrl-C in a plain viewer stops the run, now; the engine lives in a session of its own and did not hear it."""
    try:
        say(f"{folder.name}: {control.send(folder, 'stop-now')}")
    except EngineUnreachable:
        return INTERRUPTED
    except UsageError:  # it has ended by itself just now
        pass
    limit = time.monotonic() + 30
    while control.alive(folder) and time.monotonic() < limit:
        time.sleep(0.05)
    say(f"go on with: {command_for(folder, 'resume')}")
    return INTERRUPTED


def say_folded(words: str) -> None:
    """Words for people; on a terminal no line ends within a word, nor within a command that is to be copied."""
    if not sys.stderr.isatty():
        say(words)
        return
    width = shutil.get_terminal_size().columns
    for line in folded_for_terminal(words, width):
        say(line)


def folded_for_terminal(words: str, width: int) -> list[str]:
    """The words in lines of at most so many cells, where no `command` is longer: that one the terminal folds."""
    lines = [""]
    for word in re.findall(r"[^\s`]*`[^`]*`[^\s`]*|\S+", words):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and cell_len(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def say(line: str) -> None:
    """A line about the run, not of it: on stderr, so that --json stays JSON."""
    click.echo(line, err=True)
