"""Money, tokens and names in words, whatever a journal holds."""

from __future__ import annotations

import math

import pytest
from recorded_run import STARTED_AT

from core import events as ev
from core.history import History, fold
from tui.agent_words import (
    bill,
    cap,
    cost,
    dollars,
    dropped,
    name,
    quoted,
    repairs,
    runs_unconfined,
    spending,
    times_repaired,
    waits,
)

TASK = {"task": {"name": "t"}, "metric": {"name": "loss"}}


def run_of(agent: str, **engine: object) -> History:
    started = ev.RunStarted("t", "/w", "", TASK, "", "cpu", agent, 0, "0" * 40, "", {}, 5.0, None, None, "a plan")
    return fold([(started, STARTED_AT), (ev.EngineStarted(1, False, **engine), STARTED_AT)])  # type: ignore[arg-type]


def after(h: History, *events: ev.Event) -> History:
    return fold([(event, STARTED_AT) for event in events], h)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "$0.00"), (0.42, "$0.42"), (12.3, "$12.30"), (999.996, "$1000.00"), (1204.4, "$1,204"), (0.1, "$0.10"),
        (0.0994, "$0.099"), (0.0412, "$0.041"), (0.00412, "$0.0041"), (1e-7, "$1e-07"), (math.nan, "$?"),
        (math.inf, "$?"), (-1.0, "$?"), (5e-324, "$5e-324"),
    ],
)  # fmt: skip
def test_dollars(value: float, words: str) -> None:
    assert dollars(value) == words


def test_a_cap_is_written_as_it_was_given() -> None:
    assert [cap(x) for x in (5.0, 2.5, 0.005, 1e6, math.nan, math.inf)] == [
        "$5", "$2.50", "$0.005", "$1,000,000", "$?", "$?",
    ]  # fmt: skip


def test_agents_by_their_names() -> None:
    for agent, options, said, free in (
        ("search", {}, "search", False),
        ("claude", {}, "claude", False),
        ("claude", {"model": "claude-opus-5-5"}, "claude-opus-5-5", False),
        ("hybrid", {"model": "m"}, "hybrid m", False),
        ("command:env:ANTHROPIC_API_KEY /usr/bin/claude -p", {}, "command:claude", True),
        ("hybrid:command:./ideas.py --fast", {}, "hybrid:command:ideas.py", True),
        ("command:" + "x" * 100, {}, "command:" + "x" * 19 + "…", True),
        ("claude", {"model": "\x1b[2Jm\n"}, "m", False),
        ("scripted:command", {}, "scripted:command", False),
    ):
        h = run_of(agent, agent_options=options)
        assert (name(h), runs_unconfined(h)) == (said, free)


def test_spending_in_dollars_in_tokens_and_without_a_price() -> None:
    assert spending(run_of("search")) == ""
    assert bill(run_of("search")) == []
    assert spending(run_of("claude", max_dollars=5.0)) == "$0.00 of $5"
    assert spending(run_of("claude", max_tokens=2_000_000)) == "0 tokens of 2M"
    asked = after(
        run_of("claude"), ev.Proposing(1, 0), ev.CallReserved(1, 0, "m", 9000, None),
        ev.CallSettled(1, 0, 1000, 0, 0, 500, None), ev.CallReserved(1, 1, "m", 9000, None),
    )  # fmt: skip
    assert spending(asked) == "up to 10.5k tokens"
    under_way = "a call is under way: it counts as the most it can cost"
    assert bill(asked) == ["spent up to 10.5k tokens: 1,500 tokens in 2 calls", under_way]
    waits_now = after(asked, ev.AgentWaits(1, "529 overloaded", 30.0))
    assert "1 call broke off" in bill(waits_now)[1]
    assert bill(after(waits_now, ev.CallReserved(1, 2, "m", 9000, None)))[1:] == [under_way, bill(waits_now)[1]]
    settled = after(asked, ev.CallSettled(1, 1, 100, 0, 0, 400, None))
    assert bill(settled) == ["spent 2k tokens: 2,000 tokens in 2 calls"]
    over = after(asked, ev.ProposalRefused(1, "no edit", ""), ev.RunEnded("stopped", ""))
    assert spending(over) == "up to 10.5k tokens"
    assert "1 call broke off" in bill(over)[1]


