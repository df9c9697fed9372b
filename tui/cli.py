"""The `autoresearch` command. Every word here is a contract with scripts and fingers: add, do not rename."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core import control, secrets
from core.errors import AutoresearchError, UsageError
from core.launch import Options, demo_folder, find_run, find_workspace, launch
from tui import steering, text
from tui.agent_flags import AGENT, DRY_RUN, FLAGS, agent_options, model_flags, need_key
from tui.best import best, completion
from tui.confirm import confirm
from tui.data import data, prepare
from tui.evaluate import evaluate
from tui.init import init
from tui.key import key
from tui.options import (
    APPROVE,
    APPROVE_OR_NOT,
    BACKEND,
    BUDGET,
    DEVICE,
    EXPERIMENTS,
    HOURS,
    KEEP_CHECKPOINTS,
    MORE,
    SEED,
    TAG,
    WORKSPACE,
    find,
    viewer,
)
from tui.recorded import import_run, open_run
from tui.status import status
from tui.tune import tune
from tui.watch import INTERRUPTED, say, start, terminal, watch
from tui.web.command import web

DEMO_EXPERIMENTS_OFF_A_TERMINAL = 6


def main() -> None:
    """Run the command; errors of the user's are one line, exit 2; interrupts are 130, 143 for a plain kill."""
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # temporary folders go, children end
    secrets.seclude()  # an editor, a pager, a backend's check have no use for it
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except AutoresearchError as error:
        click.echo(f"autoresearch: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has left
        sys.exit(0)
    except OSError as error:  # a full disk behind a redirection
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"autoresearch: {where}{error.strerror or error}", err=True)
        sys.exit(1)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="autoresearch-tui", prog_name="autoresearch")
@click.pass_context
def cli(context: click.Context) -> int:
    """Research while you sleep: an agent edits one file, a fixed budget scores it, git keeps what improved.

    Without a command: the cockpit of the latest run here; where there is none, a page to begin on.
    """
    if context.invoked_subcommand is not None:
        return 0
    workspace = find_workspace(Path.cwd()) or _demo_to_show()
    if workspace is not None:
        return watch(find_run(workspace, None), plain=False, as_json=False, new=False)
    _need_terminal()
    return start(None)


@cli.command()
@viewer
@EXPERIMENTS
@BACKEND
@DEVICE
@BUDGET
@SEED
@KEEP_CHECKPOINTS
@APPROVE
@AGENT
@model_flags
def demo(plain: bool, as_json: bool, budget: float | None, **wish: Any) -> int:
    """Watch an agent improve a small GPT, now: a workspace of its own, 15 s a trial, nothing to download."""
    if wish["experiments"] is None and not sys.stdout.isatty():
        wish["experiments"] = DEMO_EXPERIMENTS_OFF_A_TERMINAL
    given = _with_agent(Options(workspace=str(demo_folder()), train_seconds=budget), wish)
    from tui import starting

    return watch(launch(starting.demo(say, given), say), plain=plain, as_json=as_json, new=True)


@cli.command()
@viewer
@WORKSPACE
@click.option("--task", metavar="T", help="The folder of task.toml, where it is not the workspace or its backend's.")
@click.option("--tag", metavar="TAG", help="The run's name, and its branch autoresearch/TAG; the date.")
@BACKEND
@DEVICE
@AGENT
@model_flags
@SEED
@BUDGET
@EXPERIMENTS
@HOURS
@KEEP_CHECKPOINTS
@APPROVE
@DRY_RUN
@click.option("--ask", is_flag=True, help="Choose on a page first, which the other flags fill in.")
def run(
    plain: bool, as_json: bool, workspace: Path | None, budget: float | None, ask: bool, dry_run: bool, **wish: Any
) -> int:
    """Start a run: experiments on this workspace's task until you stop it."""
    options = Options(workspace=str(workspace or Path.cwd()), train_seconds=budget)
    options = _with_agent(options, wish, keyless=ask or dry_run)
    if dry_run:
        from tui.dry_run import show

        return show(options)
    if ask:
        if plain or as_json or not terminal():
            raise UsageError("--ask needs a terminal, for the page on which the run is chosen; leave it out here")
        return start(options)
    return watch(launch(options, say), plain=plain, as_json=as_json, new=True)


