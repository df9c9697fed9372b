"""Where trying again would only cost, or lead to the same refusal: the user is asked, and nothing is shown raw."""

from __future__ import annotations

import dataclasses
import random
import socket

import pytest
from claude_desk import PRICE_IN, PRICE_OUT, claude, propose, request
from messages_server import MessagesServer, Step, cut, edit_and_submit, error_in_stream, reply, status, tool

from core import secrets
from core.agents import CalledOff, Unable
from core.agents.calls import MOST_BROKEN
from core.agents.claude import Claude
from core.desk import Paper
from core.history import History
from core.spending import Spent

GOOD = edit_and_submit("0.5", "0.4")
LOOK = reply(tool("read_file", path="train.py"))
PAGE = b"<!DOCTYPE HTML>\n<html><head><title>Error response</title></head><body>Unsupported method</body></html>"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setattr(secrets, "_handed", "sk-ant-api03-canary-0123456789")
    monkeypatch.setattr(secrets, "_refused", "")


def page(code: int) -> Step:
    return Step(code, {"content-type": "text/html;charset=utf-8"}, PAGE)


@pytest.mark.parametrize("code", [405, 501])
def test_a_server_of_another_kind_needs_the_user(tmp_path, code):
    with MessagesServer([page(code)]) as server:
        asked = request(tmp_path)
        with pytest.raises(Unable) as unable:
            propose(server, asked)
        assert f"{server.url} does not answer as the Messages API does ({code} " in unable.value.reason
    assert "ANTHROPIC_BASE_URL" in unable.value.mend
    assert "<" not in str(unable.value)
    assert asked.desk.waited == []
    assert [dollars for _, dollars in asked.desk.settled.values()] == [0.0]


@pytest.mark.parametrize(("code", "said"), [(502, "502 bad gateway"), (529, "529 overloaded")])
def test_a_web_page_is_never_shown(tmp_path, code, said):
    with MessagesServer([page(code), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    assert [reason for _, reason in asked.desk.waited] == [said]
    assert "<" not in "".join(asked.desk.said)


def test_a_server_of_ones_own_that_is_down_is_asked_after(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    desk = Paper(tmp_path)
    monkeypatch.setattr(desk, "wait", lambda seconds, reason: desk.waited.append((seconds, reason)))
    with pytest.raises(CalledOff):
        Claude({"base_url": url}).propose(request(tmp_path, desk=desk))
    assert desk.waited[0][1].endswith("; is the server started, and ANTHROPIC_BASE_URL its address?")
    monkeypatch.setattr("core.agents.claude.OFFICIAL", url)
    with pytest.raises(CalledOff):
        Claude({"base_url": url}).propose(request(tmp_path, desk=desk))
    assert "ANTHROPIC_BASE_URL" not in desk.waited[1][1]


@pytest.mark.parametrize(
    "refusal", [status(400, "messages.1: thinking blocks cannot be modified"), status(413, "large")]
)
def test_what_provoked_a_refusal_is_not_sent_again(tmp_path, refusal):
    with MessagesServer([LOOK, refusal, GOOD]) as server:
        asked, agent = request(tmp_path), claude(server)
        with pytest.raises(Unable):
            agent.propose(asked)
        assert asked.desk.turns == []
        assert agent.propose(asked).edits
        assert [len(sent["messages"]) for sent in server.requests] == [1, 3, 1]


@pytest.mark.parametrize("refusal", [status(400, "Your credit balance is too low"), status(401), status(403)])
def test_turns_that_were_paid_for_are_kept_where_it_is_the_account(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(secrets, "refuse", lambda key: None)
    with MessagesServer([LOOK, refusal, GOOD]) as server:
        asked, agent = request(tmp_path), claude(server)
        with pytest.raises(Unable):
            agent.propose(asked)
        assert agent.propose(asked).edits
        assert [len(sent["messages"]) for sent in server.requests] == [1, 3, 3]


def test_the_turns_of_another_model_are_not_replayed_and_stay_counted(tmp_path):
    class Killed(Paper):
        """Its engine was killed between the turn and its settlement."""

        def settle(self, *words):
            raise KeyboardInterrupt

    killed = Killed(tmp_path)
    with MessagesServer([LOOK]) as server, pytest.raises(KeyboardInterrupt):
        propose(server, request(tmp_path, desk=killed))
    desk = Paper(tmp_path)
    desk.turns, desk.reserved = killed.turns, killed.reserved
    spent = Spent()
    for call, (_, tokens, dollars) in enumerate(desk.reserved):
        spent = spent.reserved(call, tokens, dollars)
    asked = request(tmp_path, desk=desk, history=dataclasses.replace(History(), spent=spent))
    with MessagesServer([GOOD]) as other:
        proposal = propose(other, asked, model="claude-sonnet-5-5")
        assert [len(sent["messages"]) for sent in other.requests] == [1]
    assert proposal.details["calls"] == 1
    assert [kept["turn"]["model"] for kept in desk.turns] == ["claude-sonnet-5-5"]
    used, dollars = desk.settled[0]
    assert dollars == pytest.approx((used.input * PRICE_IN + used.output * PRICE_OUT) / 1e6)
    assert any("another model's" in words for words in desk.said)


BROKEN = [cut(GOOD, 0), cut(GOOD, -1), cut(GOOD, 5), error_in_stream("overloaded_error", GOOD.events[:4])]


def test_answers_that_break_off_are_not_paid_for_ever(tmp_path):
    chance = random.Random(0)
    storm = [[chance.choice(BROKEN), status(529)] for _ in range(MOST_BROKEN)]  # 529 costs nothing and changes nothing
    with MessagesServer([*(step for pair in storm for step in pair), GOOD]) as server:
        asked, agent = request(tmp_path), claude(server)
        with pytest.raises(Unable) as unable:
            agent.propose(asked)
        assert len(server.requests) == 2 * MOST_BROKEN - 1
        assert "10 answers in a row broke off; each may have been charged" in unable.value.reason
        assert "then say resume" in unable.value.mend
        assert agent.propose(asked).edits  # the user says resume


def test_they_are_tried_for_ever_where_they_cost_nothing(tmp_path):
    with MessagesServer([*[cut(GOOD, 0)] * (2 * MOST_BROKEN), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked, model="local", price_in=0, price_out=0).edits
    assert len(asked.desk.waited) == 2 * MOST_BROKEN
