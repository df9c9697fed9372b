"""Why an experiment got its verdict, in the words that a list has room for."""

from __future__ import annotations

import re

from tui import text

_OF_THE_JUDGE = {"baseline", "better", "equal and shorter", "equal, not shorter", "worse"}  # short, and the most
_SHORT = (  # compiled when they are wanted first, which for a run without a crash is never
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
    if said in _OF_THE_JUDGE:
        return said
    for whole, short in _SHORT:
        if match := re.fullmatch(whole, said):
            return match.expand(short)
    return said.split(":")[0]
