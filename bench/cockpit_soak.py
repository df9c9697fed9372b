"""What the cockpit's memory does while a run goes on: telemetry, experiments, keys pressed now and then."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cockpit_runs import engine, environment, painted, start, write_run
from cockpit_terminal import Terminal

EXPERIMENTS, EVERY_SECONDS, ROWS_A_SECOND = 1000, 30.0, 20.0  # ten times as many as trials of five minutes make
SAMPLE_SECONDS, KEYS_SECONDS = 10.0, 7.0
WARM_ROUNDS = 2  # of all keys: caches fill and have limits, the longest diffs are laid out in every way
AIM_MB = 60.0
PRESSED = "jjjkJJKbD.D\t12dw?\x1bvvv{}mmmyyxx/s\x1bf fff.[].gG."


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Of a line through the points, by least squares: its slope and the slope's standard error."""
    fit = statistics.linear_regression(xs, ys)
    left = sum((y - fit.intercept - fit.slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    mean = statistics.fmean(xs)
    return fit.slope, math.sqrt(left / max(1, len(xs) - 2) / sum((x - mean) ** 2 for x in xs))


def _press(t: Terminal, first: int) -> None:
    """Six keys from there on, and back from wherever they led."""
    for key in f"{PRESSED[first : first + 6]}\x1b":
        t.press(key)
        t.idle(0.1)


def soak(scratch: Path, minutes: float, keys: bool = True) -> None:
    """Prints a line a minute, and at the end how memory went. `keys`: somebody presses some now and then."""
    env = environment(scratch)
    folder = write_run(scratch / "soak", EXPERIMENTS)
    with closing(start("cockpit", folder, env)) as t:  # which also has Python compiled: the next one need not
        t.until(painted("cockpit", EXPERIMENTS))
    draw, samples = random.Random(3), []
    with engine(folder, env, ROWS_A_SECOND, EVERY_SECONDS), closing(start("cockpit", folder, env)) as t:
        t.until(painted("cockpit", EXPERIMENTS))
        for first in [*range(len(PRESSED))] * WARM_ROUNDS:
            _press(t, first)
        started, told = time.monotonic(), 0
        while (at := time.monotonic() - started) < 60 * minutes:
            t.idle(draw.uniform(0.5, 1.5) * KEYS_SECONDS)
            if keys:
                _press(t, draw.randrange(len(PRESSED)))
            samples.append((at / 3600, t.resident_mb))
            if at // 60 > told:
                told = int(at // 60)
                print(f"{told:4d} min  {t.resident_mb:6.2f} MB", flush=True)
        last, cpu = t.resident_mb, 100 * t.cpu_seconds / (time.monotonic() - started)
    finished = (folder / "journal.jsonl").read_text().count('"ExperimentDone"')
    experiments = finished - EXPERIMENTS
    with closing(start("cockpit", folder, env)) as t:
        t.until(lambda said: "best " in said)
        t.idle(10.0)
        fresh = t.resident_mb
    print(f"first {samples[0][1]:.1f} MB, last {last:.1f} MB (aim {AIM_MB:g}); {cpu:.1f} % of a core")
    print(f"{experiments} experiments came; a cockpit started afresh at the end holds {fresh:.1f} MB")
    for name, part in (("all of it", samples), ("the second half", samples[len(samples) // 2 :])):
        rise, error = slope([h for h, _ in part], [mb for _, mb in part])
        each = 1024 * rise / (3600 / EVERY_SECONDS)
        print(f"slope over {name}: {rise:+.2f} ± {error:.2f} MB/h, {each:+.1f} KB an experiment")


def memory(scratch: Path, experiments: int) -> None:
    """What the cockpit holds of so many experiments, and how long it takes to show them."""
    env = environment(scratch)
    for count in (30, experiments):
        folder = write_run(scratch / str(count), count, "--ended")
        with closing(start("cockpit", folder, env)) as t:
            seconds = t.until(lambda said: "best " in said and "DONE" in said) - t.started
            t.idle(10.0)
            print(f"{count:6d} experiments: {t.resident_mb:6.1f} MB, DONE after {seconds:.2f} s")
