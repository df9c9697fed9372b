"""`autoresearch prepare` and `autoresearch data`: the backend's `data` verb at work in this terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from core.backend_choice import known_backend, remembered
from core.errors import UsageError
from tui.options import BACKEND, DEVICE
from tui.watch import INTERRUPTED

NAMED = ("stdlib", "climbmix")
_PATIENCE = ((2.0, signal.SIGINT), (10.0, signal.SIGKILL))  # seconds to end in, and what comes then

DATASET = click.option("--dataset", metavar="D", help="stdlib, climbmix, or your own text: a folder or file.")
SHARDS = click.option("--shards", type=click.IntRange(1), metavar="N", help="Training shards of climbmix; 10.")


@click.command()
@click.option("--dataset", required=True, metavar="D", help="stdlib, climbmix, or your own text: a folder or file.")
@SHARDS
@click.option("--profile", default="auto", show_default=True, metavar="P", help="Whose sizes the rows are made for.")
@DEVICE
@BACKEND
def prepare(dataset: str, shards: int | None, profile: str, device: str, backend: str | None) -> int:
    """Download, tokenise and pack a data set, ahead of the run that would do it.

    Interrupt it at any moment: the same command goes on from there.
    """
    words = ["--dataset", absolute(dataset), "--profile", profile, "--device", device]
    return _verb(
        backend or remembered(Path.cwd()), "prepare", *words, *([] if shards is None else ["--shards", str(shards)])
    )


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def data(context: click.Context, as_json: bool) -> int:
    """What is downloaded and prepared, data set by data set: text, tokens and rows.

    Without a command: the list of it, with sizes, when each was last used, and its key.
    """
    if context.invoked_subcommand is not None:
        return 0
    return _verb(None, "list", *(["--json"] if as_json else []))


@data.command()
@click.argument("name", metavar="NAME|KEY")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> int:
    """Free what a data set takes, or the one thing of this key. Your own files stay where they are."""
    return _verb(None, "remove", *(["--yes"] if yes else []), "--", name)


def absolute(dataset: str) -> str:
    """A data set by its name, or the absolute path of the user's own. Raises UsageError for neither."""
    if dataset in NAMED:
        return dataset
    path = Path(os.path.abspath(Path(dataset).expanduser()))
    if not dataset or not path.exists():
        mend = "use stdlib, climbmix, or the path of a folder or file (.parquet, .jsonl, .txt)"
        raise UsageError(f"--dataset {dataset}: no such data set, and nothing at {path}; {mend}")
    return str(path)


def _verb(backend: str | None, *words: str) -> int:
    """Run the verb with this terminal as its own and return its exit status; it says its errors itself."""
    argv = [sys.executable, "-P", "-m", f"backends.{known_backend(backend)}", "data", *words]
    from core.sandbox import die_with_parent  # here: completing a command line does without it

    def as_our_child() -> None:
        # A terminal interrupts both of us: the child turns a deaf ear until it can answer with a line of its own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with_parent()  # half-done work is gone on with

    child = subprocess.Popen(argv, preexec_fn=as_our_child)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        return _end(child)
    return code if code >= 0 else 128 - code


def _end(child: subprocess.Popen[bytes]) -> int:
    """An interrupt: the child's own end, or, where it hears nothing, ours."""
    for seconds, sent in _PATIENCE:
        try:
            child.wait(seconds)
            break
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.send_signal(sent)
    if child.wait() != INTERRUPTED:
        click.echo("autoresearch: interrupted", err=True)
    return INTERRUPTED
