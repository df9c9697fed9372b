"""The agent `search`: valid, new, reproducible proposals that say what they do, and get somewhere."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.agents import Exhausted, Refused, Request
from core.agents.constants import read
from core.agents.evidence import apart
from core.agents.search import Search
from core.agents.space import hyperparameters
from core.desk import Paper
from core.events import RunStarted
from core.experiment import Experiment, Measurement, Proposal, Verdict
from core.history import History

REFERENCE = '''\
"""A GPT."""
ASPECT_RATIO = 64
HEAD_DIM = 128
WINDOW_PATTERN = "SSSL"
TOTAL_BATCH_SIZE = 2**13  # tokens a step
DEVICE_BATCH_SIZE = 16
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0
DEPTH = 2
SEED = 42
DATA_SEED = 1
RANDOM_STATE = 7
DEVICE = 0
'''
LENGTH = 256


def values(source: str) -> dict[str, Any]:
    return {name: constant.value for name, constant in read(source).items()}


def run(sequence_length: int | None = LENGTH, direction: str = "min") -> RunStarted:
    settings = {} if sequence_length is None else {"sequence_length": sequence_length}
    return RunStarted("t", "", "", {}, "cuda", "cpu", "search", 0, "", "", settings, 15.0, None, None, "")


def after(history: History, proposal: Proposal, value: float | None) -> History:
    """The history with one more experiment, judged greedily; None is a crash. Details go through JSON."""
    best = history.best.measurement.value if history.best and history.best.measurement else None
    kept = value is not None and (best is None or value < best)
    experiment = Experiment(
        number=len(history.experiments), commit="", parent="", description=proposal.description,
        hypothesis=proposal.hypothesis, diff="", lines=20, details=json.loads(json.dumps(dict(proposal.details))),
        measurement=None if value is None else Measurement(value, 15.0, 20.0, 500.0),
        verdict=Verdict("crash" if value is None else "keep" if kept else "discard", ""),
        incumbent=history.incumbent, delta=None if value is None or best is None else value - best, trials=1, trial=1,
    )  # fmt: skip
    incumbent = experiment.number if kept else history.incumbent
    return replace(history, experiments=(*history.experiments, experiment), incumbent=incumbent)


def research(agent: Search, count: int, score: Any, source: str = REFERENCE, length: int | None = LENGTH) -> list[Any]:
    """(request, proposal) of `count` experiments after the baseline; `score(source)` is the metric, None a crash."""
    history = after(History(run=run(length)), Proposal({}, "baseline", ""), score(source))
    seen, made = {source}, []
    for number in range(1, count + 1):
        so_far = frozenset(seen)
        is_new = lambda edits, so_far=so_far: edits["train.py"] not in so_far  # noqa: E731
        request = Request(number, {"train.py": source}, "", history, "min", is_new, Paper(Path()))
        proposal = agent.propose(request)
        made.append((request, proposal))
        text = proposal.edits["train.py"]
        assert text not in seen
        seen.add(text)
        history = after(history, proposal, score(text))
        if history.incumbent == number:
            source = text
    return made


def bumpy(source: str) -> float | None:
    """A number for any source that is better for some; a tenth of them crash."""
    rng = random.Random(source)
    return None if rng.random() < 0.1 and source != REFERENCE else 2 + rng.random()


def valley(source: str) -> float:
    """Best at a smaller batch, a higher MATRIX_LR and a longer warmdown."""
    v = values(source)
    far = (math.log2(v["TOTAL_BATCH_SIZE"]) - 11, math.log2(v["MATRIX_LR"] / 0.1), 3 * (v["WARMDOWN_RATIO"] - 0.8))
    return 2 + 0.03 * sum(x * x for x in far)


def test_every_proposal_is_new_and_valid() -> None:
    for request, proposal in research(Search(0), 300, bumpy):
        assert set(proposal.edits) == {"train.py"}
        before, now = values(request.sources["train.py"]), values(proposal.edits["train.py"])
        assert before.keys() == now.keys()
        assert 1 <= sum(before[name] != now[name] for name in now) <= 4
        for name in ("SEED", "DATA_SEED", "RANDOM_STATE", "DEVICE"):
            assert now[name] == before[name]
        assert now["TOTAL_BATCH_SIZE"] % (now["DEVICE_BATCH_SIZE"] * LENGTH) == 0
        for name in ("TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE", "HEAD_DIM", "ASPECT_RATIO"):
            assert now[name] > 0
            assert now[name] & (now[name] - 1) == 0, f"{name} = {now[name]} is no power of two"
        assert now["DEPTH"] >= 1
        assert all(0 <= now[name] <= 1 for name in ("WARMUP_RATIO", "WARMDOWN_RATIO", "FINAL_LR_FRAC"))
        assert now["WARMDOWN_RATIO"] > 0
        assert all(0 < beta < 1 for beta in now["ADAM_BETAS"])
        assert all(now[name] > 0 for name in now if name.endswith("_LR"))
        assert set(now["WINDOW_PATTERN"]) <= {"S", "L"}
        changed = {name for name in now if before[name] != now[name]}
        if changed == {"WINDOW_PATTERN"} and now["DEPTH"] == 2:  # the last layer has the full window whatever it says
            assert now["WINDOW_PATTERN"][0] != before["WINDOW_PATTERN"][0]
        if changed == {"ASPECT_RATIO"}:  # the width is rounded up to whole heads
            assert len({math.ceil(v["DEPTH"] * v["ASPECT_RATIO"] / v["HEAD_DIM"]) for v in (before, now)}) == 2


def test_its_record_is_what_was_applied() -> None:
    for request, proposal in research(Search(1), 60, bumpy):
        before, now = values(request.sources["train.py"]), values(proposal.edits["train.py"])
        as_json = json.loads(json.dumps(dict(proposal.details)))
        assert as_json["constants"] == json.loads(json.dumps(now))
        changed = {name: [before[name], now[name]] for name in now if before[name] != now[name]}
        assert as_json["changed"] == json.loads(json.dumps(changed))
        assert 1 <= len(as_json["chosen"]) <= 3
        assert set(as_json["chosen"]) <= set(apart(now))
        for name in changed:
            assert f"{name} {read(request.sources['train.py'])[name].text} → " in proposal.description
        assert proposal.hypothesis.endswith(".")
        assert "\n" not in proposal.description + proposal.hypothesis


def test_it_finds_a_better_place_in_twenty_experiments() -> None:
    for seed in range(3):
        scores = [valley(proposal.edits["train.py"]) for _, proposal in research(Search(seed), 20, valley)]
        best = [min([valley(REFERENCE), *scores[:n]]) for n in range(len(scores) + 1)]
        assert best[-1] < 0.98 * best[0]
        assert len(set(best)) - 1 >= 3


CHILD = """
import json, sys
sys.path.insert(0, {here!r})
from test_search import Search, bumpy, research
assert "optuna" not in sys.modules  # not before it is needed
print(json.dumps([p.description for _, p in research(Search(3), 25, bumpy)]))
"""


def test_the_same_seed_and_history_give_the_same_proposals_in_another_process() -> None:
    here = os.path.dirname(__file__)
    said = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", CHILD.format(here=here)], env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True, text=True, check=True, timeout=60,
            ).stdout
        )
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1] == [p.description for _, p in research(Search(3), 25, bumpy)]
    assert said[0] != [p.description for _, p in research(Search(4), 25, bumpy)]


def test_a_fresh_agent_goes_on_where_another_left() -> None:
    for request, proposal in research(Search(5), 12, bumpy):
        assert Search(5).propose(request) == proposal


def test_after_a_refusal_it_proposes_something_else() -> None:
    request, proposal = research(Search(0), 6, bumpy)[-1]
    again = replace(request, history=replace(request.history, refused=1), is_new=lambda edits: edits != proposal.edits)
    assert Search(0).propose(again).edits != proposal.edits


def test_a_direction_that_helped_is_followed() -> None:
    request, _ = research(Search(0), 1, valley)[0]
    source = REFERENCE.replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.06")
    details = {"constants": values(source), "changed": {"MATRIX_LR": [0.04, 0.06]}, "chosen": ["MATRIX_LR"]}
    history = after(request.history, Proposal({}, "", "", details), 1.5)
    proposal = Search(0).propose(
        Request(2, {"train.py": source}, "", history, "min", lambda edits: True, Paper(Path()))
    )
    assert values(proposal.edits["train.py"])["MATRIX_LR"] > 0.06
    assert "helped in experiment 1" in proposal.hypothesis


def test_a_maximised_metric_is_understood() -> None:
    def moved(direction: Any) -> str:
        request, proposal = research(Search(0), 1, valley)[0]
        history = replace(after(request.history, proposal, 3.0), incumbent=0)  # 3 is more than the baseline's
        history = replace(history, experiments=(*history.experiments[:-1], replace(history.experiments[-1], delta=0.5)))
        return Search(0).propose(replace(request, number=2, history=history, direction=direction)).description

    assert moved("min") != moved("max")


def test_a_batch_of_an_artifact_that_says_nothing_of_its_rows_keeps_its_passes() -> None:
    for _, proposal in research(Search(2), 40, bumpy, length=None):
        now = values(proposal.edits["train.py"])
        assert now["TOTAL_BATCH_SIZE"] % (now["DEVICE_BATCH_SIZE"] * 512) == 0


def test_constants_of_an_unknown_artifact_are_tuned_too() -> None:
    source = (
        "CHUNK = 300\nTHRESHOLD = 0.01\nBIAS = -2.5\nFAST = True\nROUNDS = 3\nZERO = 0.0\nN_EMBD = 96\nN_HEAD = 6\n"
    )
    moved = set()
    for request, proposal in research(Search(0), 60, lambda text: 1 + random.Random(text).random(), source, None):
        before, now = values(request.sources["train.py"]), values(proposal.edits["train.py"])
        moved |= {name for name in now if now[name] != before[name]}
        assert {name: type(v) for name, v in now.items()} == {name: type(v) for name, v in before.items()}
        assert now["N_EMBD"] % now["N_HEAD"] == 0
        assert now["BIAS"] < 0 < now["THRESHOLD"]
        assert now["CHUNK"] >= 1
        assert now["ROUNDS"] >= 1
    assert {"CHUNK", "THRESHOLD", "BIAS", "FAST", "ROUNDS", "ZERO"} <= moved


def test_two_files_with_the_same_name_are_told_apart() -> None:
    sources = {"a.py": "RATE = 0.1\nONLY = 2.0\n", "b.py": "RATE = 0.5\n", "notes.md": "RATE = 1"}
    history = after(History(), Proposal({}, "baseline", ""), 1.0)
    seen: list[dict[str, str]] = []
    for _ in range(10):
        request = Request(1, sources, "", history, "min", lambda edits: dict(edits) not in seen, Paper(Path()))
        proposal = Search(0).propose(request)
        seen.append(dict(proposal.edits))
        assert set(proposal.details["constants"]) == {"a.py:RATE", "ONLY", "b.py:RATE"}
        assert set(proposal.edits) <= {"a.py", "b.py"}
    assert len({tuple(edits) for edits in seen}) > 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("rate = 0.1\nSEED = 3\n", "no capital constants"),
        ("RATE = = 1\n", "cannot be read as Python"),
        ("RATE = 1\0\n", "cannot be read as Python"),
    ],
)
def test_an_artifact_without_constants_is_refused_with_the_reason(source: str, reason: str) -> None:
    history = after(History(), Proposal({}, "baseline", ""), 1.0)
    with pytest.raises((Refused, Exhausted), match=reason):
        Search(0).propose(Request(1, {"train.py": source}, "", history, "min", lambda edits: True, Paper(Path())))


def test_when_everything_was_tried_it_says_so() -> None:
    source, seen = "FLAG = True\n", {"FLAG = True\n", "FLAG = False\n"}
    history = after(History(), Proposal({}, "baseline", ""), 1.0)
    with pytest.raises(Refused, match="no untried values for FLAG"):
        Search(0).propose(
            Request(
                1, {"train.py": source}, "", history, "min", lambda edits: edits["train.py"] not in seen, Paper(Path())
            )
        )


def test_of_a_value_below_nothing_the_words_say_where_it_goes() -> None:
    (negative, positive) = hyperparameters({"SHIFT": -2.0, "SCALE": 2.0})
    for h in (negative, positive):
        for way in (1, -1):
            grows = h.at(h.x + way) > h.value
            assert h.word(way) == ("up" if grows else "down"), f"{h.key} from {h.value} to {h.at(h.x + way)}"
