"""A hand on the run from the command line: `steer`, `approval`, `approve`, `reject`, `again`; and how commands go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from core import control
from core.commands import Command, digest
from core.errors import EngineUnreachable, UsageError
from core.events import ApprovalAwaited
from core.history import History
from core.launch import Options, command_for, launch
from tui import report, text
from tui.asked import paused
from tui.going_on import as_typed_here, for_more
from tui.options import TAG, WORKSPACE, find
from tui.watch import say

PATIENCE_SECONDS = 10.0  # with an engine; to check a version of the user's takes it a moment


@click.command()
@click.argument("note", metavar='"NOTE"')
@TAG
@WORKSPACE
def steer(note: str, tag: str | None, workspace: Path | None) -> int:
    """Tell the agent something before its next proposal; - reads the note from standard input."""
    note = sys.stdin.read() if note == "-" else note
    return command(find(workspace, tag, here=True), "steer", text=note)


@click.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@TAG
@WORKSPACE
def approval(state: str, tag: str | None, workspace: Path | None) -> int:
    """Let every proposal wait for your yes, or none."""
    return command(find(workspace, tag, here=True), "approval-on" if state == "on" else "approval-off")


@click.command()
@TAG
@WORKSPACE
@click.option("--edit", is_flag=True, help="Change it first, in $VISUAL or $EDITOR.")
def approve(tag: str | None, workspace: Path | None, edit: bool) -> int:
    """Say yes to the proposal that waits. See what it changes with: autoresearch status, autoresearch diff N."""
    folder = find(workspace, tag, here=True)
    awaited, history = _waiting(folder)
    if edit:
        return _edit(folder, history, awaited)
    return command(folder, "approve", number=awaited.number, seen=digest(awaited.diff))


@click.command()
@TAG
@WORKSPACE
@click.option("--reason", "-m", default="", metavar='"WHY"', help="For the agent, which then proposes something else.")
def reject(tag: str | None, workspace: Path | None, reason: str) -> int:
    """Say no to the proposal that waits; it becomes no experiment."""
    folder = find(workspace, tag, here=True)
    awaited, _ = _waiting(folder)
    return command(folder, "reject", number=awaited.number, reason=reason, seen=digest(awaited.diff))


@click.command()
@click.argument("number", type=click.IntRange(0))
@TAG
@WORKSPACE
def again(number: int, tag: str | None, workspace: Path | None) -> int:
    """Run another trial of experiment NUMBER, with a fresh seed. Its verdict stays as it is. Of a run that is over: an
    engine starts for this trial alone."""
    folder = find(workspace, tag, here=True)
    if control.alive(folder):
        return command(folder, "again", number=number)
    refuse_imported(folder)
    launch(Options(str(folder.parent.parent), resume=folder.name, experiments=0, again=(number,)), say)
    click.echo(f"{folder.name}: an engine begins {text.one_line(report.history(folder).plan)}")
    return 0


def go_on(folder: Path, wish: Mapping[str, Any]) -> int:
    """`resume` of a run whose engine lives. Its limits are the engine's from its start on. Raises UsageError."""
    if any(given is not None and given is not False for name, given in wish.items() if name != "approve"):
        stands = "is paused" if paused(report.history(folder)) else "is going on"
        stop, more = command_for(folder, "stop"), "then say this again"
        raise UsageError(f"run {folder.name} {stands}; its limits can be changed when it has stopped: {stop}, {more}")
    if wish["approve"] is not None:
        command(folder, "approval-on" if wish["approve"] else "approval-off")
    return command(folder, "resume")


COMMANDS = (steer, approval, approve, reject, again)


def command(folder: Path, name: Command, **details: object) -> int:
    """Send a command to the engine of a run and print when it takes effect."""
    _need_engine(folder)
    try:
        effect = control.send(folder, name, PATIENCE_SECONDS, **details)
    except UsageError as refusal:
        raise UsageError(as_typed_here(str(refusal), folder)) from None
    click.echo(f"{folder.name}: {text.one_line(effect)}")
    return 0


def _need_engine(folder: Path) -> None:
    """Raises where no engine could obey: EngineUnreachable, or UsageError where none ever will."""
    if control.alive(folder):
        return
    refuse_imported(folder)
    h, resume = report.history(folder), command_for(folder, "resume")
    stands = {"done": "is done", "stopped": "was stopped", "failed": "has failed"}
    why = stands.get(h.ended.reason if h.ended else "", "has lost its engine")
    more = for_more(h.ended.message, h.run.agent if h.run else "", resume) if h.ended and why == "is done" else ""
    raise EngineUnreachable(
        f"run {folder.name} {why}, so there is nothing to control; {more or f'go on with: {resume}'}"
    )


def refuse_imported(folder: Path) -> None:
    """Raises UsageError for a run that no engine of ours began."""
    started = report.history(folder).run
    if started is not None and started.imported_from:
        raise UsageError(f"run {folder.name} is another program's, imported: nothing of it can go on here")


def _waiting(folder: Path) -> tuple[ApprovalAwaited, History]:
    _need_engine(folder)
    history = report.history(folder)
    proposed = history.waiting
    awaited = history.pending.awaited if history.pending else None
    if history.aside and history.aside.awaited:
        number, trial = history.aside.number, history.pending.number if history.pending else 0
        first = f"another trial of #{trial} runs first; #{number} waits for your answer after it"
        raise UsageError(f"no answer can be taken now: {first}")
    if proposed is None or awaited is None:
        turn = f"is off; {command_for(folder, 'approval on')} turns it on"
        on = "is on, so the next one will" if history.approval else turn
        raise UsageError(f"no proposal of run {folder.name} waits for an answer; approval {on}")
    say(f"#{proposed.number}: {text.one_line(proposed.description)}")
    return awaited, history


# --- an own version --------------------------------------------------------------------------------------------------


def _edit(folder: Path, history: History, awaited: ApprovalAwaited) -> int:
    """Send the user's own version; one that the engine refuses can be mended, and is never lost."""
    from tui.editing import Copies
    from tui.sources import Sources

    number, seen = awaited.number, digest(awaited.diff)
    try:
        files = Sources(folder).of(history, number)
    except (LookupError, ValueError, OSError) as error:
        raise UsageError(f"#{number}: its source cannot be read from the journal: {error}") from None
    copies = Copies()
    copy = copies.of(number, files, to_edit=True)
    try:
        while True:
            _run_editor(copy.places)
            edits: Mapping[str, str] = copy.changed()
            if not edits:
                mend = command_for(folder, "approve")
                raise UsageError(f"#{number} still waits: nothing was changed; approve it as it is with: {mend}")
            try:
                done = command(folder, "approve", number=number, edits=edits, seen=seen)
            except UsageError as refusal:
                say(text.one_line(str(refusal)))
                if not (sys.stdin.isatty() and click.confirm("edit it again?", default=True, err=True)):
                    raise UsageError(f"your version was not taken; it is kept in {copy.folder}") from None
                continue
            copies.settled(number)
            return done
    finally:
        copies.close()


def _run_editor(paths: list[str]) -> None:
    from tui.programs import editor

    argv = editor()
    try:
        status = subprocess.run([*argv, *paths]).returncode
    except OSError as error:
        raise UsageError(f"{argv[0]}: cannot be opened ({error.strerror or error}); set EDITOR") from None
    if status:
        raise UsageError(f"{argv[0]} ended with exit status {status}, so nothing was sent")
