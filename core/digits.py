"""How exactly a score counts, and is written: as in the original's results.tsv, which prints six decimals.

A number below 0.1 would have fewer than six digits there, and a small one none: it counts and is written with six.
"""

from __future__ import annotations

_DECIMALS = _DIGITS = 6
_SMALL = 0.1


def gain(bar: float, value: float, direction: str) -> float:
    """How much better than the bar a value is; 0 where they are written alike. `direction`: "min" or "max"."""
    less = float(written(bar)) - float(written(value))
    return less if direction == "min" else -less


def written(value: float) -> str:
    """`0.969686`, `521.500000`; `0.00123457` and `1.97e-09` where six decimals do not hold it."""
    plain, whole = f"{value:.{_DECIMALS}f}", f"{value:.{_DIGITS}g}"
    return plain if abs(value) >= _SMALL or float(plain) == float(whole) else whole