@pytest.mark.parametrize("agent", ["search", "scripted:x.jsonl", "command:claude -p", "hybrid:command:claude -p"])
def test_where_nothing_can_be_spent_no_spending_is_told(agent: str) -> None:
    h = run_of(agent, max_dollars=3.0, max_tokens=1000)
    assert spending(h) == ""
    assert bill(h) == []
    assert spending(after(h, ev.CallReserved(1, 0, "m", 9000, 0.5))) == "up to $0.50 of $3, up to 9k tokens of 1k"


@pytest.mark.parametrize("agent", ["claude", "hybrid", "hybrid:claude"])
def test_where_a_model_is_called_a_cap_is_told_from_the_start(agent: str) -> None:
    assert spending(run_of(agent, max_dollars=3.0)) == "$0.00 of $3"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("529 overloaded", "529 overloaded"),
        ("429 rate limit: slow \x1b[2Jdown; at once", "429 rate limit: “slow down; at once”"),
        ("503 unavailable: no; the server asks for 24 h, tried again sooner",
         "503 unavailable: “no”; the server asks for 24 h, tried again sooner"),
        ("x.example: 529 overloaded: no: really", "x.example: 529 overloaded: “no: really”"),
        ("cannot be reached: All connection attempts failed", "cannot be reached: All connection attempts failed"),
    ],
)  # fmt: skip
def test_the_words_of_a_server_are_marked_as_its_own(reason: str, words: str) -> None:
    assert quoted(reason) == words
    h = after(run_of("claude"), ev.Proposing(1, 0), ev.AgentWaits(1, reason, 30.0))
    assert waits(h, STARTED_AT) == f"{words}: again in 0:30"


def test_of_many_dropped_files_the_first_are_named() -> None:
    def proposed(paths: object) -> str:
        details = {"dropped": paths}
        h = after(run_of("command:x"), ev.Proposing(1, 0), ev.Proposed(1, "0" * 40, 0, {}, "d", "h", details))
        assert h.pending is not None
        return dropped(h.pending)

    assert proposed(["a\x1b[2J.txt", "b"]) == "it changed besides, which was dropped: a.txt, b"
    assert proposed([str(i) for i in range(12)]) == "it changed besides, which was dropped: 0, 1, 2, 3, 4 and 7 more"
    assert proposed([]) == proposed("x") == ""


def test_a_wait_is_over_when_it_is_over_and_in_a_pause() -> None:
    h = after(run_of("claude"), ev.Proposing(1, 0), ev.AgentWaits(1, "529 overloaded", 30.0))
    assert waits(h, STARTED_AT + 1.5) == "529 overloaded: again in 0:29"
    assert waits(h, STARTED_AT + 30) == ""
    assert waits(after(h, ev.RunPaused("by the user", "p")), STARTED_AT) == ""
    assert waits(after(h, ev.RunEnded("stopped", "")), STARTED_AT) == ""
    assert waits(after(h, ev.AgentWaits(1, "x" * 1000, math.inf)), STARTED_AT) == ""
    long = after(h, ev.AgentWaits(1, "x" * 1000, 5.0))
    assert len(waits(long, STARTED_AT)) == 300
    assert waits(long, STARTED_AT).endswith("…: again in 0:05")


@pytest.mark.parametrize("details", [{}, {"dollars": "x", "tokens": None, "calls": [1]}, {"dollars": math.nan}])
def test_a_cost_that_is_none_is_not_told(details: dict[str, object]) -> None:
    h = after(run_of("claude"), ev.Proposing(1, 0), ev.Proposed(1, "0" * 40, 0, {}, "d", "h", details))
    assert h.pending is not None
    assert cost(h.pending) == ""


def test_what_has_no_score_is_not_called_repaired() -> None:
    commit = ev.Committed(1, "c" * 40, "r", "", 3)
    h = after(run_of("claude"), ev.Proposing(1, 0), ev.Proposed(1, "0" * 40, 0, {}, "d", "h", {}))
    told = []
    for repair, reason in enumerate(("no score", "timeout", "oom"), 1):
        h = after(h, commit, ev.TrialStarted(1, repair, 42, 5), ev.Crashed(1, repair, reason, "", 1.0))
        assert h.pending is not None
        told.append((times_repaired(h.pending), repairs(h.pending)))
        h = after(h, ev.RepairProposed(1, repair, {}, "d", "h", {})) if repair < 3 else h
    tried = ("2 repairs tried", "2 repairs tried, after no score, then timeout")
    assert told == [("", ""), ("1 repair tried", "1 repair tried, after no score"), tried]
    crashed = after(h, ev.Judged(1, "crash", "oom", 0, None), ev.ExperimentDone(1)).experiments[-1]
    assert (times_repaired(crashed), repairs(crashed)) == tried
