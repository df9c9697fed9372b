"""How viewers write things: cleaned text, numbers with their units, glyphs. No widget, no file."""

from __future__ import annotations

import math
import re
import time
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

GLYPHS = {"keep": "●", "discard": "·", "crash": "×"}
RUNNING, PAUSED, CRASHED, ENDED, WAITING, STALLED = "▶", "‖", "×", "·", "?", "!"
TAB = 4
SCORE_CELLS = 8  # of a score; its difference has a sign besides
MOST_DECIMALS = 6  # of what is no more exact than that
_ROOMY_CELLS = 17
_LEAST_PLAIN = 1e-4  # below it, six decimals hold fewer than three digits
_LEAST_DIFFERENCE = 1e-5  # a difference has as many decimals as the scores beside it
_LARGEST_PLAIN = 1e15

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, …: titles, links
    r"|\x1b[ -/]*[0-~]?"
)
_SPARKS = "▁▂▃▄▅▆▇█"


def clean(line: str) -> str:
    """One line that is safe to draw: no escapes, no control or format characters, tabs expanded.

    Of a line that a progress bar wrote over and over, the last writing stays.
    """
    if line.isascii() and line.isprintable():
        return line
    line = _ESCAPES.sub("", line.rstrip("\r\n"))
    line = line.rsplit("\r", 1)[-1].expandtabs(TAB)
    return line if line.isprintable() else "".join(c for c in line if _drawable(c))


@lru_cache(maxsize=4096)
def _drawable(char: str) -> bool:
    return char == " " or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def clean_lines(text: str) -> list[str]:
    """The lines of a text, each cleaned; only line feeds end one."""
    return [clean(line) for line in text.removesuffix("\n").split("\n")] if text else []


def one_line(text: str) -> str:
    """A text as one clean line."""
    return " ".join(" ".join(clean_lines(text)).split())


def score(value: float | None, cells: int = SCORE_CELLS) -> str:
    """A value of the metric as its trial wrote it: `0.969686`, `521.5`, `123456`, `−1e+09`, `1.56e−06`.

    It gets no digit that it does not have, and six decimals at most; fewer where `cells` have no room for them.
    """
    if value is None:
        return "—"
    sign = "−" if value < 0 else ""
    return sign + _digits(abs(value), cells - len(sign))


def exact(value: float | None) -> str:
    """The same where there is room: six decimals, and below 1 six significant digits."""
    return score(value, _ROOMY_CELLS)


def loss(value: float, decimals: int = 3) -> str:
    """A training loss: always so many decimals, for it changes while one looks; an absurd one in few cells."""
    return f"{value:.{decimals}f}" if abs(value) < 1e6 or not math.isfinite(value) else score(value)


def delta(value: float | None) -> str:
    """A signed difference in nine cells; empty where there is none. Only nothing at all has no sign."""
    if value is None or not math.isfinite(value):
        return ""
    size = _digits(abs(value), SCORE_CELLS, least=_LEAST_DIFFERENCE)
    return ("−" if value < 0 else "+") + size if value else size


def aligned(number: str, decimals: int, cells: int) -> str:
    """A number in a column whose longest has so many decimals: the points stand below each other, as far as the cells
    allow."""
    whole, point, own = number.partition(".")
    behind = decimals - len(own) + (not point and decimals > 0)
    if "e" in number or not whole[-1:].isdigit():
        behind = 0
    return f"{number}{' ' * min(max(0, behind), cells - len(number))}".rjust(cells)


def in_line(numbers: Sequence[str]) -> list[str]:
    """Numbers that stand below each other, with their points in line."""
    plain = [number.partition(".") for number in numbers if "e" not in number]
    decimals = max((len(behind) for _, _, behind in plain), default=0)
    whole = max((len(before) for before, _, _ in plain), default=0)
    cells = max(whole + bool(decimals) + decimals, *map(len, numbers), 0)
    return [aligned(number, decimals, cells) for number in numbers]


