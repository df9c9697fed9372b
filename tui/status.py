"""`autoresearch status`: the state of a run, once or until it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tui.options import TAG, WORKSPACE, find

USUAL_SECONDS = 2


def _seconds(context: click.Context, option: click.Parameter, given: str | None) -> float | None:
    """A number of seconds; a tag in its place is told where it belongs."""
    try:
        seconds = float(given) if given is not None else None
    except ValueError:
        raise click.BadParameter(
            f"{given!r} is no number of seconds; a tag stands before: status TAG --watch"
        ) from None
    if seconds is not None and not 0.1 <= seconds <= 86400:
        raise click.BadParameter(f"{given} seconds; between 0.1 and 86400")
    return seconds


@click.command()
@TAG
@WORKSPACE
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--watch",
    "every",
    callback=_seconds,
    is_flag=False,
    flag_value=str(USUAL_SECONDS),
    metavar="[SECONDS]",
    help=f"Show it anew every {USUAL_SECONDS} seconds until the run ends; where the output is no terminal, a line "
    "whenever it has changed. Ctrl-C ends the watching alone.",
)
def status(tag: str | None, workspace: Path | None, as_json: bool, every: float | None) -> int:
    """What the run is doing, its best score, its counts."""
    from tui import report

    folder = find(workspace, tag)
    if every is not None:
        from tui.status_watch import watch_status

        return watch_status(folder, every, sys.stdout, as_json=as_json)
    click.echo(json.dumps(report.status(folder)) if as_json else report.status_text(folder))
    return 0
