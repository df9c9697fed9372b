"""What the night was for: `best`; and the `completion` of all commands."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import get_completion_class

from core.backend_choice import BACKENDS
from core.control import alive
from core.errors import UsageError
from core.launch import Options, command_for, task_folder
from tui import agent_words
from tui.options import TAG, WORKSPACE, find
from tui.text import delta, exact, in_line, one_line, percent_change
from tui.watch import say

if TYPE_CHECKING:
    from core.best import Pick
    from core.experiment import Experiment

PAGE_COLUMNS = 80
PATIENCE_SECONDS = 2.0  # with a preparation that says nothing
SHELLS = ("bash", "zsh", "fish")
FILE = click.Path(path_type=Path)
EXPERIMENT = click.option("--experiment", type=int, metavar="N", help="Experiment N instead of the best.")


@click.command()
@TAG
@WORKSPACE
@EXPERIMENT
@click.option("--patch", is_flag=True, help="Print what it changed since the run began, for git apply.")
@click.option("--checkout", type=FILE, metavar="DIR", help="Make a workspace of its own from it, in a new folder.")
@click.option("--checkpoint", type=FILE, metavar="FILE", help="Copy the trained model (safetensors).")
@click.option("--force", is_flag=True, help="With --checkpoint: overwrite FILE.")
@click.option("--sample", metavar="TEXT", help="Let the trained model continue a text.")
@click.option("--tokens", type=click.IntRange(1, 100_000), metavar="N", help="With --sample: how many at most; 200.")
@click.option(
    "--temperature", type=click.FloatRange(0, 100), metavar="T", help="With --sample: 0 takes the likeliest; 0.8."
)
@click.option("--seed", type=click.IntRange(0, 2**31), metavar="K", help="With --sample: of the draws; 0.")
@click.option("--cpu", is_flag=True, help="With --sample: on the CPU, beside a run that has the device.")
def best(tag: str | None, workspace: Path | None, experiment: int | None, **asked: Any) -> int:
    """What the run came to: the best experiment, the way to it, its patch, its folder, its model.

    Without an option: a page about it.
    """
    from core import best as finished

    wanted = _one_of(asked)
    picked = finished.pick(find(workspace, tag), experiment)
    match wanted:
        case "patch":
            click.echo(finished.patch(picked).encode(), nl=False)  # as git has it, whatever the locale
        case "checkout":
            _check_out(picked, asked["checkout"])
        case "checkpoint":
            copied = finished.copy_checkpoint(picked, asked["checkpoint"], force=asked["force"])
            say(f"{asked['checkpoint']}: the model of {picked.label}, {copied / 1e6:.1f} MB")
        case "sample":
            _sample(picked, asked)
        case _:
            click.echo(page(picked))
    return 0


def _one_of(asked: dict[str, Any]) -> str | None:
    """Which of the four was asked for; None: the page. Raises UsageError for two, and for options of another."""
    wanted = [name for name in ("patch", "checkout", "checkpoint", "sample") if asked[name] not in (None, False)]
    if len(wanted) > 1:
        raise UsageError(f"--{wanted[0]} and --{wanted[1]}: one of them at a time")
    owners = {"force": "checkpoint", "tokens": "sample", "temperature": "sample", "seed": "sample", "cpu": "sample"}
    for name, owner in owners.items():
        if asked[name] not in (None, False) and wanted != [owner]:
            raise UsageError(f"--{name} goes with --{owner}")
    return wanted[0] if wanted else None


def _check_out(picked: Pick, folder: Path) -> None:
    from core.best import check_out

    check_out(picked, folder)
    task = picked.task
    say(f"{folder.absolute()}: {picked.label}, a workspace of its own; go on from it with:")
    elsewhere = task_folder(folder.resolve(), Options(str(folder))) != task.folder
    flag = f" --{'backend' if task.folder in BACKENDS else 'task'} {task.folder or '.'}" if elsewhere else ""
    say(f"  autoresearch run --workspace {shlex.quote(str(folder))}{flag}")
    for name in task.link:
        say(f"  not in git, so not there: {name}; link it from {picked.root / task.folder / name}")


def _sample(picked: Pick, asked: dict[str, Any]) -> None:
    """Print the text and what follows it, as it comes."""
    from core.sample import Wish, sample

    temperature = 0.8 if asked["temperature"] is None else asked["temperature"]
    wish = Wish(asked["sample"], asked["tokens"] or 200, temperature, asked["seed"] or 0)
    pieces = sample(picked, wish, "cpu" if asked["cpu"] else picked.run.device, progress())
    before = wish.text
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            click.echo(before)
            if end.value == "end":
                say("(here the model ended its text)")
            return
        click.echo(before + piece, nl=False)  # flushes
        before = ""


def progress() -> Callable[[str], None]:
    """Says what prepare does where that takes long: its rows are there, as a rule."""
    began = time.monotonic()
    return lambda line: say(line) if time.monotonic() - began > PATIENCE_SECONDS else None


# --- the page --------------------------------------------------------------------------------------------------------


def page(picked: Pick) -> str:
    """Which experiment, what it scored against the baseline, how it came about, where its model lies, what next."""
    from core.best import chain
    from tui.repeats import doubt, verdicts
    from tui.state import State

    e, h = picked.experiment, picked.history
    which: str = e.verdict.outcome
    if e.number == h.incumbent:
        which = "best so far" if alive(picked.folder) else "best"
    lines = [f"{which} of {picked.folder.name}: experiment {e.number}, {one_line(e.description)}"]
    lines += [f"  {line}" for line in _scores(picked)]
    of_the_best = e.number == h.incumbent
    lines += [f"  {line}" for line in (verdicts(h) if of_the_best else filter(None, [doubt(h, e)]))]
    lines += [f"  {said}"] if (said := agent_words.origin(e)) else []
    if e.number:
        lines.append("  the way there:")
        lines += [f"    {step}" for step in _way(chain(h, e), State(h).direction)]
    elif h.incumbent == 0:
        lines.append("  nothing was better than the artifact as the run found it")
    if picked.run.imported_from:
        lines.append(f"  imported from {one_line(picked.run.imported_from)}: there is no task to run, and no model")
    else:
        lines.append(f"  model ({device(picked)}): {_model(picked)}")
    lines += [f"  the run {line}" for line in agent_words.bill(h)[:1]]
    lines.append("")
    commands = _commands(picked, "" if e.number == h.incumbent else f" --experiment {e.number}")
    width = max(len(command) for command, _ in commands)
    if width + 2 + max(len(what) for _, what in commands) <= PAGE_COLUMNS:
        return "\n".join(lines + [f"{command:<{width}}  {what}" for command, what in commands])
    return "\n".join(lines + [f"{what}:\n  {command}" for command, what in commands])


def device(picked: Pick) -> str:
    """`mlx on cpu`; of a task of the user's own the device alone."""
    return f"{picked.run.backend} on {picked.run.device}" if picked.run.backend else picked.run.device


