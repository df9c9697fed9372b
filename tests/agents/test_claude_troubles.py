"""What can go wrong on the way to a model: tried again for ever where that helps, said with the mend where not."""

from __future__ import annotations

import email.utils
import socket
import threading
import time

import pytest
from claude_desk import claude, propose, request
from messages_server import (
    MessagesServer,
    Step,
    cut,
    edit_and_submit,
    error_in_stream,
    hang,
    raw,
    reply,
    status,
    text,
    tool,
)

from core import secrets
from core.agents import CalledOff, Refused, Unable
from core.agents.calls import LONGEST_WAIT
from core.agents.claude import Claude
from core.agents.conversation import MOST_TURNS
from core.agents.wire import asked_to_wait
from core.desk import Paper
from core.spending import Usage

KEY = "sk-ant-api03-canary-0123456789"
GOOD = edit_and_submit("0.5", "0.4")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setattr(secrets, "_handed", KEY)
    monkeypatch.setattr(secrets, "_refused", "")


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504, 520, 529])
def test_what_passes_by_itself_is_tried_again_and_costs_nothing(tmp_path, code):
    with MessagesServer([status(code, "Try later"), status(code), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    waits = asked.desk.waited
    assert len(waits) == 2
    assert waits[0][1].startswith(f"{code} ")
    assert "Try later" in waits[0][1]
    assert 1.5 <= waits[0][0] <= 2.0
    assert 3.0 <= waits[1][0] <= 4.0
    assert [asked.desk.settled[k] for k in (0, 1)] == [(Usage(), 0.0)] * 2
    assert server.keys == [KEY] * 3


def test_a_storm_of_529_is_waited_out_for_ever_and_the_waits_are_capped(tmp_path):
    with MessagesServer([*[status(529, "Overloaded")] * 40, GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    seconds = [s for s, _ in asked.desk.waited]
    assert len(seconds) == 40
    assert max(seconds) <= LONGEST_WAIT
    assert all(s >= 0.75 * LONGEST_WAIT for s in seconds[8:])
    assert len(set(seconds)) > 30  # not all engines of the world at the same moment
    assert sum(d for _, d in asked.desk.settled.values()) == server.dollars(4, 20)


def test_retry_after_is_obeyed_capped_and_shown(tmp_path):
    later = email.utils.formatdate(time.time() + 86_400, usegmt=True)
    steps = [
        status(429, retry_after="7"),
        status(429, retry_after="86400"),
        status(429, retry_after=later),
        status(529, retry_after_ms="2500"),
        status(429, retry_after="soon"),
        status(429, retry_after="nan"),
        status(429, retry_after="-5"),
    ]
    with MessagesServer([*steps, GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    waits = asked.desk.waited
    assert waits[0] == (7.0, "429 rate limit: no")
    for k in (1, 2):
        assert waits[k] == (LONGEST_WAIT, "429 rate limit: no; the server asks for 24 h, tried again sooner")
    assert waits[3][0] == 2.5
    assert all(0 < seconds <= LONGEST_WAIT for seconds, _ in waits)


def test_a_server_that_is_ready_at_once_again_and_again_is_believed_some_times(tmp_path):
    with MessagesServer([*[status(529, "Overloaded", retry_after="0")] * 20, GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    seconds = [s for s, _ in asked.desk.waited]
    assert all(s <= 1.0 for s in seconds[:8])
    assert seconds[8:] == [60.0] * 12


@pytest.mark.parametrize("value", ["", "x", "1e400", "inf", "Wed, 99 Foo 2026", "0x10"])
def test_a_retry_after_of_any_kind_is_survived(value):
    seconds = asked_to_wait({"retry-after": value})
    assert seconds is None or 0 <= seconds <= 1e9


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 8, 11])
def test_a_connection_that_breaks_off_is_asked_again_and_counts_in_full(tmp_path, after):
    with MessagesServer([cut(GOOD, after), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    assert len(asked.desk.waited) == 1
    assert "broke off" in asked.desk.waited[0][1]
    settled = {k: d for k, (_, d) in asked.desk.settled.items()}
    counted = [settled.get(k, reserved) for k, (_, _, reserved) in enumerate(asked.desk.reserved)]
    assert sum(counted) >= server.dollars(4, 20)
    if after > 0:  # its usage was reported: its input counts as it was, its answer as long as it can have been
        assert settled[0] == pytest.approx((server.charged[0][0] * 4 + 32_000 * 20) / 1e6)
    else:
        assert 0 not in settled


def test_a_connection_cut_before_the_headers_counts_as_reserved(tmp_path):
    with MessagesServer([cut(GOOD, -1), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    assert "broke off before it answered" in asked.desk.waited[0][1]
    assert list(asked.desk.settled) == [1]


def test_an_answer_that_was_complete_needs_no_last_event(tmp_path):
    whole = len(GOOD.events) - 1
    with MessagesServer([cut(GOOD, whole)]) as server:
        assert propose(server, request(tmp_path)).edits
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error", "something_new"])
def test_an_error_within_the_stream(tmp_path, kind):
    begun = GOOD.events[:6]
    with MessagesServer([error_in_stream(kind), error_in_stream(kind, begun), GOOD]) as server:
        asked = request(tmp_path)
        assert propose(server, asked).edits
    assert "in mid-stream" in asked.desk.waited[0][1]
    assert asked.desk.settled[0] == (Usage(), 0.0)
    assert asked.desk.settled[1][1] >= 32_000 * 20 / 1e6


@pytest.mark.parametrize(
    ("step", "reason", "mend"),
    [
        (status(400, "max_tokens: too large"), "400 bad request: max_tokens", "mend what the server names"),
        (status(400, "Your credit balance is too low"), "400 bad request", "billing"),
        (status(400, "prompt is too long: 300000 tokens"), "400", "too large for claude-opus-5-5"),
        (status(401, "invalid x-api-key"), "401 wrong API key: invalid x-api-key", "autoresearch key set"),
        (status(402, "billing"), "402 billing", "billing and limits"),
        (status(403, "no"), "403 not permitted", "may not use claude-opus-5-5"),
        (status(404, "model: claude-opus-5-5"), "404 not found", "resume with --model NAME"),
        (status(413, "large"), "413 request too large", "too large"),
        (status(418, "teapot"), "418 error: teapot", "mend"),
        (status(307, "moved", location="http://127.0.0.1:9/"), "307", "elsewhere"),
        (error_in_stream("authentication_error"), "401 wrong API key", "key"),
        (raw(b"<html>hello</html>"), "does not answer as the Messages API does", "ANTHROPIC_BASE_URL"),
        (
            raw(b"data: nonsense\n\nevent: message_start\ndata: [1\n\n", "text/event-stream"),
            "Messages API",
            "ANTHROPIC",
        ),
        (
            raw(b'event: message_start\ndata: {"type": "message_start"}\n\n', "text/event-stream"),
            "Messages API",
            "ANTH",
        ),
        (raw(b'{"choices": []}', "application/json"), "Messages API", "ANTHROPIC_BASE_URL"),
    ],
)
def test_what_needs_the_user_is_said_with_its_mend_and_mended_at_the_next_asking(tmp_path, step, reason, mend):
    with MessagesServer([step, GOOD]) as server:
        asked, agent = request(tmp_path), claude(server)
        with pytest.raises(Unable) as unable:
            agent.propose(asked)
        assert reason in unable.value.reason
        assert server.url in unable.value.reason
        assert mend in unable.value.mend
        assert asked.desk.waited == []
        assert agent.propose(asked).edits
    assert KEY not in f"{unable.value}"


def test_a_monthly_limit_is_no_rate_limit(tmp_path):
    body = (
        b'{"type": "error", "error": {"type": "rate_limit_error", "message": "spend limit reached", '
        b'"details": {"error_code": "enforced_spend_limit_reached"}}}'
    )
    step = Step(429, {"content-type": "application/json"}, body)
    with MessagesServer([step]) as server, pytest.raises(Unable, match="billing and limits"):
        propose(server, request(tmp_path))


def test_no_key_and_a_key_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "_handed", "")
    monkeypatch.setattr(secrets, "stored", lambda: None)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    with pytest.raises(Unable, match=r"needs an API key; no API key: export ANTHROPIC_API_KEY"):
        Claude({}).propose(request(tmp_path))
    with MessagesServer([GOOD]) as server:  # a server of one's own asks for none
        assert propose(server, request(tmp_path)).edits
    monkeypatch.setattr(secrets, "_handed", "two words\n")
    with MessagesServer() as server, pytest.raises(Unable, match="no API key: it is one word"):
        propose(server, request(tmp_path))
    assert server.requests == []


def test_a_wrong_key_is_not_tried_for_ever(tmp_path):
    with MessagesServer([status(401, f"invalid x-api-key {KEY}")]) as server, pytest.raises(Unable) as unable:
        propose(server, request(tmp_path))
    assert secrets._refused == KEY
    assert KEY not in f"{unable.value} {unable.value.__cause__} {unable.value.__context__!r}"
    assert "[key]" in unable.value.reason


def test_a_server_that_is_down_is_waited_for_and_costs_nothing(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    desk = Paper(tmp_path)
    waits: list[tuple[float, str]] = []
    desk.wait = lambda seconds, reason: waits.append((seconds, reason)) or len(waits) < 4
    with pytest.raises(CalledOff):
        Claude({"base_url": url}).propose(request(tmp_path, desk=desk))
    assert len(waits) == 4
    assert all(reason.startswith(f"{url} cannot be reached: ") for _, reason in waits)
    assert set(desk.settled.values()) == {(Usage(), 0.0)}


def test_an_unknown_host_is_waited_for(tmp_path):
    desk = Paper(tmp_path)
    desk.wait = lambda seconds, reason: desk.waited.append((seconds, reason))
    with pytest.raises(CalledOff):
        Claude({"base_url": "http://no-such-host.invalid"}).propose(request(tmp_path, desk=desk))
    assert "cannot be reached" in desk.waited[0][1]


@pytest.mark.parametrize("after", [0, 4])
def test_a_run_that_is_to_stop_stops_in_mid_answer(tmp_path, after):
    threads = threading.active_count()
    with MessagesServer([hang(GOOD, after)]) as server:
        asked = request(tmp_path)
        timer = threading.Timer(0.3, lambda: setattr(asked.desk, "stopping", True))
        timer.start()
        began = time.monotonic()
        with pytest.raises(CalledOff):
            propose(server, asked)
        assert time.monotonic() - began < 5
        assert asked.desk.settled == {}
        timer.join()
    assert threading.active_count() <= threads + 1


def test_a_run_that_stops_while_it_waits_calls_off(tmp_path):
    asked = request(tmp_path)
    asked.desk.wait = lambda seconds, reason: False
    with MessagesServer([status(529)]) as server, pytest.raises(CalledOff):
        propose(server, asked)
    assert len(server.requests) == 1


def test_an_answer_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("core.agents.answers.LONGEST_ANSWER", 50_000)
    endless = reply(text("and so on " * 100_000))
    with MessagesServer([endless]) as server, pytest.raises(Refused, match="does not end"):
        propose(server, request(tmp_path))
    monkeypatch.setattr("core.agents.claude.LONGEST_SECONDS", 0.5)
    with MessagesServer([hang(GOOD, 4)]) as server, pytest.raises(Refused, match="did not end within"):
        propose(server, request(tmp_path))


def test_a_conversation_that_grows_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("core.agents.conversation.LARGEST_REQUEST", 60_000)
    big = reply(text("x" * 10_000), tool("read_file", path="train.py"))
    with MessagesServer([], default=big) as server, pytest.raises(Refused, match="grew beyond 60,000 bytes"):
        propose(server, request(tmp_path))
    assert 1 < len(server.requests) < MOST_TURNS


def test_no_socket_and_no_loop_is_left(tmp_path):
    import psutil

    me = psutil.Process()
    with MessagesServer([status(529), cut(GOOD, 5), GOOD]) as server:
        propose(server, request(tmp_path))  # what is loaded once is loaded
    before = me.num_fds()
    for _ in range(5):
        with MessagesServer([status(529), cut(GOOD, 5), GOOD]) as server:
            propose(server, request(tmp_path))
    assert me.num_fds() <= before + 1
