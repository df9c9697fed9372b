"""The agent `hybrid`: who is asked follows from the journal, gain and cost; an ideas arm that cannot work is said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import RATES, ended, rates_agent

from core import agents
from core.agents import Crash, Exhausted, Refused, Request, Unable
from core.agents.constants import read
from core.agents.hybrid import ASK_AGAIN, Hybrid, turn
from core.desk import Paper
from core.events import ProposalRefused, Proposed
from core.experiment import Experiment, Measurement, Proposal, Verdict
from core.history import History, Pending
from core.launch import Options

SOURCE = "MATRIX_LR = 0.04\nWEIGHT_DECAY = 0.2\nWARMDOWN_RATIO = 0.5\nEMBEDDING_LR = 0.6\n"


@dataclass
class Ideas:
    """A line more each time; what it tells of itself, and why it cannot work, can be changed between two proposals."""

    dollars: float | None = None
    trouble: Callable[[Request], Exception | None] = lambda request: None
    reads_notes: bool = True
    repairs: int = 2
    asked: int = 0

    def propose(self, request: Request) -> Proposal:
        self.asked += 1
        if error := self.trouble(request):
            raise error
        if request.crash:
            return Proposal({"train.py": request.sources["train.py"] + "# mended\n"}, "mended", "")
        details = {"agent": "scripted"} | ({} if self.dollars is None else {"dollars": self.dollars})
        return Proposal(
            {"train.py": request.sources["train.py"] + f"# idea {request.number}\n"}, "an idea", "", details
        )


def ask(history: History, source: str = SOURCE, desk: Paper | None = None) -> Request:
    seen = {source}
    return Request(
        len(history.experiments), {"train.py": source}, "", history, "min",
        lambda edits: edits["train.py"] not in seen, desk or Paper(Path()),
    )  # fmt: skip


def after(history: History, proposal: Proposal, value: float | None) -> History:
    best = history.best.measurement.value if history.best and history.best.measurement else None
    kept = value is not None and (best is None or value < best)
    experiment = Experiment(
        number=len(history.experiments), commit="", parent="", description=proposal.description,
        hypothesis="", diff="", lines=20, details=json.loads(json.dumps(dict(proposal.details))),
        measurement=None if value is None else Measurement(value, 300.0, 330.0, 500.0),
        verdict=Verdict("crash" if value is None else "keep" if kept else "discard", ""),
        incumbent=history.incumbent, delta=None if value is None or best is None else value - best, trials=1, trial=1,
    )  # fmt: skip
    incumbent = experiment.number if kept else history.incumbent
    return replace(history, experiments=(*history.experiments, experiment), incumbent=incumbent)


def refused(history: History, error: Refused) -> History:
    event = ProposalRefused(len(history.experiments), error.reason, error.description)
    return replace(history, refused=history.refused + 1, last_refusal=event)


def begun() -> History:
    return after(History(), Proposal({}, "baseline", ""), 2.0)


def research(
    agent: Hybrid, count: int, gain: Mapping[str, float], fresh: Callable[[], Hybrid] | None = None
) -> tuple[History, list[str]]:
    """`count` experiments. gain: of an arm's every proposal. fresh: makes a new agent for each, as after a kill."""
    history, source, refusals = begun(), SOURCE, []
    rng = random.Random(0)
    while len(history.experiments) <= count:
        try:
            proposal = (fresh() if fresh else agent).propose(ask(history, source))
        except Refused as error:
            refusals.append(error.reason)
            history = refused(history, error)
            continue
        best = history.best
        assert best is not None
        assert best.measurement is not None
        value = best.measurement.value - gain[proposal.details["arm"]] * rng.uniform(0.5, 1.5)
        history = after(history, proposal, value)
        source = proposal.edits["train.py"] if history.incumbent == len(history.experiments) - 1 else source
    return history, refusals


def arms(history: History) -> list[str]:
    return [e.details["arm"] for e in history.experiments[1:]]


def test_both_arms_are_asked_and_say_who_they_are() -> None:
    history, _ = research(Hybrid(0, Ideas()), 12, {"numbers": 0.01, "ideas": 0.01})
    assert set(arms(history)) == {"numbers", "ideas"}
    for e in history.experiments[1:]:
        assert e.details["seconds"] >= 0
        assert ("constants" in e.details) == (e.details["arm"] == "numbers")
        assert (e.details.get("agent") == "scripted") == (e.details["arm"] == "ideas")


