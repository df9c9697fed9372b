"""The command that makes a run go on, in words that the engine wrote: it knows the tag, not where they are read."""

from __future__ import annotations

import re
from pathlib import Path

from core.launch import command_for
from tui import text

_EXPECTED = ("the limit was reached", "stopped by the user")  # of which nothing need be said


def as_typed(words: str, tag: str, command: str | None) -> str:
    """These words, with this command in the place of `autoresearch resume TAG`; without one they stay as they are."""
    if not command or not tag:
        return words
    bare = rf"autoresearch resume {re.escape(tag)}(?![\w-]|\.\w| --workspace)"
    return re.sub(bare, lambda _: command, words)


def as_typed_here(words: str, run_folder: Path) -> str:
    """The same for a run whose command is to work in the current folder."""
    return as_typed(words, run_folder.name, command_for(run_folder, "resume"))


def sibling(resume: str | None, tag: str, name: str) -> str:
    """Another command about the same run, from the one that makes it go on; "" where none does."""
    resume = f"autoresearch resume {tag}" if resume is None else resume
    return resume.replace("autoresearch resume", f"autoresearch {name}", 1)


def last_words(message: str | None) -> str:
    """Why a run ended, where that is more than what was asked of it."""
    return "" if message in _EXPECTED else text.one_line(message or "")


def for_more(message: str | None, agent: str, command: str | None) -> str:
    """What makes a run that is done go on; empty where its last words hold it, as those of a cap do."""
    if not command or "--max-" in (message or ""):
        return ""
    kind, _, script = agent.partition(":")
    if kind == "scripted" and message != _EXPECTED[0]:  # it has replayed all that it was given
        return f"write more patches to {text.one_line(script)}, then: `{command} --experiments N`"
    return f"for more: `{command} --experiments 20`"
