"""The user's own keys: which of them hold. One that another key has is passed over: no habit may end a trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import punctuation

from textual.keys import KEY_DISPLAY_ALIASES, Keys

from tui.keys import KEYS, names, written

_SHOWN = {"return": "enter", **{shown: name for name, shown in KEY_DISPLAY_ALIASES.items()}}  # `esc`, as in the help
_NAMED = {key.value for key in Keys if "+" not in key.value and not key.value.startswith("<")} | {
    "comma", *(next(names(character)) for character in punctuation if character != ",")
}  # fmt: skip
_SINGLE = re.compile(r"((?:(?:ctrl|shift|alt|super|hyper|meta)\+)*)(.+)", re.IGNORECASE)
_NEVER = {
    "ctrl+m": "terminals send it as enter",
    "ctrl+i": "terminals send it as tab",
    "ctrl+h": "terminals send it as backspace",
    "ctrl+j": "terminals send it as a new line",
    "ctrl+left_square_bracket": "terminals send it as esc",
    "ctrl+at": "terminals send it as nothing at all",
    "ctrl+q": "it leaves, always",
}


def settled(wanted: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """Of keys by id, as they were written in the order of the file: those that hold, in Textual's names, and why the
    others do not, a mend each."""
    good: dict[str, str] = {}
    wrong: list[str] = []
    ids = {key.id for key in KEYS}
    for id, keys in wanted.items():
        if id not in ids:
            wrong.append(f"keys.{id}: no key has this name; ? shows them in grey")
        elif not isinstance(keys, str) or not keys.strip():
            wrong.append(f'keys.{id} = {_toml(keys)}: write one text, several keys with commas between ("f5,f6")')
        elif isinstance(named := _named(keys), ValueError):
            wrong.append(f"keys.{id} = {_toml(keys)}: {named}")
        else:
            good[id] = named
    while clash := _clash(good):
        id, taken, owner = clash
        del good[id]
        mend = "take another key" if owner in good else f"to swap them give {owner} another key there too"
        wrong.append(f"keys.{id} = {_toml(wanted[id])}: {written(taken)} is the key of {owner}; {mend}")
    return good, wrong


def _clash(good: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The first that takes a key which another has: its id, the key, the id of the other."""
    owners = {name: key.id for key in KEYS if key.id not in good for name in names(key.keys)}
    for id, keys in good.items():
        for name in names(keys):
            if owners.setdefault(name, id) != id:
                return id, name, owners[name]
    return None


def _named(keys: str) -> str | ValueError:
    """Keys with commas between in Textual's names; or what is wrong with one of them."""
    found = []
    for single in map(str.strip, keys.split(",")):
        parts = _SINGLE.fullmatch(single)
        if not parts:
            return ValueError('a key is missing beside a comma; the comma itself is "comma"')
        modifiers, base = parts[1].lower(), parts[2] if len(parts[2]) == 1 else parts[2].lower()
        base = _SHOWN.get(base, base)
        if len(base) == 1:
            if "shift+" in modifiers and not base.isalpha():
                return ValueError(f"write what {single!r} types: the character itself")
            if modifiers == "shift+":
                modifiers, base = "", base.upper()
            elif base.isupper() and modifiers == "alt+":
                modifiers = "alt+shift+"
            base = next(names(base.lower() if modifiers else base))
        elif base not in _NAMED:
            return ValueError(f"there is no key {single!r}; there are, for example, j, ?, f5, ctrl+x, pagedown")
        if why := _NEVER.get(modifiers + base):
            return ValueError(f"{why}; take another key")
        found.append(modifiers + base)
    return ",".join(found)


def _toml(value: object) -> str:
    """As it stands in the file, nearly."""
    return f'"{value}"' if isinstance(value, str) else str(value)