def test_the_arm_that_brings_more_gets_more() -> None:
    def share(numbers: float, ideas: float) -> int:
        return arms(research(Hybrid(0, Ideas()), 40, {"numbers": numbers, "ideas": ideas})[0]).count("ideas")

    assert share(-0.01, 0.02) >= 28
    assert share(0.02, -0.01) <= 12


def test_neither_is_left_for_good() -> None:
    for gains in ({"numbers": -0.01, "ideas": 0.05}, {"numbers": 0.05, "ideas": -0.01}):
        had = arms(research(Hybrid(0, Ideas(dollars=5.0)), 60, gains)[0])
        for arm in gains:
            assert arm in had[-20:], (arm, had)


def test_ideas_that_cost_more_get_less() -> None:
    counts = [
        arms(research(Hybrid(0, Ideas(dollars)), 40, {"numbers": 0.01, "ideas": 0.02})[0]).count("ideas")
        for dollars in (0.001, 0.3, 3.0)
    ]
    assert counts[0] > counts[2]
    assert counts == sorted(counts, reverse=True)


def test_with_no_dollars_known_the_time_counts() -> None:
    def share(seconds: float) -> int:
        history, done = begun(), []
        rng = random.Random(1)
        for number in range(1, 40):
            arm = turn(history, "min", random.Random(number))
            details = {"arm": arm, "seconds": seconds if arm == "ideas" else 0.0}
            best = history.best.measurement.value  # type: ignore[union-attr]
            history = after(history, Proposal({}, "", "", details), best - rng.uniform(0.0, 0.02))
            done.append(arm)
        return done.count("ideas")

    assert share(5.0) > share(3000.0)


def test_it_learns_from_the_journal_alone() -> None:
    """A new agent for every proposal goes the same way; `seconds` apart, which is measured."""
    gains = {"numbers": 0.004, "ideas": 0.01}
    one, _ = research(Hybrid(3, Ideas(0.1)), 30, gains)
    two, _ = research(Hybrid(3, Ideas(0.1)), 30, gains, fresh=lambda: Hybrid(3, Ideas(0.1)))
    assert arms(one) == arms(two)
    assert [e.description for e in one.experiments] == [e.description for e in two.experiments]


def test_an_ideas_arm_that_cannot_work_is_said_once_and_asked_again_later() -> None:
    ideas = Ideas(trouble=lambda request: Unable("no API key", "set ANTHROPIC_API_KEY"))
    history, refusals = research(Hybrid(0, ideas), 3 * ASK_AGAIN, {"numbers": 0.01, "ideas": 0.0})
    assert refusals == ["the ideas arm cannot work: no API key; set ANTHROPIC_API_KEY; numbers go on"]
    assert set(arms(history)) == {"numbers"}
    assert 2 <= ideas.asked <= 4
    told = [e.details["no_ideas"] for e in history.experiments if "no_ideas" in e.details]
    assert {t["reason"] for t in told} == {"no API key; set ANTHROPIC_API_KEY"}
    assert len({t["asked"] for t in told}) == ideas.asked


def test_every_experiment_without_ideas_says_so_at_the_desk() -> None:
    ideas, history, desk = Ideas(trouble=lambda request: Unable("no API key", "set it")), begun(), Paper(Path())
    agent = Hybrid(0, ideas)
    for _ in range(10):
        try:
            history = after(history, agent.propose(ask(history, desk=desk)), 3.0)
        except Refused as error:
            history = refused(history, error)
    assert any("no API key; set it; asked again at experiment" in said for said in desk.said)


def test_ideas_come_back_once_the_trouble_is_over_and_new_trouble_is_said_again() -> None:
    def trouble(request: Request) -> Exception | None:
        n = request.number
        return Unable("no key", "set it") if n < 10 else Exhausted("the cap is reached") if n > 40 else None

    gains = {"numbers": -0.001, "ideas": 0.01}
    history, refusals = research(Hybrid(0, Ideas(trouble=trouble)), 60, gains)
    assert "ideas" in arms(history)[10:40]
    assert [r.removeprefix("the ideas arm cannot work: ").split(";")[0] for r in refusals] == [
        "no key", "the cap is reached"
    ]  # fmt: skip
    assert set(arms(history)[-8:]) == {"numbers"}


