"""A model's answer, gathered from the events of the streaming Messages API as they come.

What a server sends is checked, not trusted: it may be anybody's. An answer is bounded, and one that was cut is known as
such; the usage of one that broke off is known as far as it can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.facts import fact
from core.spending import Usage

LONGEST_ANSWER = 8 * 2**20  # characters; far more than any limit in tokens allows
_BLOCKS = {  # the kinds of blocks that are handed back in the next turn, and what of them is
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
}
_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}


class NotTheApi(Exception):
    """What came is not the streaming Messages API."""


class TooLong(Exception):
    """The answer does not end."""


@fact
class Answer:
    """One whole answer. `content`: its blocks, as the next turn hands them back.

    unreadable: ids of tool calls whose input is no JSON. hour_writes: tokens written into the cache for an hour.
    refusal: in a refusal, the server's words on it. counted: whether the server said what it used, in and out.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    usage: Usage
    hour_writes: int = 0
    unreadable: tuple[str, ...] = ()
    refusal: str = ""
    counted: bool = True


@dataclass(slots=True)
class Gathering:
    """An answer that is still coming."""

    started: bool = False
    ended: bool = False
    stop_reason: str = ""
    refusal: str = ""
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    hour_writes: int = 0
    output: int = 0
    counted_out: bool = False
    _blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    _json: dict[int, list[str]] = field(default_factory=dict)
    _pieces: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    _length: int = 0

    def add(self, event: Mapping[str, Any]) -> str:
        """Take the next event. Returns the words in it that are to be shown. Raises NotTheApi, TooLong."""
        try:
            match event.get("type"):
                case "message_start":
                    self._count(event["message"].get("usage") or {})
                    self.started = True
                case "content_block_start":
                    return self._open(event["index"], event["content_block"])
                case "content_block_delta":
                    return self._grow(event["index"], event["delta"])
                case "message_delta":
                    self._stop(event["delta"])
                    usage = event.get("usage") or {}
                    self._count(usage)
                    self.counted_out = self.counted_out or "output_tokens" in usage
                case "message_stop":
                    self.ended = True
        except (KeyError, TypeError, AttributeError) as error:
            raise NotTheApi(f"an event of it cannot be read: {type(error).__name__}") from None
        return ""

    @property
    def usage(self) -> Usage:
        return Usage(self.input, self.cache_read, self.cache_write, self.output)

    @property
    def counted_in(self) -> bool:
        """Whether the server has said how long the prompt was."""
        return self.input + self.cache_read + self.cache_write > 0

    def whole(self) -> Answer | None:
        """The answer, if it came to its end: it has a reason why it stopped."""
        if not (self.started and self.stop_reason):
            return None
        for (index, key), pieces in self._pieces.items():
            self._blocks[index][key] = "".join(pieces)
        content, unreadable = [], []
        for index, block in sorted(self._blocks.items()):
            if block["type"] == "tool_use" and not self._read_input(index, block):
                unreadable.append(block["id"])
            if block["type"] != "text" or block["text"]:  # the API takes back no empty text
                content.append(block)
        counted = self.counted_in and self.counted_out
        return Answer(content, self.stop_reason, self.usage, self.hour_writes, tuple(unreadable), self.refusal, counted)

    def _open(self, index: int, block: Mapping[str, Any]) -> str:
        kind = block["type"]
        if kind not in _BLOCKS or not isinstance(index, int):
            return ""
        opened = {"type": kind} | {key: block.get(key) for key in _BLOCKS[kind]}
        for key, value in opened.items():
            if key == "input":
                opened[key] = value if isinstance(value, dict) else {}
            elif not isinstance(value, str):
                opened[key] = ""
        self._grown(sum(len(str(value)) for value in opened.values()))
        self._blocks[index] = opened
        if kind == "tool_use":
            return f"\n[{opened['name']} …]\n"
        for key in _BLOCKS[kind]:
            self._pieces[index, key] = [opened[key]]
        begun = opened.get("text") or opened.get("thinking") or ""
        return f"\n{begun}" if len(self._blocks) > 1 else str(begun)

    def _grow(self, index: int, delta: Mapping[str, Any]) -> str:
        kind = delta["type"]
        block = self._blocks.get(index)
        if kind not in _DELTAS or block is None or block["type"] != _DELTAS[kind][0]:
            return ""
        key = _DELTAS[kind][1]
        piece = delta[key]
        if not isinstance(piece, str):
            raise TypeError
        self._grown(len(piece))
        if kind == "input_json_delta":
            self._json.setdefault(index, []).append(piece)
            return ""
        self._pieces[index, key].append(piece)
        return piece if kind != "signature_delta" else ""

    def _grown(self, characters: int) -> None:
        self._length += characters
        if self._length > LONGEST_ANSWER:
            raise TooLong(f"the answer does not end: more than {LONGEST_ANSWER:,} characters came")

    def _stop(self, delta: Mapping[str, Any]) -> None:
        if isinstance(reason := delta.get("stop_reason"), str):
            self.stop_reason = reason
        if isinstance(details := delta.get("stop_details"), Mapping):
            said = (details.get("category"), details.get("explanation"))
            self.refusal = ": ".join(part for part in said if isinstance(part, str) and part)

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Counts are totals so far; one that is left out stays as it was, and none ever shrinks."""
        self.input = max(self.input, _tokens(usage.get("input_tokens")))
        self.cache_read = max(self.cache_read, _tokens(usage.get("cache_read_input_tokens")))
        self.cache_write = max(self.cache_write, _tokens(usage.get("cache_creation_input_tokens")))
        self.output = max(self.output, _tokens(usage.get("output_tokens")))
        if isinstance(kinds := usage.get("cache_creation"), Mapping):
            self.hour_writes = max(self.hour_writes, _tokens(kinds.get("ephemeral_1h_input_tokens")))
            self.cache_write = max(self.cache_write, self.hour_writes + _tokens(kinds.get("ephemeral_5m_input_tokens")))

    def _read_input(self, index: int, block: dict[str, Any]) -> bool:
        """Put a tool call's streamed input into its block. False: it is no JSON object."""
        text = "".join(self._json.get(index, ()))
        if not text.strip():
            return True
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        block["input"] = given if isinstance(given, dict) else {}
        return isinstance(given, dict)


def _tokens(count: Any) -> int:
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0
