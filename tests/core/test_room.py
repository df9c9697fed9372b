"""A disk that fills up, a home that cannot be written: said in words, and no experiment is judged by it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading

import pygit2
import pytest
from conftest import git, until
from thinker import close, events, opened, record

from core import control
from core import events as ev
from core.errors import UsageError
from core.launch import Options, launch
from core.loop import commit, propose
from core.measure import measure
from core.room import LEAST_BYTES, is_full, lacking
from core.run import drain


@pytest.fixture
def free(monkeypatch):
    """How many bytes are free, as a test wants it."""
    known = {"bytes": 10**12}
    real = shutil.disk_usage

    def told(path):
        now = known["bytes"]
        return real(path)._replace(free=now() if callable(now) else now)

    monkeypatch.setattr(shutil, "disk_usage", told)
    return known


def test_a_trial_waits_until_there_is_room_for_it(toy, free):
    run = opened(toy)
    record(run, propose, commit)
    free["bytes"] = 5_000_000
    thread = threading.Thread(target=record, args=(run, measure))
    thread.start()
    until(lambda: run.journalled().paused is not None)
    paused = run.journalled().paused
    assert paused.reason.startswith("the disk is full: 5 MB are free at ")
    assert paused.reason.endswith(", and a trial needs 67")
    assert paused.mend == "make room there, then: autoresearch resume t"
    assert run.in_flight.trial == 0, "no trial has begun, so none has crashed"
    free["bytes"] = 10**12
    control.send(run.folder, "resume")
    thread.join(30)
    close(run)
    assert run.in_flight.measurement is not None


@pytest.mark.parametrize("command", ["stop", "stop-now"])
def test_a_run_that_waits_for_room_can_be_stopped(toy, free, command):
    run = opened(toy)
    record(run, propose, commit)
    free["bytes"] = 0
    ended: list[ev.RunEnded] = []
    thread = threading.Thread(target=lambda: ended.append(drain(run)))
    thread.start()
    until(lambda: run.journalled().paused is not None)
    control.send(run.folder, command)
    thread.join(30)
    close(run)
    assert ended[0].reason == {"stop": "failed", "stop-now": "stopped"}[command]
    assert ("make room there" in ended[0].message) is (command == "stop")


@pytest.mark.parametrize("own", [False, True])
def test_a_crash_on_a_full_disk_is_void_unless_the_trial_itself_has_filled_it(toy, free, own):
    (toy / "train.py").write_text("raise OSError(28, 'No space left on device')\n")
    git(toy, "commit", "-qam", "writes too much")
    run = opened(toy)
    record(run, propose, commit)
    for event in measure(run):
        if isinstance(event, ev.TrialStarted):
            free["bytes"] = (lambda: 0 if list(run.work.glob("*/train")) else 10**12) if own else 0
        run.record(event)
    close(run)
    assert (run.in_flight.crashed is not None) is own
    assert [void.reason for void in events(run, ev.TrialVoid)] == ([] if own else ["the disk is full"])


def test_room_is_reckoned_by_the_largest_checkpoint_and_where_a_folder_will_be(tmp_path, free):
    free["bytes"] = LEAST_BYTES + 2000
    assert lacking((tmp_path, tmp_path / "not" / "yet"), [10, 1000]) is None
    assert "not/yet" not in str(lacking((tmp_path, tmp_path / "not" / "yet"), [1001, 10]))
    assert str(tmp_path) in str(lacking((tmp_path,), [1001]))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (pygit2.GitError("failed to write chunk: " + os.strerror(errno.ENOSPC)), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (ValueError("no"), False),
    ],
)
def test_a_disk_that_fills_up_in_mid_trial_is_no_fault_of_the_engine(toy, monkeypatch, error, full):
    def fails(*given: object) -> None:
        raise error

    run = opened(toy)
    record(run, propose)
    monkeypatch.setattr(run.workspace, "commit", fails)
    monkeypatch.setattr(run.workspace, "pin", fails)
    ended = drain(run)
    close(run)
    assert is_full(error) is full
    assert ended.reason == "failed"
    assert ended.message.startswith("the disk is full (the run is in ") is full
    assert ended.message.startswith("the engine itself failed") is not full
    assert ended.message.endswith("go on with: autoresearch resume t")


@pytest.mark.skipif(sys.platform != "linux", reason="the cache lies elsewhere there")
def test_a_cache_that_cannot_be_written_is_named_with_the_mend(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        UsageError, match=r"/file.*: .*nothing was started; .*XDG_CACHE_HOME may name a folder that can"
    ):
        launch(Options(str(toy)), lambda line: None)
