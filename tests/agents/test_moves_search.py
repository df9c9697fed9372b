"""Structure, near misses and memory in `search`: recorded, shared out by what they bring, and never a crash loop."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import backends
from core.agents import Refused, Request
from core.agents.constants import read
from core.agents.evidence import evidence
from core.agents.fit import Room, fitted
from core.agents.moves import moved, sites
from core.agents.search import Search
from core.desk import Paper
from core.events import RunStarted
from core.experiment import Experiment, Measurement, Proposal, Verdict
from core.history import History

SOURCE = (Path(backends.__file__).parent / "cuda" / "train.py").read_text(encoding="utf-8")
RUN = RunStarted(
    "t", "", "", {}, "cuda", "cuda:0", "search", 0, "", "", {"sequence_length": 2048}, 300.0, None, None, ""
)
Score = Callable[[str], Measurement | str]


def after(history: History, proposal: Proposal, measured: Measurement | str, log_tail: str = "") -> History:
    """The history with one more experiment, judged greedily; a word is why it crashed. Details go through JSON."""
    best = history.best.measurement.value if history.best and history.best.measurement else None
    m = measured if isinstance(measured, Measurement) else None
    kept = m is not None and (best is None or m.value < best)
    verdict = Verdict("keep" if kept else "discard", "") if m else Verdict("crash", str(measured))
    experiment = Experiment(
        number=len(history.experiments), commit="", parent="", description=proposal.description,
        hypothesis=proposal.hypothesis, diff="", lines=20, details=json.loads(json.dumps(dict(proposal.details))),
        measurement=m, verdict=verdict, incumbent=history.incumbent,
        delta=m.value - best if m and best is not None else None, trials=1, trial=1, log_tail=log_tail,
    )  # fmt: skip
    incumbent = experiment.number if kept else history.incumbent
    return replace(history, experiments=(*history.experiments, experiment), incumbent=incumbent)


def measured(value: float, memory: float = 1000.0) -> Measurement:
    return Measurement(value, 300.0, 350.0, memory)


def research(count: int, score: Score, seed: int = 0, source: str = SOURCE) -> list[tuple[Request, Proposal]]:
    history = after(History(run=RUN), Proposal({}, "baseline", ""), score(source))
    seen, made = {source}, []
    for number in range(1, count + 1):
        so_far = frozenset(seen)
        is_new = lambda edits, so_far=so_far: edits["train.py"] not in so_far  # noqa: E731
        request = Request(number, {"train.py": source}, "", history, "min", is_new, Paper(Path()))
        proposal = Search(seed).propose(request)
        made.append((request, proposal))
        text = proposal.edits["train.py"]
        seen.add(text)
        history = after(history, proposal, score(text))
        if history.incumbent == number:
            source = text
    return made


def forms(source: str) -> dict[str, str]:
    return {key: site.form for key, site in sites(source).items()}


def noise(source: str) -> Measurement:
    return measured(2 + random.Random(source).random())


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
def test_what_it_records_is_what_it_did(backend: str) -> None:
    kinds = set()
    source = (Path(backends.__file__).parent / backend / "train.py").read_text(encoding="utf-8")
    for request, proposal in research(30, noise, source=source):
        before, now = request.sources["train.py"], proposal.edits["train.py"]
        details = json.loads(json.dumps(dict(proposal.details)))
        kinds.add(details["kind"])
        assert details["forms"] == forms(now)
        assert details["reformed"] == {k: [f, forms(now)[k]] for k, f in forms(before).items() if forms(now)[k] != f}
        values = {name: (read(before)[name].value, c.value) for name, c in read(now).items()}
        assert details["changed"] == json.loads(json.dumps({n: p for n, p in values.items() if p[0] != p[1]}))
        for key, (old, new) in details["reformed"].items():
            assert f"{key} {old} → {new}" in proposal.description
        assert len(proposal.description) <= 300
    assert kinds >= {"numbers", "structure"}


def test_a_structure_that_helps_is_found_kept_and_not_left_again() -> None:
    """Two forms are good, everything else is worse: both are found, and neither is undone."""
    good = {"activation": "silu", "warm-down": "1 - sqrt"}
    worse = random.Random(1)

    def score(source: str) -> Measurement:
        missing = sum(forms(source)[key] != form for key, form in good.items())
        others = sum(form != forms(SOURCE)[key] for key, form in forms(source).items() if key not in good)
        return measured(2 + 0.1 * missing + 0.1 * others + 0.01 * (source != SOURCE) + 0.001 * worse.random())

    made = research(60, score)
    assert {k: forms(made[-1][0].sources["train.py"])[k] for k in good} == good


def test_a_near_miss_is_tried_again_once_the_incumbent_has_moved() -> None:
    def score(source: str) -> Measurement:
        """Each is a little worse than the baseline alone, but for MATRIX_LR, which helps."""
        other, helped = forms(source) != forms(SOURCE), read(source)["MATRIX_LR"].value != 0.04
        return measured(2.0 + 0.0005 * other - 0.1 * helped + 1e-6 * random.Random(source).random())

    made = research(40, score)
    again = [p for _, p in made if p.details["kind"] == "retry"]
    assert again
    for proposal in again:
        assert "missed by little" in proposal.hypothesis
        changes = (proposal.details["reformed"], proposal.details["changed"])
        first = [p for _, p in made if p.details["kind"] != "retry"
                 and (p.details["reformed"], p.details["changed"]) == changes]  # fmt: skip
        assert first, "what is tried again was tried before"
    told = [json.dumps([p.details["reformed"], p.details["changed"]], sort_keys=True) for p in again]
    assert len(told) == len(set(told)), "and once only"


def test_an_artifact_of_places_alone_is_searched_too() -> None:
    source = "import torch.nn.functional as F\n\n\ndef mlp(x):\n    return F.gelu(x)\n"
    made = research(4, noise, source=source)
    assert {sites(p.edits["train.py"])["activation"].form for _, p in made} == {"relu²", "silu", "leaky relu²", "relu"}
    with pytest.raises(Refused, match="no untried values for activation"):
        research(5, noise, source=source)


def test_a_kind_that_brings_nothing_gets_few_experiments_and_one_that_does_gets_many() -> None:
    def structure_helps(source: str) -> Measurement:
        done = sum(form != forms(SOURCE)[key] for key, form in forms(source).items())
        return measured(2 - 0.01 * done + 0.02 * (read(source)["MATRIX_LR"].value != 0.04) + 1e-5 * len(set(source)))

    def numbers_help(source: str) -> Measurement:
        done = sum(form != forms(SOURCE)[key] for key, form in forms(source).items())
        return measured(2 + 0.1 * done - 1e-3 * (hash_of(source) % 100))

    def share(score: Score) -> int:
        return sum(p.details["kind"] == "structure" for _, p in research(30, score))

    assert share(structure_helps) > share(numbers_help)


def hash_of(source: str) -> int:
    return sum(map(ord, source))


def test_the_gate_reads_no_more_channels_than_there_are() -> None:
    before = {"DEPTH": 2, "ASPECT_RATIO": 64, "HEAD_DIM": 128, "GATE_CHANNELS": 64}
    assert fitted({**before, "GATE_CHANNELS": 128}, before, None)
    assert fitted({**before, "GATE_CHANNELS": 256}, before, None) is None
    assert fitted({**before, "HEAD_DIM": 32, "ASPECT_RATIO": 16}, before, None) is None


# --- memory ----------------------------------------------------------------------------------------------------------

CAPACITY = 45_000.0


def peak(source: str) -> float:
    v: dict[str, Any] = {name: constant.value for name, constant in read(source).items()}
    width = v["DEPTH"] * v["ASPECT_RATIO"]
    return 2000 + v["DEVICE_BATCH_SIZE"] * v["DEPTH"] * width * 0.07 + v["DEPTH"] * width**2 * 0.001


def greedy_for_size(source: str) -> Measurement | str:
    """The larger the better, until there is no memory."""
    return "oom" if peak(source) > CAPACITY else measured(3 - peak(source) / 1e5, peak(source))


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_fit_is_not_tried_again_and_again(seed: int) -> None:
    made = research(40, greedy_for_size, seed)
    crashed = [p for _, p in made if peak(p.edits["train.py"]) > CAPACITY]
    sizes = [Room(r.history, {t.number: t.values for t in evidence(r.history, "min", {})}) for r, _ in made]
    assert len(crashed) <= 4
    assert any(p.details["too_large"] for _, p in made)
    said = [line for r, _ in made for line in r.desk.said]  # type: ignore[attr-defined]
    assert any("no memory for them" in line for line in said)
    assert len(sizes) == 40


def size(rows: int, depth: int, ratio: int = 64) -> dict[str, Any]:
    return {"DEVICE_BATCH_SIZE": rows, "DEPTH": depth, "ASPECT_RATIO": ratio}


def room(*runs: tuple[dict[str, Any], float | str], log_tail: str = "") -> Room:
    history = History(run=RUN)
    for _, told in runs:
        outcome = told if isinstance(told, str) else measured(2.0, told)
        history = after(history, Proposal({}, "", ""), outcome, log_tail)
    return Room(history, {number: values for number, (values, _) in enumerate(runs)})


def test_nothing_is_screened_out_before_anything_is_known() -> None:
    assert room().holds(size(2**20, 100))
    assert room((size(64, 8), 30_000.0)).holds(size(128, 8))
    assert room((size(64, 8), 30_000.0), (size(128, 8), "nan")).holds(size(128, 8))
    assert room((size(64, 8), 30_000.0), (size(128, 8), "oom")).holds({"RATE": 0.1})


def test_what_is_at_least_as_large_as_what_ran_out_of_memory_is_screened_out() -> None:
    known = room((size(64, 8), 30_000.0), (size(128, 8), "oom"))
    assert known.holds(size(64, 8))
    assert known.holds(size(64, 9))
    assert not known.holds(size(128, 8))
    assert not known.holds(size(256, 8))
    assert not known.holds(size(128, 9))


def test_a_crash_at_a_size_that_had_room_is_no_fact_about_sizes() -> None:
    """A structural move ran out of memory, at the incumbent's own size."""
    assert room((size(64, 8), 30_000.0), (size(64, 8), "oom")).holds(size(64, 8))
    assert room((size(64, 8), 30_000.0), (size(64, 8), "oom")).holds(size(64, 9))