def _digits(size: float, room: int, least: float = _LEAST_PLAIN) -> str:
    if not math.isfinite(size):
        return str(size)
    loses = size < least and not math.isclose(size, round(size, MOST_DECIMALS), rel_tol=1e-9)
    if loses or size >= _LARGEST_PLAIN:  # what says the most lies further back, or not every digit is its own
        return _exponent(size, room)
    most = max(MOST_DECIMALS, 5 - math.floor(math.log10(size))) if size and room > SCORE_CELLS else MOST_DECIMALS
    for decimals in range(max(0, min(most, room - 1 - len(str(int(size))))), -1, -1):
        words = f"{size:.{decimals}f}"
        if len(words) <= room and (float(words) or not size):
            return words.rstrip("0").rstrip(".") if decimals else words
    return _exponent(size, room)


def _exponent(size: float, room: int) -> str:
    forms = (f"{size:.{digits}e}".partition("e") for digits in (5, 4, 3, 2, 1, 0))
    bare = ((m.rstrip("0").rstrip(".") if "." in m else m) + e + power for m, e, power in forms)
    return next((form for form in bare if len(form) <= room), f"{size:.0e}").replace("-", "−")


def percent_change(old: float | None, new: float | None) -> str:
    """The change of a metric, `−2.7 %`; empty where it has no meaning."""
    if old is None or new is None or not (math.isfinite(old) and math.isfinite(new)) or old == 0:
        return ""
    change = 100 * (new - old) / abs(old)
    size = f"{abs(change):.{1 if abs(change) >= 10 else 2}f}" if abs(change) < 1e5 else _exponent(abs(change), 7)
    return f"{'−' if change < 0 else '+'}{size} %"


def seconds(value: float | None) -> str:
    """A short stretch of time, with its unit: `8.9 s`, `2:51 min`, `1:02:14 h`."""
    if value is None or not math.isfinite(value):
        return "—"
    if value < 59.95:
        return f"{max(0.0, value):.1f} s"
    return f"{clock(value)} {'min' if value < 3600 else 'h'}"


def span(value: float) -> str:
    """A stretch of time in words, for a sentence: `43 s`, `2 min`, `3 h 20 min`, `2 days`."""
    minutes = round(value / 60) if math.isfinite(value) else 0
    if value < 59.5:
        return f"{max(0.0, value):.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = round(hours / 24)
    return f"{days} day{'s' * (days != 1)}"


def clock(value: float) -> str:
    """Elapsed time: `0:09`, `12:51`, `101:02:14`."""
    whole = max(0, int(value)) if math.isfinite(value) else 0
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def time_of_day(at: float, form: str = "%H:%M") -> str:
    """A Unix time as the clock on the wall shows it; `?` for one that no calendar has."""
    try:
        return time.strftime(form, time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return "?"


def quantity(value: float | None) -> str:
    """`873`, `30.1k`, `1.66M`."""
    if value is None or not math.isfinite(value):
        return "—"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}" if abs(value) < 999.5 * limit else f"{value / limit:.0f}{unit}"
    return f"{value:.0f}"


def memory(mb: float | None) -> str:
    if mb is None or not math.isfinite(mb):
        return "—"
    return f"{mb / 1024:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last stretch of a curve, drawn between its own least and greatest value."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite or width <= 0:
        return ""
    if len(finite) > width:
        finite = [finite[(i + 1) * len(finite) // width - 1] for i in range(width)]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    return "".join(_SPARKS[min(7, int(8 * (v - low) / span))] for v in finite)


def bar(progress: float | None, width: int) -> tuple[str, str]:
    """The done and the open part of a progress bar, `width` cells together."""
    share = min(1.0, max(0.0, progress)) if progress is not None and math.isfinite(progress) else 0.0
    done = round(share * width)
    return "━" * done, "─" * (width - done)