def _commands(picked: Pick, number: str) -> list[tuple[str, str]]:
    """What can be done with it, and what that is for."""
    best = f"{command_for(picked.folder, 'best')}{number}"
    if picked.run.imported_from:
        return [(command_for(picked.folder, f"diff {picked.experiment.number}"), "what was recorded of it")]
    commands = [(f"{best} --checkout DIR", "a workspace of its own that begins with it")]
    if picked.experiment.number and picked.experiment.number == picked.history.incumbent:
        commands.append((command_for(picked.folder, "confirm"), "is it luck? the baseline and it, trained again"))
    if picked.experiment.commit != picked.run.base:
        commands.insert(0, (f"{best} --patch | git apply", "its change; at the root of the workspace"))
    if picked.checkpoint.is_file():
        commands.append((f"{best} --checkpoint FILE", "its trained model, as safetensors"))
        if picked.run.backend:
            commands.append((f'{best} --sample "text"', "the model continues the text"))
        if "evaluate" in picked.task.commands:
            commands.append((f"{command_for(picked.folder, 'evaluate')}{number}", "score it again"))
    return commands


def _scores(picked: Pick) -> list[str]:
    """Each number beside the baseline's."""
    measured, baseline = picked.experiment.measurement, picked.history.experiments[0].measurement
    if measured is None:
        return [f"no score: {picked.experiment.verdict.reason}"]
    rows = [(picked.metric, measured.value, baseline.value if baseline else None)]
    upstream = measured.findings.get("val_bpb_upstream")
    if isinstance(upstream, int | float):
        before = baseline.findings.get("val_bpb_upstream") if baseline else None
        rows.append(("val_bpb_upstream", upstream, before if isinstance(before, int | float) else None))
    width = max(len(name) for name, _, _ in rows)
    lines = []
    for name, value, before in rows:
        line = f"{name:<{width}}  {exact(value)}"
        if before is not None and picked.experiment.number:
            line += f"   baseline {exact(before)}, {percent_change(before, value)}"
        lines.append(line + (", self-reported" if measured.self_reported else ""))
    again = [exact(r.measurement.value) if r.measurement else one_line(r.reason) for r in picked.experiment.repeats]
    return lines + ([f"once more: {', '.join(again)}"] if again else [])


def _way(led: list[Experiment], better: str) -> list[str]:
    from tui.repeats import LUCK, contradicted

    width = len(str(led[-1].number))
    values = in_line([exact(e.measurement.value) if e.measurement else e.verdict.outcome for e in led])
    lines = []
    for e, value, change in zip(led, values, in_line([delta(e.delta) for e in led]), strict=True):
        lines.append(f"{e.number:>{width}}  {value}  {change}  {one_line(e.description)}".rstrip())
        lines[-1] += f"  {LUCK}" if contradicted(e, better) else ""
    return lines


def _model(picked: Pick) -> str:
    from core.best import checkpoint

    try:
        file = checkpoint(picked)
    except UsageError as error:
        return f"none; {error}"
    return f"{file} ({file.stat().st_size / 1e6:.1f} MB)"


# --- completion ------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script that completes commands, options and tags.

    \b
    bash: autoresearch completion bash > ~/.local/share/bash-completion/completions/autoresearch
    zsh:  autoresearch completion zsh > DIR/_autoresearch, with DIR in your fpath
    fish: autoresearch completion fish > ~/.config/fish/completions/autoresearch.fish
    """
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "autoresearch", "_AUTORESEARCH_COMPLETE").source())
    return 0
