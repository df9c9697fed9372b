"""The harness over a real socket: rows, clock and pause."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_end import LIMIT, ROWS, Engine, started, told

from backends.reference import harness


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Engine, socket.socket]]:
    np.save(tmp_path / "rows.npy", ROWS)
    ours, theirs = socket.socketpair()
    yield Engine(ours, tmp_path / "rows.npy"), theirs
    ours.close()
    theirs.close()
    gc.unfreeze()
    gc.enable()


def busy(seconds: float) -> None:
    """Let time pass on the clock that the harness reads."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_come_in_stored_order_and_wrap_round(ends, tmp_path) -> None:
    batches = started(ends, tmp_path).batches(2)
    got = np.concatenate([next(batches) for _ in range(5)])
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, np.concatenate([ROWS, ROWS]))


def test_order_does_not_depend_on_the_batch(ends, tmp_path) -> None:
    trial = started(ends, tmp_path)
    large, small = trial.batches(7), trial.batches(1)
    np.testing.assert_array_equal(next(large), np.concatenate([next(small) for _ in range(7)]))


def test_rows_are_read_only(ends, tmp_path) -> None:
    batch = next(started(ends, tmp_path).batches(2))
    with pytest.raises(ValueError, match="read-only"):
        batch[0, 0] = 1


def test_wrong_rows_file_is_explained(ends, tmp_path, capsys) -> None:
    engine, theirs = ends
    np.save(engine.rows, ROWS.astype(np.int64))
    engine.go()
    with pytest.raises(SystemExit) as end:
        harness.Trial(told(tmp_path, theirs.fileno()), theirs).ready()
    assert end.value.code == 1
    assert "int64" in capsys.readouterr().err


def test_go_without_rows_is_explained(ends, tmp_path, capsys) -> None:
    engine, theirs = ends
    engine.say(type="go")
    with pytest.raises(SystemExit):
        harness.Trial(told(tmp_path, theirs.fileno()), theirs).ready()
    assert "handover" in capsys.readouterr().err


# --- clock and pause -------------------------------------------------------------------------------------------------


def test_progress_moves_and_ends(ends, tmp_path) -> None:
    trial = started(ends, tmp_path, budget={"train_seconds": 0.02})
    deadline = time.monotonic() + LIMIT
    seen = [trial.progress]
    while not trial.over and time.monotonic() < deadline:
        seen.append(trial.progress)
    assert trial.over
    assert trial.progress == 1.0
    assert seen == sorted(seen)
    assert 0 <= seen[0] < 1


def test_clock_stands_still_while_held(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)
    seen: list[float] = []

    def pause_and_resume() -> None:
        engine.hear_until("held")
        seen.append(trial.progress)
        busy(0.05)
        seen.append(trial.progress)
        engine.say(type="resume", frozen_seconds=0.0)

    engine.say(type="pause")
    thread = threading.Thread(target=pause_and_resume, daemon=True)
    thread.start()
    trial.step(3.0, 6)
    thread.join(LIMIT)
    assert seen[0] == seen[1]
    assert trial.progress >= seen[1]
    before = trial.progress
    trial.step(3.0, 6)  # not paused any more: does not hold
    assert trial.progress > before


def test_every_pause_is_answered_with_its_step(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path)
    held: list[int] = []

    def answer() -> None:
        held.append(engine.hear_until("held")[-1]["step"])
        engine.say(type="resume", frozen_seconds=0.0)

    for pause in (False, True, True):
        if pause:
            engine.say(type="pause")
            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
        trial.step(3.0, 6)
        if pause:
            thread.join(LIMIT)
    assert held == [2, 3]


def test_frozen_seconds_before_a_hold_do_not_count(ends, tmp_path) -> None:
    engine, _ = ends
    trial = started(ends, tmp_path, budget={"train_seconds": 0.02})
    deadline = time.monotonic() + LIMIT
    while not trial.over and time.monotonic() < deadline:
        pass
    # The process was stopped in the middle of a step, and both messages were waiting when it went on.
    engine.say(type="pause")
    engine.say(type="resume", frozen_seconds=60.0)
    trial.step(3.0, 6)
    assert not trial.over
    assert trial.progress == 0.0


def test_freeze_within_a_hold_is_not_taken_off_twice(ends, tmp_path) -> None:
    """The engine lost patience and froze the trial just after the trial had stopped its own clock."""
    engine, _ = ends
    trial = started(ends, tmp_path)
    busy(0.05)
    before = trial.progress

    def freeze_and_thaw() -> None:
        engine.hear_until("held")
        busy(0.05)
        engine.say(type="resume", frozen_seconds=0.05)

    engine.say(type="pause")
    thread = threading.Thread(target=freeze_and_thaw, daemon=True)
    thread.start()
    trial.step(3.0, 6)
    thread.join(LIMIT)
    assert trial.progress >= before