@cli.command()
@TAG
@viewer
@WORKSPACE
@MORE
@HOURS
@KEEP_CHECKPOINTS
@APPROVE_OR_NOT
@model_flags
def resume(tag: str | None, plain: bool, as_json: bool, workspace: Path | None, **wish: Any) -> int:
    """Make a run go on: a paused one, a stopped one, a killed one. --experiments and --hours give it that much more;
    --max-dollars and --max-tokens are new caps in all, what it has spent included."""
    folder = find(workspace, tag, here=True)
    if control.alive(folder):
        return steering.go_on(folder, wish)
    steering.refuse_imported(folder)
    from tui import report

    h = report.history(folder)
    wish["agent"] = h.run.agent if h.run else "search"
    options = Options(workspace=str(folder.parent.parent), resume=folder.name)
    told = h.engine.agent_options if h.engine else {}
    options = _with_agent(options, wish, keyless=wish["experiments"] == 0, before=told)
    return watch(launch(options, say), plain=plain, as_json=as_json, new=False)


@cli.command()
@TAG
@WORKSPACE
def results(tag: str | None, workspace: Path | None) -> int:
    """All experiments in a table; off a terminal as tab-separated values, in the original's columns."""
    from tui import report

    folder = find(workspace, tag)
    click.echo(report.results_table(folder) if sys.stdout.isatty() else report.results(folder), nl=False)
    return 0


@cli.command()
@click.argument("number", required=False)
@TAG
@WORKSPACE
def diff(number: str | None, tag: str | None, workspace: Path | None) -> int:
    """What experiment NUMBER changed; without it, the one that waits or is under way, else the newest."""
    from tui import report

    if number is not None and tag is None and not number.isdecimal():
        number, tag = None, number
    if number is not None and not number.isdecimal():
        raise UsageError(f"{number}: not the number of an experiment")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    words = report.diff(find(workspace, tag), None if number is None else int(number))
    for line in text.clean_lines(words) if sys.stdout.isatty() else words.splitlines():
        click.secho(line, fg=colours.get(line[:1]))
    return 0


@cli.command()
@TAG
@WORKSPACE
@click.option("--after", is_flag=True, help="Let the trial under way finish first.")
def pause(tag: str | None, workspace: Path | None, after: bool) -> int:
    """Hold the run: its trial stops at the next step and its clock with it."""
    return steering.command(find(workspace, tag, here=True), "pause-after" if after else "pause")


@cli.command()
@TAG
@WORKSPACE
def skip(tag: str | None, workspace: Path | None) -> int:
    """End the trial under way and discard its experiment."""
    return steering.command(find(workspace, tag, here=True), "skip")


@cli.command()
@TAG
@WORKSPACE
@click.option("--now", is_flag=True, help="Do not wait for the experiment under way; it runs again on resume.")
def stop(tag: str | None, workspace: Path | None, now: bool) -> int:
    """Stop the run after the experiment under way."""
    return steering.command(find(workspace, tag, here=True), "stop-now" if now else "stop")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> int:
    """What works here, what is missing, and the mend."""
    from tui import doctor as examination

    findings = examination.examine(Path.cwd())
    click.echo(json.dumps(findings) if as_json else examination.text(findings))
    return 1 if any(f["state"] == "missing" for f in findings) else 0


for command in (
    *steering.COMMANDS, init, status, prepare, data, best, confirm, evaluate, tune, key, open_run, import_run, web,
    completion,
):  # fmt: skip
    cli.add_command(command)


# --- what they share -----------------------------------------------------------------------------------------------


def _with_agent(
    options: Options, wish: dict[str, Any], *, keyless: bool = False, before: Mapping[str, Any] | None = None
) -> Options:
    """The options with what the flags say of the agent, and all else they say. `keyless`: nothing is called yet;
    `before`: what its agent was told already."""
    given = {name: wish.pop(name) for name in FLAGS}
    told = agent_options(wish["agent"], given)
    if not keyless:
        need_key(wish["agent"], {**(before or {}), **told})
    return replace(options, agent_options=told, **wish)


def _demo_to_show() -> Path | None:
    """The demo's workspace, where it is what `autoresearch` comes back to: on a terminal only while it goes on, for
    otherwise the page to begin on offers it beside what can be begun here."""
    found = find_workspace(demo_folder())
    return found if found and (not terminal() or control.alive(find_run(found, None))) else None


def _need_terminal() -> None:
    if not terminal():
        raise UsageError(
            "no run here yet; start one with: autoresearch demo, or: autoresearch init (--own: for a task of your own) "
            "and autoresearch run"
        )
