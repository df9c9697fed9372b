"""Why an experiment got its verdict, in the words that a list has room for."""

from __future__ import annotations

import re

from tui import text

_SHORT = (
    (r"exit status (\d+)", r"exit \1"),
    (r"killed by (\w+)", r"\1"),
    (r"no .* in .*|.* is no number.*|evaluate gave no answer.*|it ended without .*", "no score"),
    (r"evaluate failed.*", "evaluate"),
    (r"(?:\w+\.)*(\w+(?:Error|Exception))\b.*", r"\1"),
    (r"crash", ""),
)


def short_reason(reason: str) -> str:
    """`timeout`, `nan`, `exit 3`, `SIGSEGV`, `no score`, `OutOfMemoryError`; Notes and the log have the whole."""
    said = text.one_line(reason)
    for whole, short in _SHORT:
        if match := re.fullmatch(whole, said):
            return match.expand(short)
    return said.split(":")[0]
