"""Unified diffs: parsed and applied exactly. No fuzz: every context and removed line must be there, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.facts import fact

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class DoesNotApply(Exception):
    """Which hunk of which file does not fit, and why."""


@fact
class Hunk:
    """start: the first line of `old`, counted from 0. Lines keep their ends."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def parse(text: str) -> dict[str, tuple[Hunk, ...]]:
    """path -> hunks, without the prefixes a/ and b/. Raises ValueError for what is not a diff of existing files."""
    lines = text.split("\n")  # a carriage return belongs to the line
    files: dict[str, tuple[Hunk, ...]] = {}
    i = 0
    while i < len(lines):
        if not (lines[i].startswith("--- ") and i + 1 < len(lines) and lines[i + 1].startswith("+++ ")):
            if _HUNK.match(lines[i]):
                raise ValueError(f"line {i + 1}: a hunk before its file (--- and +++)")
            i += 1
            continue
        old, new = _path(lines[i], "a/"), _path(lines[i + 1], "b/")
        if old != new:
            raise ValueError(f"line {i + 1}: {old} becomes {new}; files are edited here, not made, moved or deleted")
        hunks, i = [], i + 2
        while i < len(lines) and (header := _HUNK.match(lines[i])):
            hunk, i = _hunk(header, lines, i + 1)
            hunks.append(hunk)
        if not hunks or old in files:
            raise ValueError(
                f"{old}: {'twice in one patch' if old in files else 'no hunk (@@ -line,count +line,count @@)'}"
            )
        files[old] = tuple(hunks)
    if not files:
        raise ValueError("no file (--- and +++) is changed")
    return files


def apply(source: str, hunks: Sequence[Hunk], path: str) -> str:
    """The source with these hunks applied. Raises DoesNotApply.

    A hunk goes where it says; if its old lines are not there, then where else they are, if that is one place only.
    """
    lines = source.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    out: list[str] = []
    done = 0
    for number, hunk in enumerate(hunks, 1):
        size = len(hunk.old)
        places = [hunk.start] if _fits(lines, hunk, hunk.start, done) else []
        if not places and size:
            places = [at for at in range(done, len(lines) - size + 1) if _fits(lines, hunk, at, done)]
        if len(places) != 1:
            found = f"are in {len(places)} places" if places else "are not in the file"
            raise DoesNotApply(f"hunk {number} of {len(hunks)} does not apply to {path}: its old lines {found}")
        out += lines[done : places[0]]
        out += hunk.new
        done = places[0] + size
    return "".join(out + lines[done:])


def _fits(lines: Sequence[str], hunk: Hunk, at: int, done: int) -> bool:
    return done <= at <= len(lines) and tuple(lines[at : at + len(hunk.old)]) == hunk.old


def target(path: str, sources: Mapping[str, str]) -> str:
    """The source that a path of a patch means: the same, or the one it ends with. Raises DoesNotApply."""
    if path in sources:
        return path
    ends = [name for name in sources if path.endswith(f"/{name}")]
    if len(ends) != 1:
        raise DoesNotApply(f"{path} is not part of the artifact ({', '.join(sources)})")
    return ends[0]


def _path(header: str, prefix: str) -> str:
    return header[4:].split("\t")[0].rstrip("\r").removeprefix(prefix)


def _hunk(header: re.Match[str], lines: Sequence[str], i: int) -> tuple[Hunk, int]:
    """One hunk and the index of the line after it."""
    first = int(header[1])
    olds, news = (int(header[n]) if header[n] is not None else 1 for n in (2, 4))
    old: list[str] = []
    new: list[str] = []
    sides: list[list[str]] = []
    while len(old) < olds or len(new) < news or (i < len(lines) and lines[i].startswith("\\")):
        sign = lines[i][:1] if i < len(lines) else ""
        if sign == "\\":  # the line before has no end
            for side in sides:
                side[-1] = side[-1].removesuffix("\n")
            i += 1
            continue
        sides = {" ": [old, new], "-": [old], "+": [new]}.get(sign, [])
        if not sides:
            raise ValueError(f"line {i + 1}: the hunk is shorter than its header says")
        for side in sides:
            side.append(lines[i][1:] + "\n")
        i += 1
    if (len(old), len(new)) != (olds, news):
        raise ValueError(f"line {i}: the hunk is longer than its header says")
    return Hunk(first - 1 if olds else first, tuple(old), tuple(new)), i
