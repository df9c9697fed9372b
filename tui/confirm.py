"""`autoresearch confirm`: is the gain of a run luck? The baseline and the best are trained again and compared."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from core import control
from core import events as ev
from core.errors import AutoresearchError, RunFailed, UsageError
from core.history import History
from core.launch import Options, command_for, launch
from tui.options import TAG, WORKSPACE, find
from tui.steering import refuse_imported
from tui.watch import INTERRUPTED, say

POLL_SECONDS = 0.2
LEAVING_SECONDS = 30.0  # that an engine may take to stop


@click.command()
@TAG
@WORKSPACE
@click.option(
    "--seeds",
    type=click.IntRange(2, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="How many further trials of each are compared; those that are there already count.",
)
def confirm(tag: str | None, workspace: Path | None, seeds: int) -> int:
    """Is the gain luck? Train the baseline and the best again, with fresh seeds, and compare the means.

    An engine starts for these trials alone. They stand in the journal beside the verdicts, which stay as they are;
    best, results and the cockpit tell of them. Of a task that takes no seed they are just further trials.
    """
    from core.best import pick
    from tui.repeats import comparison, doubts, judgement, means

    folder = find(workspace, tag, here=True)
    refuse_imported(folder)
    picked = pick(folder)
    best, name = picked.experiment.number, picked.metric
    if control.alive(folder):
        instead = f"wait for its end or stop it; {command_for(folder, 'again N')} has one experiment tried in between"
        raise UsageError(f"run {folder.name} is going on, and its engine has the device; {instead}")
    if best == 0:
        raise UsageError(f"run {folder.name}: nothing was better than the baseline, so there is no gain to confirm")
    wanted = _wanted(picked.history, best, seeds)
    told = _Told(best, name)
    for number in (0, best):
        while told.next(picked.history, number):
            pass
    if wanted is not None:
        launch(Options(str(folder.parent.parent), resume=folder.name, experiments=0, again=wanted), say)
        try:
            _follow(folder, told)
        except KeyboardInterrupt:
            return _interrupted(folder)
    history = pick(folder).history
    if history.incumbent != best:
        changed = f"the best is #{history.incumbent} by now, for the engine first judged what it had measured"
        raise RunFailed(f"run {folder.name}: {changed}; compare it with: {command_for(folder, 'confirm')}")
    compared = comparison(history)
    if compared is None:
        failed = [r.reason for e in history.experiments for r in e.repeats if r.measurement is None]
        why = f" ({failed[-1]})" if failed else ""
        raise RunFailed(f"run {folder.name}: no further trial of both the baseline and #{best} has a score{why}")
    for line in (means(compared), judgement(compared), *doubts(history)):
        click.echo(line)
    return 0


def _wanted(h: History, best: int, seeds: int) -> tuple[int, ...] | None:
    """The trials to ask for, of both in turn: what drifts with the hours then has a share in either. None: all that are
    wanted are there; those that were asked for before and are still to come are not asked for twice."""
    from tui.repeats import further
    from tui.state import find

    both = [e for e in (find(h, 0), find(h, best)) if e is not None]
    missing = {e.number: seeds - len(further(e)) - h.asked_again.count(e.number) for e in both}
    wanted = tuple(n for k in range(seeds) for n in missing if k < missing[n])
    return wanted if wanted or any(n in h.asked_again for n in missing) else None


class _Told:
    """Prints each further trial of the two once, as it comes."""

    def __init__(self, best: int, metric: str) -> None:
        self._metric, self._shown = metric, {0: 0, best: 0}

    def next(self, h: History, number: int) -> bool:
        """Print the next one of this experiment, if there is one and it is one of the two."""
        from tui.state import find
        from tui.text import exact, one_line

        e, shown = find(h, number), self._shown.get(number)
        if e is None or shown is None or shown >= len(e.repeats):
            return False
        repeat = e.repeats[shown]
        self._shown[number] += 1
        m = repeat.measurement
        said = f"{self._metric} {exact(m.value)}" if m else f"no score: {one_line(repeat.reason)}"
        click.echo(f"#{number} {'best' if number else 'baseline'}  trial {repeat.trial}  {said}")
        return True


def _follow(folder: Path, told: _Told) -> None:
    """Tell of the trials until the engine has left. Raises RunFailed where it left without a last word."""
    from tui.feed import Feed

    feed = Feed(folder, resume=command_for(folder, "resume"))
    news: list[ev.Event] = []  # since this engine is there
    while True:
        for line in feed.read():
            if isinstance(line.event, ev.EngineStarted):
                news.clear()
            elif line.event is not None:
                news.append(line.event)
        state = feed.state
        if feed.behind:
            continue
        for event in news:
            if isinstance(event, ev.TrialStarted):
                say(f"#{event.number} trial {event.trial} trains, seed {event.seed}")
            elif isinstance(event, ev.AgainDone):
                told.next(state.history, event.number)
        news.clear()
        if state.alive is False:
            break
        time.sleep(POLL_SECONDS)
    ended = state.history.ended
    if ended is None or ended.reason == "failed":
        why = f": {ended.message}" if ended else ""
        again = f"what was measured stays; go on with: {command_for(folder, 'confirm')}"
        raise RunFailed(f"run {folder.name}: its engine has gone{why}; {again}")


def _interrupted(folder: Path) -> int:
    """Ctrl-C stops the engine, now."""
    with contextlib.suppress(AutoresearchError):  # it has ended by itself just now
        say(f"{folder.name}: {control.send(folder, 'stop-now')}")
    limit = time.monotonic() + LEAVING_SECONDS
    while control.alive(folder) and time.monotonic() < limit:
        time.sleep(0.05)
    say(f"what was measured stays; go on with: {command_for(folder, 'confirm')}")
    return INTERRUPTED
