"""`autoresearch init`: a workspace for the reference task, or for a task of the user's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from core.errors import UsageError
from tui.data import DATASET, SHARDS, absolute
from tui.options import BACKEND

_OWN = {"files": "--file", "command": "--command", "metric": "--metric", "pattern": "--pattern",
        "direction": "--direction", "seconds": "--budget"}  # fmt: skip
_REFERENCE = {"backend": "--backend", "profile": "--profile", "dataset": "--dataset", "shards": "--shards"}


@click.command()
@click.argument("folder", required=False, default=Path("."), type=click.Path(path_type=Path), metavar="[DIR]")
@BACKEND
@click.option("--profile", metavar="P", help="cpu, gpu-8gb … -80gb, mac-8gb … -64gb.  [default: auto]")
@DATASET
@SHARDS
@click.option("--own", is_flag=True, help="A task of your own instead, which the flags below describe.")
@click.option("--file", "files", multiple=True, metavar="F", help="What agents may edit; may be given again.")
@click.option("--command", metavar="C", help="What a trial runs.  [default: python F]")
@click.option("--metric", metavar="NAME", help="The number that it prints, as in `NAME: 0.5`.  [default: score]")
@click.option("--pattern", metavar="RE", help="How that is found in the output: a regular expression with one group.")
@click.option("--direction", type=click.Choice(["min", "max"]), help="Which way is better.  [default: min]")
@click.option("--budget", "seconds", type=click.FloatRange(0, min_open=True), metavar="S",
              help="Seconds after which a trial is cut.  [default: 300]")  # fmt: skip
def init(folder: Path, own: bool, **given: Any) -> int:
    """Make a workspace: program.md and the reference task, committed.

    \b
    A task of your own: a file to edit, a command to run, a number to read.
      autoresearch init --own --file solve.py --metric seconds --direction min
      autoresearch run
    In an empty folder `init --own` makes an example that runs as it stands.
    """
    described = {name: value for name, value in given.items() if name in _OWN and value not in (None, ())}
    others = {name: given[name] for name in _REFERENCE}
    if not (own or described):
        return _reference(folder, **others)
    if wrong := [flag for name, flag in _REFERENCE.items() if others[name] is not None]:
        whose = f"{_OWN[next(iter(described))]} describes" if described else "--own makes"
        raise UsageError(f"{wrong[0]} is of the reference task, and {whose} a task of your own; leave one out")
    from core.own_task import OwnTask, begin

    begin(folder, OwnTask(**described), click.echo)
    _start_with(folder)
    return 0


def _reference(folder: Path, backend: str | None, profile: str | None, dataset: str | None, shards: int | None) -> int:
    from core.scaffold import scaffold

    if shards is not None and dataset != "climbmix":
        raise UsageError("--shards goes with --dataset climbmix")
    text = dataset and absolute(dataset)
    scaffold(folder, backend, profile or "auto", "auto", text, shards, click.echo, lasting=True)
    click.echo(f"made {folder.absolute()}")
    _start_with(folder, "edit program.md, then ")
    return 0


def _start_with(folder: Path, first: str = "") -> None:
    there = "" if folder == Path(".") else f" --workspace {shlex.quote(str(folder))}"
    click.echo(f"{first}start with: autoresearch run{there}")
