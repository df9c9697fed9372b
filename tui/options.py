"""What several commands share: their options, and which run is meant."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.errors import UsageError
from core.launch import demo_folder, find_run, find_workspace, runs
from tui.watch import say

F = TypeVar("F", bound=Callable[..., Any])

BUDGET = click.option("--budget", type=float, metavar="S", help="Training seconds of one trial.")
EXPERIMENTS = click.option(
    "--experiments", type=int, metavar="N", help="Stop after N experiments; 0: the baseline alone."
)
MORE = click.option(
    "--experiments", type=int, metavar="N", help="So many more; 0: only the further trials that were asked for."
)
HOURS = click.option(
    "--hours",
    type=float,
    metavar="H",
    help="Stop after H hours by the clock: waiting for a server counts, a pause does not.",
)
BACKEND = click.option(
    "--backend",
    metavar="B",
    callback=lambda context, option, name: name and name.lower(),
    help="cuda (PyTorch: NVIDIA, any CPU) or mlx (Apple Silicon); by the machine, or as the workspace was made.",
)
DEVICE = click.option("--device", default="auto", show_default=True, metavar="D", help="cuda, cuda:1, metal, mps, cpu.")
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    show_default=True,
    metavar="K",
    help="Seed of the agent, and of training: 42 + K.",
)
KEEP_CHECKPOINTS = click.option(
    "--keep-checkpoints", is_flag=True, help="Keep every checkpoint, not only those of kept and of recent experiments."
)
APPROVE = click.option("--approve", is_flag=True, help="Let every proposal wait for your yes.")
APPROVE_OR_NOT = click.option(
    "--approve/--no-approve", default=None, help="Whether every proposal waits for your yes.  [default: as it was]"
)
WORKSPACE = click.option(
    "--workspace", type=click.Path(path_type=Path), metavar="DIR", help="Where the run is.  [default: here]"
)


def _tags(context: click.Context, parameter: click.Parameter, beginning: str) -> list[str]:
    """The runs of the workspace that is meant, for the shell: folders are listed, nothing is read."""
    named = context.params.get("workspace")
    place = find_workspace(Path(named) if named else Path.cwd()) or find_workspace(demo_folder())
    return [folder.name for folder in reversed(runs(place)) if folder.name.startswith(beginning)] if place else []


TAG = click.argument("tag", required=False, shell_complete=_tags)


def viewer(command: F) -> F:
    """The two flags that choose a viewer other than the cockpit."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the journal's events as they happen.")(
        command
    )
    return click.option("--plain", is_flag=True, help="Print plain lines instead of the cockpit.")(command)


def find(workspace: Path | None, tag: str | None, *, here: bool = False) -> Path:
    """The run that is meant: of the workspace named, else of the one here, else, to look at, of the demo's.

    `here`: for what acts on a run, which is never done to one that the user may not have meant.
    """
    if workspace is not None:
        return find_run(find_workspace(workspace) or workspace, tag)
    found = find_workspace(Path.cwd())
    if found is None and find_workspace(demo_folder()) is not None:
        if here:
            mend = f"for the demo's add: --workspace {shlex.quote(str(demo_folder()))}"
            raise UsageError(f"{Path.cwd()}: no run here; {mend}")
        say(f"no run here; this is the demo's in {demo_folder()}")
        found = demo_folder()
    return find_run(found or Path.cwd(), tag)
