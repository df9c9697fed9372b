"""What an edit of the user's own is called: after what it really changes, for the agent's words are no longer so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

BY_HAND = "edited by hand"
_NAMED = 2  # settings that are told one by one
_LONGEST_VALUE = 40  # characters
_ASSIGNED = re.compile(r"""\s*["']?([A-Za-z_][\w.\-]*)["']?\s*(?::\s*[\w\[\], .|]+?\s*)?[=:]\s*(\S.*)""")
_COMMENT = re.compile(r"\s+(?:#|//).*$")

Change = tuple[str, str, str]  # a setting, its value before and after


def described(before: Mapping[str, str], after: Mapping[str, str], proposed: str) -> str:
    """`WEIGHT_DECAY 0.2 → 0.1 (edited by hand)`; where no setting changed, the words of the proposal, marked so."""
    changes: list[Change] = []
    others = False
    for name in sorted(after):
        if after[name] == before.get(name, ""):
            continue
        for change in _changes(before.get(name, ""), after[name]):
            if change is None:
                others = True
            else:
                changes.append(change)
    if not changes:
        return f"{BY_HAND}: {proposed}"
    told = [f"{name} {old} → {new}" for name, old, new in changes[:_NAMED]]
    told += [f"+{len(changes) - _NAMED} more"] if len(changes) > _NAMED else []
    return f"{', '.join([*told, *['other lines'] * others])} ({BY_HAND})"


def _changes(before: str, after: str) -> Iterator[Change | None]:
    """The settings that changed, line by line; None for lines that changed otherwise. Comments and gaps are nothing."""
    old, new = (list(filter(None, map(_told, text.splitlines()))) for text in (before, after))
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if kind == "equal":
            continue
        pairs = list(zip(old[i:j], new[k:m], strict=False)) if j - i == m - k else []
        if not pairs:
            yield None
        for was, now in pairs:
            yield _change(was, now)


def _told(line: str) -> str:
    """A line without its comment; the colour `"#fff"` stays, for it stands in quotes."""
    if line.lstrip().startswith(("#", "//")):
        return ""
    bare = _COMMENT.sub("", line).rstrip()
    return bare if bare.count('"') % 2 == bare.count("'") % 2 == 0 else line.rstrip()


def _change(was: str, now: str) -> Change | None:
    one, other = _ASSIGNED.fullmatch(was), _ASSIGNED.fullmatch(now)
    if one is None or other is None or one[1] != other[1]:
        return None
    old, new = (match[2].rstrip(", ") for match in (one, other))
    return (one[1], old, new) if max(len(old), len(new)) <= _LONGEST_VALUE and old != new else None
