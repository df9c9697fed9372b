"""What an edit of the user's own is called: after what it really changes, for the agent's words are no longer so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

BY_HAND = "edited by hand"
_NAMED = 2  # settings that are told one by one
_LONGEST_VALUE = 40  # characters
_ASSIGNED = re.compile(r"""\s*["']?([A-Za-z_][\w.\-]*)["']?\s*(?::[\w\[\], .|\t]+)?[=:]\s*(\S.*)""")
_HASH = ".py .pyi .toml .yaml .yml .sh .bash .zsh .cfg .conf .ini .env .rb .r .jl .pl .mk .cmake Makefile Dockerfile"
_SLASHES = (
    ".c .h .cc .cpp .cxx .hh .hpp .cu .cuh .m .mm .metal .js .mjs .ts .jsx .tsx .java .kt .scala .go .rs .swift .zig "
    ".cs .dart .php .proto .jsonc .json5 .glsl .wgsl .v .sv"
)
# How a comment begins, by a file's ending; in a text of another kind, as a prompt in Markdown, nothing is one.
_COMMENTS = {**dict.fromkeys(_HASH.split(), "#"), **dict.fromkeys(_SLASHES.split(), "//")}

Change = tuple[tuple[str, str], str, str]  # a file and its setting, the value before and after


def described(before: Mapping[str, str], proposal: Mapping[str, str], after: Mapping[str, str], said: str) -> str:
    """`WEIGHT_DECAY 0.2 → 0.1 (edited by hand)`: what changed against `before`, what the user changed of the proposal
    first. Where no setting changed, the words that were said of the proposal, marked so. All by path, whole texts."""
    own = {change[0] for change in _changes(proposal, after) if change}
    changes = list(_changes(before, after))
    settings = sorted(filter(None, changes), key=lambda change: change[0] not in own)
    if not settings:
        return f"{BY_HAND}: {said}"
    told = [f"{name} {old} → {new}" for (_, name), old, new in settings[:_NAMED]]
    told += [f"+{len(settings) - _NAMED} more"] if len(settings) > _NAMED else []
    return f"{', '.join([*told, *['other lines'] * (None in changes)])} ({BY_HAND})"


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change | None]:
    """The settings that changed, file by file; None for lines that changed otherwise. Comments and gaps are nothing."""
    for path in sorted(after):
        comment = _COMMENTS.get(Path(path).suffix.lower() or Path(path).name)
        old, new = (
            list(filter(None, (_told(line, comment) for line in text.splitlines())))
            for text in (before.get(path, ""), after[path])
        )
        for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new).get_opcodes():
            if kind == "equal":
                continue
            if j - i != m - k:
                yield None
                continue
            for was, now in zip(old[i:j], new[k:m], strict=True):
                change = _change(was, now)
                yield ((path, change[0]), *change[1:]) if change else None


def _told(line: str, comment: str | None) -> str:
    """A line without its comment; the colour `"#fff"` stays, for it stands in quotes."""
    if comment is None:
        return line.rstrip()
    if line.lstrip().startswith(comment):
        return ""
    bare = re.sub(rf"\s+{comment}.*$", "", line).rstrip()
    return bare if bare.count('"') % 2 == bare.count("'") % 2 == 0 else line.rstrip()


def _change(was: str, now: str) -> tuple[str, str, str] | None:
    one, other = _ASSIGNED.fullmatch(was), _ASSIGNED.fullmatch(now)
    if one is None or other is None or one[1] != other[1]:
        return None
    old, new = (match[2].rstrip(", ") for match in (one, other))
    return (one[1], old, new) if max(len(old), len(new)) <= _LONGEST_VALUE and old != new else None
