"""Diffs as lines to draw: parsed and numbered, paired, side by side, wrapped. Pure: no widget, no file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from rich.cells import chop_cells

from core.facts import fact
from tui import text
from tui.told import folded

FILE = "file "  # how the line that names a file begins
CONTEXT = 3  # lines around a change in the journal's diffs
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_WORDS = re.compile(r"\w+|\s+|.")
_MOST_PAIRED = 2000  # lines of a change up to which deletions and additions are compared
_LONGEST = 2000  # characters of a line that are drawn
_LEAST_ALIKE = 0.34  # share of a line that must be common before its changed part is marked


@fact
class DiffLine:
    """`kind`: "+", "-", " " (context), "@" (a hunk or a file begins), "" (words about the experiment).

    number: the line's own, old for "-", new for the rest; `old`: a context line's old one. mate: the text that came in
    the place of a deleted line, or that stood in the place of an added one.
    """

    kind: str
    number: int | None
    text: str
    style: str = ""
    old: int | None = None
    mate: str | None = None


@fact
class Pair:
    """A row of the diff side by side: what was, and what is. One of them may be missing."""

    left: DiffLine | None
    right: DiffLine | None


def diff_lines(diff: str) -> list[DiffLine]:
    """The lines of a unified diff, cleaned, numbered and paired."""
    return list(each_line(diff))


def each_line(diff: str) -> Iterator[DiffLine]:
    """The same, one by one: the first come at once, however long the diff is."""
    run: list[DiffLine] = []  # deletions, then additions, that follow each other
    last, long = "", False
    for line in _parsed(diff):
        if line.kind not in ("+", "-") or (line.kind == "-" and last == "+"):
            yield from _paired(run)
            run, long = [], False
        last = line.kind
        if line.kind not in ("+", "-") or long:
            yield line
            continue
        run.append(line)
        if len(run) > _MOST_PAIRED:
            yield from run
            run, long = [], True
    yield from _paired(run)


def tally(diff: str) -> str:
    """How many lines a diff adds and takes: `+12 −4`."""
    kinds = [line.kind for line in _parsed(diff)]
    return f"+{kinds.count('+')} −{kinds.count('-')}"


def _parsed(diff: str) -> Iterator[DiffLine]:
    old = new = 0
    in_hunk = False
    for line in _split(diff):
        if match := _HUNK.match(line):
            old, new, in_hunk = int(match[1]), int(match[3]), True
            yield DiffLine("@", None, text.clean(line))
        elif line.startswith(("diff ", "--- ", "+++ ")) and (not in_hunk or line.startswith("diff ")):
            in_hunk = False
            if line.startswith("+++ "):
                yield DiffLine("@", None, FILE + text.clean(line[4:].split("\t")[0]).removeprefix("b/"))
        elif in_hunk and line[:1] in ("+", "-", " ", ""):
            kind = line[:1] or " "
            yield DiffLine(kind, old if kind == "-" else new, _drawn(line[1:]), old=old if kind == " " else None)
            old, new = old + (kind != "+"), new + (kind != "-")
        elif not line.startswith(("index ", "similarity ", "old mode", "new mode")):
            yield DiffLine("", None, _drawn(line), "dim")


def _split(diff: str) -> Iterator[str]:
    """Its lines, found as they are asked for."""
    at = 0
    while (end := diff.find("\n", at)) >= 0:
        yield diff[at:end]
        at = end + 1
    if at < len(diff):
        yield diff[at:]


def _drawn(line: str) -> str:
    if len(line) <= _LONGEST:
        return text.clean(line)
    return f"{text.clean(line[:_LONGEST])}… {len(line) - _LONGEST:,} characters more"


def _paired(run: Sequence[DiffLine]) -> list[DiffLine]:
    """Deletions and additions that stand for each other know each other's text."""
    gone = [line for line in run if line.kind == "-"]
    came = [line for line in run if line.kind == "+"]
    pairs = min(len(gone), len(came))
    return [
        *(DiffLine("-", a.number, a.text, mate=b.text) for a, b in zip(gone, came, strict=False)),
        *gone[pairs:],
        *(DiffLine("+", b.number, b.text, mate=a.text) for a, b in zip(gone, came, strict=False)),
        *came[pairs:],
    ]


def side_by_side(lines: Iterable[DiffLine]) -> Iterator[DiffLine | Pair]:
    """The same lines as rows with two sides; words, hunks and files go over both."""
    gone: list[DiffLine] = []
    came: list[DiffLine] = []

    def pairs() -> Iterator[Pair]:
        for i in range(max(len(gone), len(came))):
            yield Pair(gone[i] if i < len(gone) else None, came[i] if i < len(came) else None)
        gone.clear()
        came.clear()

    for line in lines:
        if line.kind == "-":
            if came:
                yield from pairs()
            gone.append(line)
        elif line.kind == "+":
            came.append(line)
        else:
            yield from pairs()
            yield Pair(replace(line, number=line.old), line) if line.kind == " " else line
    yield from pairs()


def wrapped(lines: Iterable[DiffLine], width: int) -> Iterator[DiffLine]:
    """Lines wider than `width` cells as several; only the first of them has the number. Words are broken between two of
    them, code anywhere."""
    for line in lines:
        if line.text.isascii() and len(line.text) <= width:
            yield line
            continue
        first, *rest = (chop_cells if line.kind else folded)(line.text, max(8, width)) or [""]
        yield replace(line, text=first, mate=line.mate if not rest else None)
        yield from (DiffLine(line.kind, None, part, line.style) for part in rest)


@lru_cache(maxsize=512)
def changed(line: str, mate: str) -> tuple[int, int]:
    """Which part of a line its mate does not have: (start, end), whole words; (0, 0) if they have little in common."""
    a, b = _WORDS.findall(line), _WORDS.findall(mate)
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    before, after = "".join(a[:start]), "".join(a[len(a) - end :])
    alike = len(before.strip()) + len(after.strip())
    if alike < _LEAST_ALIKE * min(len(line.strip()), len(mate.strip())) or not alike:
        return 0, 0
    return len(before), len(line) - len(after)


def compare(old: Mapping[str, str], new: Mapping[str, str], context: int = CONTEXT) -> str:
    """The unified diff of two sets of files, path -> text; a path that one side has not is empty there."""
    parts: list[str] = []
    for path in sorted({*old, *new}):
        before, after = (side.get(path, "").splitlines() for side in (old, new))
        found = list(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="", n=context))
        if found:
            parts += [f"diff --git a/{path} b/{path}", *found]
    return "\n".join(parts) + "\n" if parts else ""


def undone(new: str, diff: str) -> str:
    """The text before a change: `diff` (of this one file) taken back from the text after it.

    Raises ValueError where the diff does not fit the text.
    """
    after = new.splitlines(keepends=True)
    before: list[str] = []
    at = 0
    in_hunk = False
    for line in diff.split("\n"):
        if match := _HUNK.match(line):
            start = int(match[3]) - (match[4] != "0")
            before += after[at:start]
            at, in_hunk = start, True
        elif in_hunk and line[:1] == "-":
            before.append(line[1:] + "\n")
        elif in_hunk and line[:1] in ("+", " "):
            if at >= len(after) or after[at].rstrip("\r\n") != line[1:].rstrip("\r"):
                raise ValueError(f"line {at + 1} is not what the diff says")
            if line[:1] == " ":
                before.append(after[at])
            at += 1
        elif in_hunk and line.startswith("\\") and before:
            before[-1] = before[-1].rstrip("\n")
    return "".join(before + after[at:])
