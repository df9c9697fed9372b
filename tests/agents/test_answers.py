"""Answers gathered from a stream: whole, cut, in pieces of any size, and of servers that say anything."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.agents.answers import LONGEST_ANSWER, Gathering, NotTheApi, TooLong
from core.spending import Usage

START = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


def gathered(*events) -> Gathering:
    answer = Gathering()
    for event in events:
        answer.add(event)
    return answer


def started(index: int, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **what):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **what}}


@given(
    st.text(max_size=60), st.lists(st.integers(0, 60), max_size=5), st.dictionaries(st.text(), st.text(), max_size=3)
)
def test_pieces_of_any_size_make_the_same_answer(words, cuts, given):
    events = [START, started(0, type="thinking", thinking="", signature=""), started(1, type="text", text="")]
    events.append(started(2, type="tool_use", id="t", name="edit", input={}))
    for index, kind, key, whole in (
        (0, "thinking_delta", "thinking", words),
        (0, "signature_delta", "signature", "sig"),
        (1, "text_delta", "text", words + "!"),
        (2, "input_json_delta", "partial_json", json.dumps(given)),
    ):
        places = sorted({0, len(whole), *(min(c, len(whole)) for c in cuts)})
        events += [delta(index, kind, **{key: whole[a:b]}) for a, b in itertools.pairwise(places)]
    answer = gathered(*events, *END).whole()
    assert answer is not None
    assert answer.content == [
        {"type": "thinking", "thinking": words, "signature": "sig"},
        {"type": "text", "text": words + "!"},
        {"type": "tool_use", "id": "t", "name": "edit", "input": given},
    ]
    assert (answer.stop_reason, answer.usage, answer.unreadable) == ("tool_use", Usage(10, 0, 0, 9), ())


@pytest.mark.parametrize("text", ['{"path": "tr', "[1]", "nonsense", "3", '"x"', "[" * 100_000])
def test_input_that_is_no_object_is_marked(text):
    call = started(0, type="tool_use", id="t7", name="edit", input={})
    answer = gathered(START, call, delta(0, "input_json_delta", partial_json=text), *END).whole()
    assert answer.unreadable == ("t7",)
    assert answer.content[0]["input"] == {}


def test_an_answer_is_whole_only_with_a_reason_why_it_stopped():
    assert gathered().whole() is None
    assert gathered(START, started(0, type="text", text="half")).whole() is None
    assert gathered(*END).whole() is None
    assert gathered(START, END[0]).whole() is not None


def test_usage_is_total_and_never_shrinks():
    counts = {"input_tokens": 7, "cache_read_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 30,
              "ephemeral_5m_input_tokens": 4}, "output_tokens": 1}  # fmt: skip
    answer = gathered(
        {"type": "message_start", "message": {"usage": counts}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 40, "input_tokens": 3},
        },
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": -3, "cache_read_input_tokens": None}},
    )
    assert answer.usage == Usage(7, 5, 34, 40)
    assert answer.hour_writes == 30


def test_blocks_that_are_not_handed_back_are_left_out():
    blocks = (
        started(0, type="server_tool_use", id="s"),
        started(1, type="text", text=""),
        delta(5, "text_delta", text="x"),
        started(2, type="redacted_thinking", data="abc"),
        delta(2, "text_delta", text="x"),
    )
    answer = gathered(START, *blocks, {"type": "new_event"}, *END).whole()
    assert answer.content == [{"type": "redacted_thinking", "data": "abc"}]


def test_an_answer_that_does_not_end_is_given_up():
    answer = gathered(START, started(0, type="text", text=""))
    piece = delta(0, "text_delta", text="x" * 2**20)
    for _ in range(LONGEST_ANSWER // 2**20 - 1):
        answer.add(piece)
    with pytest.raises(TooLong, match="does not end"):
        answer.add(piece)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
KEYS = ["type", "index", "delta", "message", "usage", "content_block", "text", "id", "input"]
KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "x"]
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)
strange = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(KEYS), anything, max_size=4),
)


@given(st.lists(strange, max_size=8))
def test_no_event_is_too_strange(events):
    answer = Gathering()
    for event in events:
        try:
            answer.add(event)
        except NotTheApi:
            return
    answer.whole()
