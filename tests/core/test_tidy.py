"""Which checkpoints a run keeps, and that it says what they take."""

from __future__ import annotations

import json
import re

import pytest
from conftest import autoresearch, commit_all, ended
from test_loop import script

from core.checkpoints import KEPT_RECENT, checkpoint_file, prune
from core.events import Measured
from core.history import fold
from core.journal import read
from core.launch import Options

WRITES = """
import json, os
with open(json.load(open(os.environ["AUTORESEARCH_TRIAL"]))["checkpoint"], "wb") as file:
    file.write(b"m" * 1000)
"""
RATES = ("0.9", "0.4", "0.8", "0.7", "None", "0.75", "0.35", "0.81", "0.82")


@pytest.fixture
def saving(toy):
    """The toy task with a checkpoint of 1,000 bytes from each trial."""
    (toy / "train.py").write_text((toy / "train.py").read_text() + WRITES)
    commit_all(toy)
    return toy


def steps(toy) -> str:
    """A script of one proposal a rate: two keeps, a crash, and the rest worse."""
    made, incumbent = [], "0.5"
    for rate in RATES:
        made.append((f"rate {rate}", f"RATE = {incumbent}", f"RATE = {rate}"))
        incumbent = rate if rate in ("0.4", "0.35") else incumbent
    return script(toy, *made)


def checkpoints(folder) -> set[str]:
    return {file.parent.name for file in folder.glob("trials/*/checkpoint.safetensors")}


def test_kept_ones_and_the_last_few_stay(saving, engines):
    folder = engines(Options(str(saving), agent=steps(saving), tag="t", experiments=6))
    h = ended(folder)
    assert [e.verdict.outcome[0] for e in h.experiments] == list("kdkddcd")
    assert KEPT_RECENT == 3
    assert checkpoints(folder) == {"0-1", "2-1", "3-1", "4-1", "6-1"}  # of 5, a crash, there never was one
    assert "5 checkpoints, 0.0 MB" in autoresearch("status", cwd=saving).stdout
    assert json.loads(autoresearch("status", "--json", cwd=saving).stdout)["checkpoint_bytes"] == 5000
    stray = folder / "trials/1-1/checkpoint.safetensors"
    stray.write_bytes(b"left by an engine that was killed")
    engines(Options(str(saving), resume="t", experiments=3))
    assert not stray.exists()
    assert [e.verdict.outcome[0] for e in ended(folder).experiments][7:] == list("kdd")
    assert checkpoints(folder) == {"0-1", "2-1", "7-1", "8-1", "9-1"}


def test_all_stay_where_the_user_wants_that_and_after_resume_too(saving, engines):
    options = Options(str(saving), agent=steps(saving), tag="t", experiments=4, keep_checkpoints=True)
    folder = engines(options)
    ended(folder)
    engines(Options(str(saving), resume="t", experiments=5))
    ended(folder)
    assert checkpoints(folder) == {f"{n}-1" for n in (*range(5), *range(6, 10))}
    help_text = autoresearch("resume", "--help", cwd=saving).stdout
    assert re.search(r"--keep-checkpoints +Keep every checkpoint", help_text)


def test_a_measured_trial_keeps_its_model_until_its_verdict(saving, engines):
    """An engine that was killed between the two finds it again."""
    folder = engines(Options(str(saving), agent=steps(saving), tag="t", experiments=5))
    ended(folder)
    events = list(read(folder / "journal.jsonl"))
    cut = next(i for i, (event, _) in enumerate(events) if isinstance(event, Measured) and event.number == 2)
    void = checkpoint_file(folder, 2, 2)
    void.parent.mkdir()
    void.write_bytes(b"moved, and then the engine was killed")
    prune(folder, fold(events[: cut + 1]), keep_all=True)
    assert checkpoints(folder) == {"0-1", "2-1"}
