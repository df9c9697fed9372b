"""The cockpit in a real terminal, beside a minimal Textual app and a twin made of stock widgets, in one run.

    python bench/cockpit.py [--starts 10] [--presses 200] [--seconds 30] [--experiments 1000]
    python bench/cockpit.py --soak MINUTES [--no-keys]    # memory while the run goes on and keys are pressed
    python bench/cockpit.py --memory EXPERIMENTS    # what the cockpit holds of so many

First paint: from the start of the process until best score and list stand on the screen. Key: from j or k until the
other experiment's diff was written to the terminal. CPU: user and system time of the whole process.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from cockpit_runs import KEYS, Viewer, changed, engine, environment, painted, start, write_run
from cockpit_soak import memory, soak
from cockpit_terminal import drain

ROWS_A_SECOND = 20
START_RATIO, START_AIM_MS, KEY_MS, IDLE_PERCENT, BUSY_PERCENT = 2.0, 400.0, 50.0, 0.5, 10.0
SETTLE_SECONDS = 3.0


def row(what: str, measured: float, unit: str, wanted: float | None = None, beside: str = "") -> None:
    """One line of the table."""
    verdict = "" if wanted is None else "ok" if measured <= wanted else "NOT"
    limit = "" if wanted is None else f"≤ {wanted:g}"
    print(f"{what:44s} {measured:8.2f} {unit:4s} {limit:>7s} {verdict:4s} {beside}", flush=True)


def starts(folder: Path, env: Mapping[str, str], experiments: int, rounds: int) -> None:
    """First paints, interleaved, after one of each that compiles what Python has to compile."""
    viewers: tuple[Viewer, ...] = ("minimal", "cockpit", "twin")
    taken: dict[Viewer, list[float]] = {viewer: [] for viewer in viewers}
    resident = {}
    for turn in range(rounds + 1):
        for viewer in viewers:
            with closing(start(viewer, folder, env)) as t:
                seconds = t.until(painted(viewer, experiments)) - t.started
                resident[viewer] = t.resident_mb
                if turn:
                    taken[viewer].append(1000 * seconds)
    median = {viewer: statistics.median(taken[viewer]) for viewer in viewers}
    spread = {viewer: f"{min(taken[viewer]):.0f} to {max(taken[viewer]):.0f}" for viewer in viewers}
    row("first paint, minimal app", median["minimal"], "ms", None, spread["minimal"])
    row("first paint, cockpit", median["cockpit"], "ms", START_AIM_MS, spread["cockpit"])
    row("first paint, cockpit / minimal app", median["cockpit"] / median["minimal"], "", START_RATIO)
    row("first paint, twin", median["twin"], "ms", None, spread["twin"])
    row(
        "memory then, cockpit",
        resident["cockpit"],
        "MB",
        None,
        f"twin {resident['twin']:.0f}, minimal {resident['minimal']:.0f}",
    )


def keys(viewer: Viewer, folder: Path, env: Mapping[str, str], experiments: int, presses: int) -> list[float]:
    """Milliseconds from a key to the diff it asks for, in order of size."""
    draw, at, taken = random.Random(5), experiments, []
    if viewer == "twin":
        at -= 1  # it does not list the experiment in flight
    with engine(folder, env, ROWS_A_SECOND), closing(start(viewer, folder, env)) as t:
        t.until(painted(viewer, experiments))
        t.idle(SETTLE_SECONDS)
        while len(taken) < presses:
            newer = at < experiments - 1 and draw.random() < 0.3
            at += 1 if newer else -1
            t.forget()
            pressed = t.press(KEYS[viewer][newer])
            taken.append(1000 * (t.until(changed(at)) - pressed))
            t.idle(draw.uniform(0.02, 0.07))
    return sorted(taken)


def cpu(
    folders: Mapping[str, tuple[Viewer, Path, float | None]], env: Mapping[str, str], experiments: int, seconds: float
) -> dict[str, float]:
    """Percent of a core of several viewers at once, each with its run and reports a second (None: no engine)."""
    with ExitStack() as stack:
        for folder, rows in {(folder, rows) for _, folder, rows in folders.values() if rows is not None}:
            stack.enter_context(engine(folder, env, rows))
        running = {}
        for name, (viewer, folder, _) in folders.items():
            running[name] = stack.enter_context(closing(start(viewer, folder, env)))
            running[name].until(painted(viewer, experiments))
        drain(list(running.values()), 2 * SETTLE_SECONDS)
        before = {name: t.cpu_seconds for name, t in running.items()}
        drain(list(running.values()), seconds)
        return {name: 100 * (t.cpu_seconds - before[name]) / seconds for name, t in running.items()}


def measure(scratch: Path, experiments: int, rounds: int, presses: int, seconds: float) -> None:
    env = environment(scratch)
    live = write_run(scratch / "live", experiments)
    print(f"{experiments} experiments, 120x40; wanted by the cockpit's promise; beside it the others\n")
    starts(live, env, experiments, rounds)
    taken, twins = (keys(viewer, live, env, experiments, presses) for viewer in ("cockpit", "twin"))
    p95 = int(0.95 * (presses - 1))
    row(
        f"key to diff, p95 of {presses}, {ROWS_A_SECOND} rows/s",
        taken[p95],
        "ms",
        KEY_MS,
        f"median {statistics.median(taken):.0f}, worst {taken[-1]:.0f}; twin {twins[p95]:.0f}",
    )
    over = write_run(scratch / "over", experiments, "--ended")
    paused = write_run(scratch / "paused", experiments, "--paused")
    found = cpu(
        {
            "run over": ("cockpit", over, None),
            "paused": ("cockpit", paused, 0.0),
            "training, nothing new": ("cockpit", live, 0.0),
            "twin": ("twin", live, 0.0),
            "minimal": ("minimal", live, 0.0),
        },
        env,
        experiments,
        seconds,
    )
    for name in ("run over", "paused", "training, nothing new"):
        row(f"CPU, {name}", found[name], "%", IDLE_PERCENT, f"minimal {found['minimal']:.2f}, twin {found['twin']:.2f}")
    busy = cpu(
        {"cockpit": ("cockpit", live, ROWS_A_SECOND), "twin": ("twin", live, ROWS_A_SECOND)}, env, experiments, seconds
    )
    row(f"CPU, {ROWS_A_SECOND} rows/s", busy["cockpit"], "%", BUSY_PERCENT, f"twin {busy['twin']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="the cockpit in a real terminal, measured")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0, help="of idling, and of telemetry")
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--no-keys", action="store_true", help="of the soak: nobody is there")
    parser.add_argument("--memory", type=int, metavar="EXPERIMENTS")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cockpit-") as scratch:
        if wanted.soak is not None:
            soak(Path(scratch), wanted.soak, keys=not wanted.no_keys)
        elif wanted.memory is not None:
            memory(Path(scratch), wanted.memory)
        else:
            measure(Path(scratch), wanted.experiments, wanted.starts, wanted.presses, wanted.seconds)


if __name__ == "__main__":
    main()
