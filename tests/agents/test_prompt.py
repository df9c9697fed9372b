"""What a model is told: every fact at its place, the same bytes where nothing changed, and an end to it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_history import SOURCE, diff, experiment, history, night, request

from core.agents import Crash, Unable
from core.agents.prompt import LARGEST_PROGRAM, LARGEST_SOURCES, SEALED, prompt
from core.agents.situation import HUMAN, MEMORY, spread
from core.events import Committed, Crashed, ProposalRefused, Proposed
from core.experiment import Measurement, Repair, Repeat, Verdict
from core.history import Pending
from core.notes import Note

ROOT = Path(__file__).parents[2]


def piece(text: str, name: str) -> str:
    """What stands between the fences of this name."""
    found = re.search(rf"^<{name} (\w+)>\n(.*?)\n</{name} \1>$", text, re.M | re.S)
    assert found, f"no <{name}> in {text[:2000]}"
    return found[2]


def test_it_says_what_the_task_is_and_nothing_that_the_task_is_not() -> None:
    asked = prompt(request(contract="load() stays."))
    assert "Metric: loss, lower is better, taken by a command that your files cannot reach." in asked.stable[1]
    assert "Budget: 300 s of work, 120 s to start up, 600 s in all." in asked.stable[1]
    assert re.search(r"Machine: cuda:0, backend cuda; \d+ cores, \d+ GB of memory\.", asked.stable[1])
    assert "a card with 80 GB: profile gpu-80gb" in asked.stable[1]
    assert piece(asked.stable[1], "contract") == "load() stays."
    assert piece(asked.stable[2], "program") == "Find what helps."
    assert not re.search(r"GPT|bpb|\bloss of|\btrain(ing|ed)?\b|gradient|\bmodel's", asked.stable[0])


def test_a_metric_to_be_raised_that_the_artifact_prints() -> None:
    task = {"commands": {"train": "run"}, "metric": {"name": "hits", "direction": "max", "pattern": "hits: (.*)"}}
    up = experiment(1, "keep", 0.5, measurement=Measurement(1.5, 2.0, 3.0, 10.0, {}, self_reported=True))
    asked = prompt(request(history((experiment(0, "keep", None), up), task=task), direction="max"))
    assert (
        "Metric: hits, higher is better, taken from what your files print or write, which is believed"
        in asked.stable[1]
    )
    assert "The incumbent is #1: 1.5, as the artifact itself printed it" in asked.fresh
    assert "#1 keep, 1.5 (gain +0.5)" in asked.fresh


def test_the_incumbents_source_is_there_to_the_byte() -> None:
    source = "x = 'tab\there'\r\n\x0c# form feed, 漢字, \u202e\n" + "y = '" + "a" * 5_000 + "'"
    asked = prompt(request(sources={"a.py": source, "b.py": "z = 1\n"}))
    assert f"\n{source}\n</source" in asked.fresh
    assert "a.py, 3 lines, the last one without a line end:" in asked.fresh
    assert re.search(r"^b\.py, 1 line:\n<source (\w+)>\nz = 1\n</source \1>$", asked.fresh, re.M)


def test_an_agent_that_finds_files_gets_their_names_only() -> None:
    asked = prompt(request(sources={"a.py": "z" * (LARGEST_SOURCES + 1)}), "Edit the files here.", with_sources=False)
    assert "a.py, 1 line, the last one without a line end." in asked.fresh
    assert "zzz" not in asked.text
    assert "Edit the files here." in asked.stable[0]
    assert "submit" not in asked.stable[0]


def test_what_is_too_large_is_refused_and_never_cut() -> None:
    with pytest.raises(Unable) as problem:
        prompt(request(sources={"train.py": "é" * (LARGEST_SOURCES // 2 + 1)}))
    assert f"{LARGEST_SOURCES + 2:,} bytes" in problem.value.reason
    assert "command:" in problem.value.mend
    with pytest.raises(Unable, match=r"program\.md has 100,001 bytes"):
        prompt(request(program="p" * (LARGEST_PROGRAM + 1)))
    longest = "p" * 50_000 + "\n" + "q" * 49_998
    assert piece(prompt(request(program=longest)).stable[2], "program") == longest


def test_the_stable_part_is_the_same_bytes_until_program_md_changes() -> None:
    experiments = night(60)
    first = prompt(request(history(experiments[:1]), program="A.\n", contract="C"))
    for n in range(2, 61):
        h = history(experiments[:n], memory=tuple(Note(i, f"note {i}", float(i)) for i in range(n)))
        later = prompt(request(h, program="A.\n", contract="C", notes=(Note(1, "go", 0.0),)))
        assert later.stable == first.stable
    assert prompt(request(history(experiments), program="B.\n", contract="C")).stable[:2] == first.stable[:2]
    assert prompt(request(history(experiments), program="B.\n", contract="C")).stable != first.stable


def test_the_record_stays_as_it_is_for_25_experiments_also_when_an_old_one_is_tried_again() -> None:
    experiments = night(3 * SEALED)
    records = []
    for n in range(2 * SEALED, 3 * SEALED):
        again = (*experiments[:3], replace(experiments[3], repeats=(Repeat(2, Measurement(1.0, 1, 1, 1)),) * n))
        records.append(prompt(request(history((*again, *experiments[4:n])))).lasting[0])
    assert len(set(records)) == 1
    assert prompt(request(history(experiments[: 3 * SEALED]))).lasting[0] != records[0]


def test_every_experiment_is_told_once_in_the_record_or_among_the_latest() -> None:
    asked = prompt(request(history(night(40))))
    told = [*piece(asked.lasting[0], "record").split("\n"), *piece(asked.latest, "latest").split("\n")]
    assert [int(line.split()[0][1:]) for line in told] == list(range(41))


def test_it_is_bounded_whatever_the_run_has_seen() -> None:
    def size(count: int) -> int:
        long = "長い言葉 " * 800
        notes = tuple(Note(i, long, float(i)) for i in range(count))
        return len(prompt(request(history(night(count), memory=notes, notes=notes))).text)

    assert size(3_000) < 1.15 * size(500) < 120_000


def test_old_notes_give_way_and_it_says_so() -> None:
    notes = tuple(Note(i, f"note {i} " + "w" * 900, float(i)) for i in range(100))
    asked = prompt(request(history(night(3), memory=notes, notes=notes))).latest
    assert len(piece(asked, "notes")) <= MEMORY
    assert len(piece(asked, "human")) <= HUMAN
    assert "#99: note 99" in piece(asked, "notes")
    assert "#0: note 0 " not in piece(asked, "notes")
    assert re.search(r"# Your own notes \(\d+ older ones are left out: write down again what still matters\)", asked)
    assert re.search(r"# What the human told you \(\d+ older ones are left out\)", asked)


def test_what_the_human_said_since_the_last_answer_is_marked() -> None:
    notes = (
        Note(1, "try wider", 0.0),
        Note(2, "too ugly", 1.0, rejected="a\nnew\x1b[31m attention"),
        Note(3, "stop\n it", 2.0),
    )
    asked = prompt(request(history(night(3), notes=notes, notes_read=1))).latest
    assert piece(asked, "human").split("\n") == [
        "before #1: try wider", "NEW no to a proposal for #2: too ugly", "NEW before #3: stop", " it",
    ]  # fmt: skip
    assert piece(asked, "rejected") == "#2: a new attention"  # a model's words, so not among the human's


def test_it_knows_why_its_last_answer_was_refused() -> None:
    refused = ProposalRefused(4, "train.py does not parse: line 3", "wider")
    assert piece(prompt(request(history(night(3), last_refusal=refused))).latest, "refusal") == (
        "wider. train.py does not parse: line 3"
    )
    old = replace(refused, number=3)
    assert "<refusal" not in prompt(request(history(night(3), last_refusal=old))).latest


def test_the_speed_and_memory_of_the_incumbent() -> None:
    found = {
        "num_steps": 600,
        "total_tokens_M": 30.0,
        "eval_seconds": {"load": 1},
        "odd\x1b[2J": 2.0,
        "bad": float("nan"),
    }
    best = experiment(0, "keep", None, measurement=Measurement(0.9, 300.0, 325.9, 45_060.2, found))
    standing = piece(prompt(request(history((best,)))).latest, "standing")
    assert "Its work took 300.0 s of 325.9 s in all, and 45,060 MB" in standing
    assert "steps a second: 2" in standing
    assert "tokens a second: 100,000" in standing
    assert "odd: 2" in standing
    assert "\x1b" not in standing
    assert "bad" not in standing
    assert "eval_seconds" not in standing


def test_noise_is_what_repeats_of_one_source_differ_by() -> None:
    def tried(number: int, *scores: float) -> object:
        first, *more = [Measurement(s, 1.0, 1.0, 1.0) for s in scores]
        return experiment(number, "discard", 0.1, measurement=first, repeats=tuple(Repeat(2, m) for m in more))

    assert spread([experiment(1)]) is None
    assert "No source has been measured twice" in prompt(request()).latest
    experiments = [tried(0, 1.0, 1.2), tried(1, 2.0, 2.2, 2.4), experiment(2)]
    deviation, trials, groups = spread(experiments) or (0, 0, 0)
    assert (round(deviation, 6), trials, groups) == (round(((0.02 + 0.08) / 3) ** 0.5, 6), 5, 2)
    asked = prompt(request(history(experiments))).latest
    assert "standard deviation 0.183, from 5 trials of 2 experiments. A difference below 0.365 may be luck" in asked
    assert piece(asked, "repeats").split("\n") == ["#0: 1, 1.2", "#1: 2, 2.2, 2.4"]


def test_a_crash_is_shown_with_its_change_and_the_end_of_its_log() -> None:
    edit = diff("SIZE", 8, 9)
    p = Pending(
        4,
        proposed=Proposed(4, "p", 3, {}, "SIZE 9", "larger is better", {}),
        committed=Committed(4, "c", "r", edit, 480),
        crashed=Crashed(4, 1, "RuntimeError: 9 is odd", "", 2.0),
        repairs=(Repair("c0", "RuntimeError: 7 is odd"),),
    )
    tail = "\n".join(f"line {i}" for i in range(3_000)) + "\nRuntimeError: 9 is odd"
    sources = {"train.py": SOURCE.replace("8", "9")}
    crashed = request(history(night(3), pending=p), sources, crash=Crash("RuntimeError: 9 is odd", tail, 2))
    asked = prompt(crashed)
    assert asked.stable == prompt(request(history(night(3)))).stable
    assert "# The artifact, as it crashed, with your edits" in asked.lasting[-1]
    assert "# Now: mend experiment #4, which crashed (repair 2)" in asked.latest
    assert piece(asked.latest, "proposed") == "SIZE 9\nlarger is better"
    assert piece(asked.latest, "diff") == edit.strip()
    assert piece(asked.latest, "earlier") == "attempt 1: RuntimeError: 7 is odd"
    log = piece(asked.latest, "log").split("\n")
    assert log[0] == "RuntimeError: 9 is odd" == log[-1]
    assert "earlier lines left out" in log[2]
    assert "line 2999" in log
    assert len("\n".join(log)) < 7_000
    assert "bolder step" not in asked.latest


def test_before_the_first_measurement_there_is_a_prompt_too() -> None:
    assert "Nothing has been measured yet." in prompt(request(history(()))).latest
    assert "Nothing has been measured yet." in prompt(request(replace(history(()), run=None, engine=None))).latest


def test_every_policy_has_its_rule_in_words() -> None:
    from core.judge import POLICIES, RULES

    assert POLICIES.keys() == RULES.keys()


def test_a_crash_and_a_mended_one_in_a_line() -> None:
    crash = experiment(1, "crash", None, verdict=Verdict("crash", "oom"))
    mended = experiment(2, "keep", -0.1, repairs=(Repair("c", "nan"),), edited=True)
    latest = piece(prompt(request(history((experiment(0, "keep", None), crash, mended)))).latest, "latest").split("\n")
    assert latest[1] == "#1 crash: oom, +1 −1 lines · change number 1"
    assert latest[2].endswith("+1 −1 lines, mended after 1 crashed: nan, edited by the human · change number 2")


def test_program_md_holds_research_and_no_setting_up() -> None:
    text = (ROOT / "program.md").read_text()
    assert len(text) < 4_000
    assert not re.search(r"git (commit|checkout|reset)|results\.tsv|uv run|pip install|val_loss", text)
    for word in ("soft limit", "Simple is better", "history", "stuck", "contract"):
        assert word in text
