"""The agent of a new run on the page: which there are, and what its entries come to. No widget.

Entries are texts, as they were typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core import secrets
from core.caps import spends
from core.errors import UsageError
from core.launch import Options
from tui import text
from tui.agent_flags import agent_options, asks_a_model, need_key

if TYPE_CHECKING:
    from tui.starting import Choices

WORDS = {
    "search": "tunes numbers and structure; needs no key",
    "claude": "a model edits the whole file",
    "hybrid": "numbers by search, ideas by claude",
    "command": "Claude Code, Codex, aider, a script",
    "scripted": "replays patches",
}
NEEDS = {"script": ("scripted",), "command": ("command",), "model": ("claude", "hybrid"),
         "max_dollars": ("claude", "hybrid")}  # fmt: skip
MISSING = {
    "scripted": "name the file or folder of patches that is to be replayed",
    "command": "type the command, as in: claude -p --permission-mode acceptEdits",
}


def choices(chosen: str) -> list[tuple[str, str]]:
    """The agents to choose from, and the one that was asked for."""
    offered = [(f"{name} · {words}", name) for name, words in WORDS.items()]
    return offered if chosen in WORDS else [*offered, (text.one_line(chosen), chosen)]


def entries_of(options: Options) -> dict[str, str]:
    """What the flags fill in of the agent's entries."""
    kind, _, argument = options.agent.partition(":")
    own = {"scripted": "script", "command": "command"}
    told = {own[kind]: argument} if kind in own else {}
    agent = kind if kind in own else options.agent
    cap = "" if options.max_dollars is None else f"{options.max_dollars:.12g}"
    return {"agent": agent, "model": str(options.agent_options.get("model") or ""), "max_dollars": cap, **told}


def wish_of(chosen: Choices, given: Options, wrong: dict[str, str]) -> dict[str, Any]:
    """The fields of `Options` that the entries come to; what is wrong with them goes into `wrong`, by entry."""
    agent, argument = chosen.agent, {"scripted": chosen.script, "command": chosen.command}.get(chosen.agent)
    if argument is not None:
        agent = f"{agent}:{argument.strip()}"
        if not argument.strip():
            wrong["agent"] = MISSING[chosen.agent]
    calls = asks_a_model(agent)
    told: dict[str, Any] = dict(given.agent_options) if calls == asks_a_model(given.agent) else {}
    told.pop("model", None)
    try:
        told |= agent_options(agent, {"model": (chosen.model.strip() or None) if calls else None})
    except UsageError as error:
        wrong["agent"] = str(error)
    caps: dict[str, Any] = {"max_dollars": given.max_dollars, "max_tokens": given.max_tokens}
    if agent != given.agent and not spends(agent):
        caps = {"max_dollars": None, "max_tokens": None}
    if calls:
        caps["max_dollars"] = None
    if calls and chosen.max_dollars.strip():
        try:
            caps["max_dollars"] = float(chosen.max_dollars)
        except ValueError:
            wrong["max_dollars"] = "must be a number of dollars above 0"
    return {"agent": agent, "agent_options": told, **caps}


class KeyLook:
    """Whether the agent's key is there. A keyring that holds one, or does not answer, is asked once; a key that is
    set meanwhile is found."""

    def __init__(self) -> None:
        self._settled: str | None = None

    def trouble(self, agent: str, options: Mapping[str, Any]) -> str:
        """Why this agent cannot be asked; empty where nothing is known against it."""
        if not asks_a_model(agent):
            return ""
        if self._settled is None:
            words = ""
            try:
                need_key(agent, options)
            except UsageError as error:
                words = str(error).partition(": ")[2]
            if words != secrets.MISSING:
                self._settled = words
            return words
        return self._settled
