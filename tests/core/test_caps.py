"""Caps that cannot be: refused before a run begins, with the least that is needed."""

from __future__ import annotations

import re

import pytest
from thinker import close, opened

from core.agents.claude import MAX_TOKENS
from core.agents.prompt import prompt
from core.caps import check_cap, check_token_cap, check_use
from core.dry_run import first_prompt
from core.errors import UsageError
from core.launch import Options
from core.outlook import look


@pytest.mark.parametrize("agent", ["search", "scripted:patches", "hybrid:search"])
@pytest.mark.parametrize(("dollars", "tokens", "flag"), [(3.0, None, "dollars"), (None, 10**6, "tokens")])
def test_a_cap_of_an_agent_that_spends_nothing_is_refused(agent, dollars, tokens, flag):
    with pytest.raises(UsageError, match=rf"--max-{flag}: the agent \w+ spends nothing, so it needs no cap; leave it"):
        check_use(agent, dollars, tokens)
    check_use(agent, None, None)


@pytest.mark.parametrize("agent", ["claude", "hybrid", "command:cat", "hybrid:command:cat"])
def test_agents_that_may_spend_have_use_for_one(agent):
    check_use(agent, 3.0, 10**6)


@pytest.mark.parametrize("agent", ["claude", "hybrid"])
def test_a_cap_below_one_answer_is_refused_and_says_the_least(agent):
    with pytest.raises(
        UsageError, match=r"no call fits into \$0.01; an answer of claude-opus-5-5 alone can cost \$0.64"
    ):
        check_cap(agent, {}, 0.01)
    check_cap(agent, {}, 0.64)
    priced = {"model": "m", "price_in": 1, "price_out": 15.51}
    with pytest.raises(UsageError, match=r"an answer of m alone can cost \$0.497,"):  # 0.49632: no less than that
        check_cap(agent, priced, 0.49)
    check_cap(agent, priced, 0.497)
    check_cap(agent, {"model": "m", "price_in": 0, "price_out": 0}, 0.01)


def test_a_cap_on_tokens_below_one_answer_is_refused():
    with pytest.raises(UsageError, match=r"no call fits into 31,999 tokens; an answer alone may have 32,000"):
        check_token_cap("claude", {"model": "local"}, MAX_TOKENS - 1)
    check_token_cap("claude", {}, MAX_TOKENS)
    check_token_cap("command:cat", {}, 1)  # it is counted afterwards


def test_the_start_page_hears_of_it_where_its_entry_is(toy):
    assert "spends nothing" in look(Options(str(toy), agent="search", max_dollars=3.0)).troubles["agent"]
    found = look(Options(str(toy), agent="claude", max_dollars=0.01, max_tokens=9)).troubles
    assert "no call fits into $0.01" in found["max_dollars"]
    assert "no call fits into 9 tokens" in found["agent"]
    assert look(Options(str(toy), agent="claude", max_dollars=3.0, max_tokens=10**6)).troubles == {}


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        ({"max_dollars": 0.66}, r"can come to \$0\.7\d and the cap is \$0\.66, so .* the run ends after its base"),
        ({"max_tokens": 33_000}, r"can come to 4\d,\d{3} tokens and the cap is 33,000, so it is not made and the run"),
        ({"max_dollars": 0.66, "agent": "hybrid"}, r"so it is not made and the ideas are never asked for"),
    ],
)
def test_a_cap_between_an_answer_and_the_first_prompt_is_said_before_the_baseline_is_trained(toy, caps, says):
    run = opened(toy, **{"agent": "claude", **caps})
    told = prompt(run.proposals.request()).stable[1]
    close(run)
    (note,) = run.history.run.notes
    assert re.search(says, note)
    assert note.endswith(f"or then: autoresearch resume t --{next(iter(caps)).replace('_', '-')} N")
    assert "too low a cap" not in told, "it is told to the user, not to the model"


@pytest.mark.parametrize(
    "fits",
    [
        {"agent": "claude", "max_dollars": 0.8},
        {"agent": "claude", "max_dollars": 0.66, "experiments": 0},
        {"agent": "claude"},
    ],
)
def test_nothing_is_said_of_a_cap_that_lets_the_first_call_through_or_is_not_needed(toy, fits):
    run = opened(toy, **fits)
    close(run)
    assert run.history.run.notes == ()


def test_a_program_too_large_for_any_prompt_is_refused_by_a_dry_run_in_words(toy):
    (toy / "program.md").write_text("be bold " * 20_000)
    with pytest.raises(UsageError, match=r"program\.md has 160,000 bytes.*; shorten it"):
        first_prompt(Options(str(toy), agent="claude", max_dollars=3.0))
