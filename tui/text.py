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
_LEAST_PLAIN = 1e-4  # below it, six decimals hold fewer than three digits
_SIX_DECIMALS_DO = 1e-3
_LARGEST_PLAIN = 1e9

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


def score(value: float | None) -> str:
    """A value of the metric in eight cells: `0.969686`, `12.34567`, `123456`, `1.56e-06`; zeros after the fourth
    decimal are left out: `0.9697`."""
    return _trimmed(column(value))


def column(value: float | None) -> str:
    """The same with all its decimals, for values that stand below each other."""
    if value is None:
        return "—"
    if not math.isfinite(value):
        return str(value)
    if 0 < abs(value) < _LEAST_PLAIN:
        return _exponent(value)
    whole = f"{value:.0f}"
    decimals = min(6, SCORE_CELLS - 1 - len(whole))
    if len(whole) > SCORE_CELLS:
        return _exponent(value)
    return f"{value:.{decimals}f}" if decimals > 0 else whole


def exact(value: float | None) -> str:
    """A value where there is room: six decimals, and four significant digits at least."""
    if value is None or not math.isfinite(value):
        return score(value)
    if value and abs(value) < _SIX_DECIMALS_DO:
        return f"{value:.4g}" if abs(value) < 1e-9 else f"{value:.{3 - math.floor(math.log10(abs(value)))}f}"
    return f"{value:.6f}" if abs(value) < _LARGEST_PLAIN else f"{value:.6e}"


def delta(value: float | None) -> str:
    """A signed difference in nine cells; empty where there is none. Only nothing at all has no sign."""
    return _trimmed(delta_column(value))


def delta_column(value: float | None) -> str:
    """The same with all its decimals, for values that stand below each other."""
    if value is None or not math.isfinite(value):
        return ""
    plain = 1e-5 <= abs(value) < _LEAST_PLAIN  # as many decimals as the scores beside it
    size = f"{abs(value):.6f}" if plain else column(abs(value))
    return ("−" if value < 0 else "+") + size if value else size


def _exponent(value: float) -> str:
    forms = (f"{value:.{digits}e}" for digits in (2, 1, 0))
    return next((form for form in forms if len(form) <= SCORE_CELLS), f"{value:.0e}")


def _trimmed(number: str) -> str:
    """Without the zeros that follow the fourth decimal."""
    whole, point, decimals = number.partition(".")
    if not decimals.isdigit():
        return number
    return whole + point + decimals[:4] + decimals[4:].rstrip("0")


def percent_change(old: float | None, new: float | None) -> str:
    """The change of a metric, `−2.7 %`; empty where it has no meaning."""
    if old is None or new is None or not (math.isfinite(old) and math.isfinite(new)) or old == 0:
        return ""
    change = 100 * (new - old) / abs(old)
    return f"{'−' if change < 0 else '+'}{abs(change):.{1 if abs(change) >= 10 else 2}f} %"


def seconds(value: float | None) -> str:
    """A short stretch of time, with its unit: `8.9 s`, `2:51 min`, `1:02:14 h`."""
    if value is None or not math.isfinite(value):
        return "—"
    if value < 59.95:
        return f"{max(0.0, value):.1f} s"
    return f"{clock(value)} {'min' if value < 3600 else 'h'}"


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