def test_peaks_of_several_sizes_tell_what_another_would_take() -> None:
    def law(rows: int, depth: int) -> float:
        width = depth * 64
        return 2000 + rows * depth * width * 0.07 + depth * width**2 * 0.001

    runs = [(size(rows, depth), law(rows, depth)) for rows, depth in ((16, 4), (32, 4), (64, 4), (16, 8), (32, 6))]
    tail = "OutOfMemoryError: CUDA out of memory. GPU 0 has a total capacity of 23.50 GiB of which 1 GiB is free"
    known = room(*runs, (size(512, 8), "oom"), log_tail=tail)
    for rows in (16, 32, 64, 128, 256):
        for depth in (4, 6, 8, 10):
            smaller = any(rows <= s["DEVICE_BATCH_SIZE"] and depth <= s["DEPTH"] for s, _ in runs)
            assert known.holds(size(rows, depth)) == (smaller or law(rows, depth) < 0.97 * 23.5 * 1024), (rows, depth)


def test_a_refusal_says_that_memory_is_why() -> None:
    source = "DEVICE_BATCH_SIZE = 64\nN_EMBD = 64\nSEED = 3\n"
    history = after(History(run=RUN), Proposal({}, "baseline", ""), measured(2.0))
    for n, text in enumerate((source.replace("BATCH_SIZE = 64", "BATCH_SIZE = 65"), source), 1):
        values = {name: c.value for name, c in read(text).items()}
        details = {"constants": values, "changed": {"DEVICE_BATCH_SIZE": [64, values["DEVICE_BATCH_SIZE"]]}}
        history = after(history, Proposal({}, str(n), "", details), "oom")
    only_larger = lambda edits: read(edits["train.py"])["DEVICE_BATCH_SIZE"].value > 64  # noqa: E731
    asked = Request(3, {"train.py": source}, "", history, "min", only_larger, Paper(Path()))
    with pytest.raises(Refused, match="would not fit into the memory"):
        Search(0).propose(asked)


def test_the_moved_source_is_a_new_one_in_its_own_right() -> None:
    """A resumed run goes on the same with structure in its history: every proposal follows from the request alone."""
    for request, proposal in research(15, noise, seed=2):
        assert Search(2).propose(request) == proposal
    assert moved(SOURCE, {}) == SOURCE
