"""The account of many experiments, and the ladder that a barren stretch climbs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prompt_history import diff, experiment, history, night, request

from core.agents.account import ROWS, losses, near_misses, record, telling
from core.agents.ladder import PATIENCE, RUNGS, barren, rung
from core.agents.prompt import prompt
from core.experiment import Experiment, Verdict

ROOT = Path(__file__).parents[2]


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^#(\d+) ", text, re.M)]


def stretch(count: int, *special: Experiment) -> list[Experiment]:
    """The baseline and so many dull discards, with these in their places."""
    made = [experiment(0, "keep", None), *(experiment(n, "discard", 0.05 + n / 1e5) for n in range(1, count + 1))]
    for e in special:
        made[e.number] = e
    return made


def test_few_experiments_are_all_told() -> None:
    experiments = night(ROWS - 1)
    assert numbers(record(experiments, "min")) == list(range(ROWS))


def test_of_many_the_telling_ones_have_a_line_and_the_others_are_summed() -> None:
    special = [
        experiment(20, "keep", -0.2),
        experiment(30, "discard", 0.0001),
        experiment(40, "discard", 9.0),
        experiment(50, "crash", None, verdict=Verdict("crash", "oom")),
        experiment(60, "crash", None, verdict=Verdict("crash", "ValueError: 3 is not 4")),
        experiment(70, "crash", None, verdict=Verdict("crash", "ValueError: 5 is not 6")),
    ]
    text = record(stretch(400, *special), "min")
    told = set(numbers(text))
    assert {0, 20, 30, 40, 50, 70, 400, 399} <= told
    assert 60 not in told  # the same cause as 70, which came later
    assert 200 not in told
    assert len(told) == ROWS
    assert f"Of 401 experiments the {len(told)} most telling ones are listed." in text
    assert re.search(r"^discard: \d+, gains -0\.05\d* to -0\.05\d*, median -0\.05\d*$", text, re.M)
    assert "1 × ValueError: N is not N" in text


def test_every_name_that_was_turned_is_remembered_with_its_last_values() -> None:
    turned = [experiment(n, "discard", 0.02, diff=diff("WIDTH", n - 1, f"{n}  # why")) for n in range(10, 22)]
    kept = experiment(30, "keep", -0.5, diff=diff("config.rate", "1e-3", "2e-3"))
    text = record(stretch(300, *turned, kept), "min")
    assert re.search(r"^WIDTH: tried 12 ×, 0 kept, best gain -0\.02; last 14 \| 15 \| .* \| 21$", text, re.M)
    assert "config.rate: tried 1 ×, 1 kept, best gain +0.5; last 2e-3" in text


@pytest.mark.parametrize("direction", ["min", "max"])
def test_near_misses_and_losses_in_either_direction(direction: str) -> None:
    sign = 1 if direction == "min" else -1
    deltas = [0.5, 0.001, 0.3, 0.002, 4.0]
    made = [experiment(n, "discard", sign * d) for n, d in enumerate(deltas, 1)]
    made += [experiment(9, "crash", None), experiment(10, "keep", -sign * 0.1)]
    assert [e.number for e in near_misses(made, direction, 2)] == [2, 4]
    assert [e.number for e in losses(made, direction, 2)] == [5, 1]


def test_a_skipped_experiment_has_a_line_and_is_neither_near_nor_lost() -> None:
    skipped = experiment(1, "discard", None, measurement=None, verdict=Verdict("discard", "skipped"))
    assert "#1 discard: skipped, +1 −1 lines" in record([experiment(0, "keep", None), skipped], "min")
    assert not near_misses([skipped], "min", 5)


def test_the_choice_stays_small_where_everything_is_telling() -> None:
    everything = [experiment(n, "keep", -0.1) for n in range(3_000)]
    assert len(telling(everything, "min")) <= ROWS
    causes = (f"E{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}" for n in range(3_000))
    alike = [experiment(n, "crash", None, verdict=Verdict("crash", cause)) for n, cause in enumerate(causes)]
    text = record(alike, "min")
    assert len(numbers(text)) <= ROWS
    assert len(text) < 30_000


# --- the ladder ------------------------------------------------------------------------------------------------------


def test_the_ladder_is_climbed_a_rung_at_a_time_and_then_again() -> None:
    assert rung(0) is rung(PATIENCE - 1) is None
    climbed = [rung(PATIENCE * k) for k in range(1, 2 * len(RUNGS) + 1)]
    assert climbed == [*((1, r) for r in RUNGS), *((2, r) for r in RUNGS)]
    assert rung(2 * PATIENCE - 1) == (1, RUNGS[0])
    assert rung(10**9)


def test_barren_is_counted_from_the_last_keep() -> None:
    assert barren(history(())) == 0
    assert barren(history(stretch(5))) == 5
    assert barren(history(stretch(5, experiment(4, "keep", -0.1)))) == 1


def test_a_barren_run_is_told_to_be_bolder_and_shown_what_that_speaks_of() -> None:
    near = experiment(3, "discard", 0.001, description="so close", diff=diff("NEAR", 1, 2))
    lost = experiment(5, "discard", 7.0, description="so bad", diff=diff("LOST", 1, 2))
    kept = experiment(1, "keep", -0.1, description="the gain", diff=diff("GAIN", 1, 2))
    shown = {"near misses": "+NEAR = 2", "losses": "+LOST = 2", "keeps": "+GAIN = 2", "nothing": ""}
    for k, step in enumerate(RUNGS, 1):
        count = 1 + k * PATIENCE
        asked = prompt(request(history(stretch(count, near, lost, kept)))).latest
        now = asked[asked.index("# Now: a proposal") :]
        assert f"{k * PATIENCE} experiments in a row were not kept. It is time for a bolder step. {step.name}: " in now
        assert step.words in now
        assert shown[step.shows] in now
        assert [s for s in shown.values() if s and s in now] == [s for s in (shown[step.shows],) if s]
    assert "bolder" not in prompt(request(history(stretch(PATIENCE - 1)))).latest
    assert "round 2" in prompt(request(history(stretch(PATIENCE * (len(RUNGS) + 1))))).latest


def test_the_ladder_in_the_documentation_is_the_one_in_the_code() -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    section = page[page.index("## The ladder") :].split("\n## ")[0]
    told = re.findall(r"^\d+\. \*\*(.+?)\.\*\* (.+?)$", re.sub(r"\n {3}(?=\S)", " ", section), re.M)
    assert told == [(r.name, r.words) for r in RUNGS]
    assert f"After {PATIENCE} experiments" in section
