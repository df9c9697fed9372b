"""What an agent's calls cost: set aside before, settled after, within caps that outlast engines."""

from __future__ import annotations

import pytest
from thinker import close, fails, past_baseline, record

from core import agents, opening
from core.desk import Paper
from core.errors import UsageError
from core.launch import Options
from core.loop import propose
from core.spending import Spent, Usage


@pytest.fixture
def run(toy):
    with past_baseline(toy) as run:
        yield run


def test_what_was_set_aside_counts_until_it_is_settled():
    spent = Spent().reserved(0, 1000, 0.5).reserved(1, 500, None)
    assert (spent.worst_tokens, spent.worst_dollars, spent.calls) == (1500, 0.5, 2)
    spent = spent.settled(0, Usage(100, 20, 30, 4), 0.1)
    assert (spent.tokens, spent.dollars, spent.cached) == (154, 0.1, 20)
    assert (spent.worst_tokens, spent.worst_dollars) == (654, 0.1)
    assert spent.settled(0, Usage(100), 0.1) == spent
    assert spent.settled(7, Usage(100), 0.1) == spent


def test_a_cap_holds_over_settled_and_open_calls_and_restarts(run, toy):
    first = run.desk.reserve("m", 1000, 0.6)
    run.desk.settle(first, Usage(input=200), 0.1)
    lost = run.desk.reserve("m", 1000, 0.6)  # never settled: its engine was killed
    assert lost == first + 1
    with pytest.raises(agents.CapReached, match=r"\$1\.30.*cap is \$1\.00; .*autoresearch resume t --max-dollars"):
        run.desk.reserve("m", 1000, 0.6)
    with pytest.raises(agents.CapReached, match=r"41,200 tokens, and the cap is 40,000; .*--max-tokens"):
        run.desk.reserve("m", 40_000, 0.2)
    with pytest.raises(UsageError, match=r"the price of m is not known; give it with --price IN/OUT"):
        run.desk.reserve("m", 10, None)
    close(run)
    again = opening.open_run(Options(str(toy), resume="t"), lambda line: None)
    try:
        assert (again.history.engine.max_dollars, again.history.engine.max_tokens) == (1.0, 40_000)
        assert again.history.spent.worst_dollars == pytest.approx(0.7)
        with pytest.raises(agents.CapReached):
            again.desk.reserve("m", 1000, 0.6)
        assert again.desk.reserve("m", 10, 0.2) == lost + 1
    finally:
        close(again)


def test_a_resumed_run_may_get_another_cap_and_another_model(run, toy):
    close(run)
    for value in (0, -1.0):
        with pytest.raises(UsageError, match="must be a number above 0"):
            opening.open_run(Options(str(toy), resume="t", max_dollars=value), lambda line: None)
        while opening._locks:
            opening._locks.pop().close()
    options = Options(str(toy), resume="t", max_dollars=9.0, agent_options={"model": "m2"})
    again = opening.open_run(options, lambda line: None)
    engine = again.history.engine
    close(again)
    assert (engine.max_dollars, engine.max_tokens, engine.agent_options["model"]) == (9.0, 40_000, "m2")


def test_a_run_whose_cap_is_reached_is_done(run):
    run.agent.does = [fails(agents.CapReached("enough"))]
    with pytest.raises(agents.Exhausted):
        record(run, propose)


def test_a_desk_on_paper_holds_the_same_caps(tmp_path):
    desk = Paper(tmp_path, max_dollars=1.0)
    desk.settle(desk.reserve("m", 10, 0.6), Usage(input=5), 0.2)
    desk.reserve("m", 10, 0.6)
    with pytest.raises(agents.CapReached):
        desk.reserve("m", 10, 0.6)
    with pytest.raises(UsageError):
        desk.reserve("m", 10, None)
