"""What command-line agents print, understood: plain text, Claude Code's JSON, Codex's JSON, and nonsense."""

from __future__ import annotations

import json
import random

import pytest

from core.agents.command_words import LONGEST_MESSAGE, Words, described
from core.spending import Usage


def heard(*lines: object) -> tuple[Words, str]:
    words = Words()
    shown = words.hear([line if isinstance(line, str) else json.dumps(line) for line in lines])
    return words, shown


def test_plain_text_is_its_own_last_message() -> None:
    words, shown = heard("I looked.", "", '{"loss": 3}', "{not json", "DESCRIPTION: wider")
    assert shown == 'I looked.\n\n{"loss": 3}\n{not json\nDESCRIPTION: wider\n'
    assert described(words.message) == ("wider", 'I looked.\n\n{"loss": 3}\n{not json')
    assert (words.dollars, words.usage, words.failed) == (None, None, "")


def test_claude_code_in_one_line_and_as_a_stream() -> None:
    usage = {"input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 1}
    result = {
        "type": "result", "subtype": "success", "is_error": False, "num_turns": 3, "result": "Why.\nDESCRIPTION: x",
        "total_cost_usd": 0.0123, "usage": usage,
    }  # fmt: skip
    words, shown = heard(result)
    assert shown == "Why.\nDESCRIPTION: x\n"
    assert described(words.message) == ("x", "Why.")
    assert words.dollars == 0.0123
    assert words.usage == Usage(input=4, cache_read=3, cache_write=2, output=1)
    edit = {"type": "tool_use", "name": "Edit", "input": {"file_path": "train.py", "old_string": "a"}}
    words, shown = heard(
        {"type": "system", "subtype": "init", "tools": ["Edit"]},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "Let me\x1b[31m see."}, edit]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": "ok"}]}},
        result,
    )
    assert shown == "Let me see.\n[Edit train.py]\nWhy.\nDESCRIPTION: x\n"
    assert (words.message, words.dollars) == ("Why.\nDESCRIPTION: x", 0.0123)


def test_claude_code_that_failed() -> None:
    assert heard({"type": "result", "subtype": "error_max_turns", "is_error": False})[0].failed == "error max turns"
    assert heard({"type": "result", "is_error": True, "result": "Not logged in"})[0].failed == "Not logged in"
    assert heard({"type": "result", "is_error": True, "result": "\x1b[3m"})[0].failed == "it says that it failed"


def test_codex() -> None:
    words, shown = heard(
        {"type": "thread.started", "thread_id": "1"},
        {"type": "item.completed", "item": {"type": "reasoning", "text": "Hm."}},
        {"type": "item.completed", "item": {"type": "command_execution", "command": "bash -lc ls"}},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "So.\nDESCRIPTION: y"}},
        {"type": "turn.completed", "usage": {"input_tokens": 10, "cached_input_tokens": 7, "output_tokens": 5}},
    )
    assert shown == "Hm.\n[command_execution bash -lc ls]\nSo.\nDESCRIPTION: y\n"
    assert described(words.message) == ("y", "So.")
    assert words.usage == Usage(input=3, cache_read=7, output=5)
    words, shown = heard(
        {"type": "error", "message": "reconnecting"}, {"type": "turn.failed", "error": {"message": "no"}}
    )
    assert (words.failed, shown) == ("no", "reconnecting\nno\n")


@pytest.mark.parametrize(
    ("message", "description", "hypothesis"),
    [
        ("", "", ""),
        ("```\n---\n", "", ""),
        ("Tried it.\n\n**DESCRIPTION:** `RATE` 0.5 → 0.4**\n", "RATE` 0.5 → 0.4", "Tried it."),
        ("> description: lower case\nand more", "lower case", "and more"),
        ("DESCRIPTION: first\nDESCRIPTION: second\nbye", "second", "DESCRIPTION: first\nbye"),
        ("DESCRIPTION:\nThe last line.\n", "The last line.", "DESCRIPTION:"),
        ("Because.\n- lower the rate\n```\n", "lower the rate", "Because.\n```"),
        ("ＤＥＳＣ 幅を広げる", "ＤＥＳＣ 幅を広げる", ""),
        ("DESCRIPTION: " + "x" * 500, "x" * 119 + "…", ""),
    ],
)
def test_the_description_is_what_follows_the_word_or_the_last_line(
    message: str, description: str, hypothesis: str
) -> None:
    assert described(message) == (description, hypothesis)


def test_numbers_that_are_none_are_not_believed() -> None:
    for cost in ("1", True, -1, float("nan"), float("inf"), 1e12, None, [1]):
        words, _ = heard({"type": "result", "result": "x", "total_cost_usd": cost, "usage": {"input_tokens": cost}})
        assert words.dollars is None
        assert words.usage == Usage()


def test_nonsense_is_bounded_and_harmless() -> None:
    rng = random.Random(0)
    values = ["x", 3, None, True, [], {}, ["y"], {"type": "text", "text": 3}, {"content": [1, {"type": "tool_use"}]}]
    kinds = ["result", "assistant", "error", "turn.failed", "turn.completed", "item.completed", "", "system"]
    keys = ["message", "result", "usage", "item", "error", "is_error", "subtype", "total_cost_usd", "text"]
    words = Words()
    for _ in range(2000):
        told = {key: rng.choice(values) for key in rng.sample(keys, rng.randrange(len(keys)))}
        words.hear([json.dumps({**told, "type": rng.choice(kinds)})])
        described(words.message)
    words.hear(["[" * 100_000, "{" * 100_000, '{"a":' * 100_000, "z" * 10 * LONGEST_MESSAGE])
    assert len(words.message) <= LONGEST_MESSAGE
