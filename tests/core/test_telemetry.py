"""What a trial reports: all of it while it trains, and so much afterwards that a disk holds ten thousand trials."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from core.channel import Telemetry


def reported(path: Path, count: int) -> list[int]:
    """The steps that are left of so many reports, ten a second, once the trial is over."""
    telemetry = Telemetry(path)
    for step in range(count):
        telemetry.report(step / 10, {"step": step, "loss": 1.0, "tokens_per_second": 30100.0, "memory_mb": 512.0})
    assert len(path.read_text().splitlines()) == count, "whole while it trains"
    telemetry.close()
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_of_a_long_trial_some_hundred_lines_stay_evenly_spread(tmp_path):
    path = tmp_path / "telemetry.jsonl"
    steps = reported(path, 3000)
    assert Telemetry.MOST_KEPT / 2 <= len(steps) <= Telemetry.MOST_KEPT + 1
    assert (steps[0], steps[-1]) == (0, 2999)
    assert len({after - before for before, after in pairwise(steps[:-1])}) == 1
    assert path.stat().st_size < 50_000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_short_one_stays_whole(tmp_path):
    assert reported(tmp_path / "telemetry.jsonl", Telemetry.MOST_KEPT) == list(range(Telemetry.MOST_KEPT))


@pytest.mark.parametrize("count", [0, 1])
def test_one_that_never_reported_is_no_trouble(tmp_path, count):
    assert reported(tmp_path / "telemetry.jsonl", count) == list(range(count))


def test_where_there_is_no_room_for_a_shorter_one_it_stays_whole(tmp_path):
    (tmp_path / "telemetry.jsonl.part").mkdir()
    assert len(reported(tmp_path / "telemetry.jsonl", 2000)) == 2000