def test_refused_ideas_give_the_turn_to_numbers_and_count_against_them() -> None:
    history, refusals = research(
        Hybrid(0, Ideas(trouble=lambda request: Refused("no usable answer"))), 40, {"numbers": 0.01, "ideas": 0.0}
    )
    assert set(arms(history)) == {"numbers"}
    passed = [e.number for e in history.experiments if e.details.get("passed") == "ideas"]
    assert len(passed) == len(refusals)
    assert 2 <= len(refusals) <= 12, "a model that answers nothing usable is asked seldom"


def test_where_numbers_have_nothing_new_ideas_are_asked() -> None:
    history, _ = research(Hybrid(0, Ideas()), 5, {"numbers": 0.0, "ideas": 0.01})
    bare = ask(history, "print('no constants')\n")
    assert Hybrid(0, Ideas()).propose(bare).details["arm"] == "ideas"


def test_where_neither_can_work_the_run_is_not_kept_busy() -> None:
    trouble = Unable("no API key", "set it")
    history = refused(begun(), Refused("the ideas arm cannot work: no API key; set it; numbers go on"))
    with pytest.raises(Unable, match="no API key"):
        Hybrid(0, Ideas(trouble=lambda request: trouble)).propose(ask(history, "print('no constants')\n"))


def test_the_ideas_arm_repairs_its_own_and_the_search_nothing() -> None:
    def crashed(arm: str) -> Request:
        proposed = Proposed(1, "", 0, {"train.py": SOURCE + "boom\n"}, "", "", {"arm": arm})
        history = replace(begun(), pending=Pending(1, proposed=proposed))
        return replace(ask(history), sources={"train.py": SOURCE + "boom\n"}, crash=Crash("exit 1", "NameError", 1))

    agent = Hybrid(0, Ideas())
    assert agent.repairs == 2
    mended = agent.propose(crashed("ideas"))
    assert mended.details["arm"] == "ideas"
    assert mended.edits["train.py"].endswith("# mended\n")
    with pytest.raises(Refused, match="repairs nothing"):
        agent.propose(crashed("numbers"))
    cannot = Hybrid(0, Ideas(trouble=lambda request: Unable("overdrawn", "pay")))
    with pytest.raises(Refused, match="overdrawn; pay"):
        cannot.propose(crashed("ideas"))


def test_a_scripted_arm_gives_its_patches_in_order(tmp_path: Path) -> None:
    """It counts its own experiments, not those of the numbers."""
    patches = tmp_path / "ideas.jsonl"
    edits = [{"description": f"idea {i}", "edits": {"train.py": SOURCE + f"# idea {i}\n"}} for i in range(4)]
    patches.write_text("".join(json.dumps(edit) + "\n" for edit in edits))
    agent = agents.get(f"hybrid:scripted:{patches}", 0)
    assert isinstance(agent, Hybrid)
    history, refusals = research(agent, 40, {"numbers": -0.001, "ideas": 0.01})
    ideas: list[Any] = [e.description for e in history.experiments if e.details.get("arm") == "ideas"]
    assert ideas == ["idea 0", "idea 1", "idea 2", "idea 3"]
    assert refusals[0].startswith("the ideas arm cannot work: all 4 patches")
    assert all(read(SOURCE)[name] for name in ("MATRIX_LR", "WEIGHT_DECAY"))


def test_a_real_run_goes_on_after_the_ideas_end_and_after_a_kill(toy: Path, engines: Callable[[Options], Path]) -> None:
    """Patches for ideas: one crashes, two are better; then numbers alone. A second engine goes on from the journal."""
    agent = f"hybrid:{rates_agent(toy)}"
    folder = engines(Options(str(toy), agent=agent, tag="t", experiments=6))
    first = ended(folder)
    assert first.ended is not None
    assert first.ended.reason == "done", first.ended.message
    engines(Options(str(toy), resume="t", experiments=8))
    second = ended(folder)
    assert second.ended is not None
    assert second.ended.reason == "done", second.ended.message
    assert [e.details for e in second.experiments[:7]] == [e.details for e in first.experiments]
    assert set(arms(second)) == {"numbers", "ideas"}
    ideas = [e.description for e in second.experiments if e.details.get("arm") == "ideas"]
    assert ideas == list(RATES)[: len(ideas)]
