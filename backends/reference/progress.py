"""What a long preparation shows: bars on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

SECONDS_BETWEEN_LINES = 5.0


def say(line: str) -> None:
    """One line for the user."""
    print(line, flush=True)


@contextlib.contextmanager
def counted(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many more are done. total: None where it is not known before."""
    if sys.stderr.isatty() and sys.stdout.isatty():
        from tqdm import tqdm  # only here: most starts have nothing to show

        with tqdm(total=total, desc=what, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False) as bar:
            yield lambda more: (bar.update(more), None)[1]
        return
    done, said = 0, time.monotonic()

    def count(more: int) -> None:
        nonlocal done, said
        done += more
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            share = f" ({100 * min(done / total, 1.0):.0f} %)" if total else ""
            say(f"{what}: {_short(done, unit)}{share}")

    yield count


def _short(count: int, unit: str) -> str:
    gap = "" if unit == "B" else " "
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f} {letter}{gap}{unit}"
    return f"{count} {unit}"
