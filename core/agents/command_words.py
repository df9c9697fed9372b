"""What a command-line agent prints: shown while it comes, and read for its last message and for what it cost.

Plain text is its own last message. Two programs are understood when they print JSON, a value a line: Claude Code
(`--output-format json` or `stream-json`) and Codex (`--json`); a script may print Claude Code's last line as well:

    {"type": "result", "result": "why …\\nDESCRIPTION: what", "total_cost_usd": 0.01}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from core.log import plain
from core.spending import Usage

ASKED, NOTED = "DESCRIPTION:", "NOTE:"  # how the prompt asks the last line, and what is to be kept, to begin
MOST_NOTES = 3  # of one proposal
LONGEST_MESSAGE = 64 * 1024  # characters of plain text that are kept, the last ones
LONGEST_DESCRIPTION, LONGEST_HYPOTHESIS = 120, 4000
_LONGEST_WORD = 200
_MARKS = " \t>*_#`-"
_DESCRIBED = re.compile(rf"^[{re.escape(_MARKS)}]*{ASKED[:-1]}[*_`]*\s*:\s*(.*)$", re.I)
_NOTE = re.compile(rf"^[{re.escape(_MARKS)}]*{NOTED[:-1]}[*_`]*:[{re.escape(_MARKS)}]*(.*\w.*)$", re.M)
_CLAUDE_USAGE = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class Words:
    """Everything one run of the command said on stdout. Nothing of it is trusted, all of it is bounded.

    failed: why it says itself that it failed; empty where it does not.
    dollars, usage: what it says it cost; None where it says nothing.
    """

    def __init__(self) -> None:
        self.failed = ""
        self.dollars: float | None = None
        self.usage: Usage | None = None
        self._message: str | None = None  # the last message of a program that prints JSON
        self._text = ""  # the end of what it printed as plain text

    def hear(self, lines: Sequence[str]) -> str:
        """Take lines of stdout, without their ends. Returns what is to be shown of them."""
        shown: list[str] = []
        text: list[str] = []
        for line in lines:
            told = _object(line) if line.lstrip().startswith("{") else None
            if told is None:
                text.append(line)
                continue
            shown.append(self._keep(text))
            text = []
            if said := plain(self._take(told)).strip():
                shown.append(f"{said}\n")
        return "".join([*shown, self._keep(text)])

    @property
    def message(self) -> str:
        """Its last message."""
        said = self._text if self._message is None else plain(self._message)
        return said[-LONGEST_MESSAGE:].strip()

    def _keep(self, lines: Sequence[str]) -> str:
        text = plain("\n".join(lines)) + "\n" if lines else ""
        self._text = (self._text + text)[-LONGEST_MESSAGE:]
        return text

    def _take(self, told: Mapping[str, Any]) -> str:
        match told["type"]:
            case "result":  # Claude Code's last line
                return self._take_result(told)
            case "assistant":
                return _spoken(told)
            case "turn.completed":  # Codex
                self.usage = _codex_usage(told.get("usage")) or self.usage
            case "turn.failed":
                said = _text(told, "error", "message")
                self.failed = plain(said).strip() or "its turn failed"
                return said
            case "error":
                return _text(told, "message")
            case "item.completed" if isinstance(item := told.get("item"), dict):
                if item.get("type") == "agent_message":
                    self._message = _text(item, "text")
                return _item(item)
        return ""

    def _take_result(self, told: Mapping[str, Any]) -> str:
        kind, said = _text(told, "subtype")[:_LONGEST_WORD], _text(told, "result")
        if told.get("is_error") is True or kind.startswith("error"):
            how = kind.replace("_", " ") if kind.startswith("error") else ""
            self.failed = plain(said).strip() or plain(how).strip() or "it says that it failed"
        already, self._message = self._message, said
        self.dollars = _amount(told.get("total_cost_usd"))
        usage = told.get("usage")
        if isinstance(usage, dict):
            self.usage = Usage(*(_count(usage.get(key)) for key in _CLAUDE_USAGE))
        return "" if already == said else said


def described(message: str) -> tuple[str, str]:
    """The description and the hypothesis in a last message: what follows DESCRIPTION:, else its last line; the rest.

    What it wants to be told again is in neither.
    """
    lines = [line for line in message.splitlines() if not _NOTE.match(line)]
    marked = [n for n, line in enumerate(lines) if (m := _DESCRIBED.match(line)) and m[1].strip(_MARKS)]
    spoken = [n for n, line in enumerate(lines) if any(c.isalnum() for c in line)]
    if not spoken:
        return "", ""
    at = marked[-1] if marked else spoken[-1]
    found = _DESCRIBED.match(lines[at]) if marked else None
    said = " ".join((found[1] if found else lines[at]).strip(_MARKS).split())
    rest = "\n".join(lines[:at] + lines[at + 1 :]).strip()
    return shortened(said, LONGEST_DESCRIPTION), rest[-LONGEST_HYPOTHESIS:].strip()


def noted(message: str) -> list[str]:
    """What it wants to be told again."""
    return [" ".join(found[1].split()) for found in _NOTE.finditer(message)][:MOST_NOTES]


def shortened(text: str, longest: int) -> str:
    """At most that many characters, with the sign that some are missing."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _object(line: str) -> dict[str, Any] | None:
    """A JSON object with a type, as such programs print them; None for any other line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else None


def _spoken(told: Mapping[str, Any]) -> str:
    """What Claude Code says and does in one message."""
    message = told.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    said = []
    for block in content if isinstance(content, list) else []:
        if not isinstance(block, dict):
            continue
        if block.get("type") == "tool_use":
            given = block.get("input")
            about = _first(given, "file_path", "path", "command", "pattern") if isinstance(given, dict) else ""
            said.append(_deed(_text(block, "name"), about))
        else:
            said.append(_text(block, "text") or _text(block, "thinking"))
    return "\n".join(filter(None, said))


def _item(item: Mapping[str, Any]) -> str:
    """What Codex says and does in one item."""
    return _text(item, "text") or _deed(_text(item, "type"), _text(item, "command"))


def _deed(name: str, about: str) -> str:
    return f"[{shortened(' '.join(f'{name} {about}'.split()), _LONGEST_WORD)}]"


def _codex_usage(told: Any) -> Usage | None:
    if not isinstance(told, dict):
        return None
    read = _count(told.get("cached_input_tokens"))  # they are among its input tokens
    return Usage(max(0, _count(told.get("input_tokens")) - read), read, 0, _count(told.get("output_tokens")))


def _text(told: Mapping[str, Any], *keys: str) -> str:
    found: Any = told
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _first(told: Mapping[str, Any], *keys: str) -> str:
    return next((said for key in keys if (said := _text(told, key))), "")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else 0


def _amount(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and 0 <= value < 1e9
    return float(value) if known else None
