"""`autoresearch open` and `import`: runs that somebody else made, to look at."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from core.errors import UsageError
from core.launch import RUNS, find_run, find_workspace
from tui.watch import look, say


@click.command("open")
@click.argument("path", type=click.Path(path_type=Path), default=Path("."), metavar="[PATH]")
@click.option("--replay", metavar="60x", help="Show it as it happened, so many times faster.")
def open_run(path: Path, replay: str | None) -> int:
    """Look at a recorded run: its folder, its journal, or a workspace (the latest there). Nothing can be changed."""
    return look(recorded(path), speed(replay) if replay else None)


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path), default=Path("."), metavar="[PATH]")
@click.option("--tag", default="imported", show_default=True, metavar="TAG", help="What the run is called here.")
def import_run(path: Path, tag: str) -> int:
    """Read a checkout of the original (its results.tsv, and its commits) and look at it as a run."""
    from core.imported import import_run as read_in
    from core.tags import check_tag

    check_tag(tag)
    folder = read_in(path.absolute(), tag)
    status = look(folder, None)
    say(f"imported into {folder}; look again with: autoresearch open {shlex.quote(str(folder))}")
    return status


def recorded(path: Path) -> Path:
    """The run folder that a path means. Raises UsageError."""
    if path.name == "journal.jsonl" and path.is_file():
        return path.parent
    if (path / "journal.jsonl").is_file():
        return path
    if path.is_dir() and (workspace := find_workspace(path)):
        return find_run(workspace, None)
    raise UsageError(f"{path}: no run there; name a run folder (…/{RUNS}/TAG), its journal.jsonl, or a workspace")


def speed(words: str) -> float:
    """`60x` or `60` as a number. Raises UsageError."""
    try:
        value = float(words.removesuffix("x"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise UsageError(f"--replay {words}: how many times faster; for example 60x")
    return value
