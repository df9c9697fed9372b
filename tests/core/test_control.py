"""The door back in: where it is, who may use it, what it answers."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from core import control, doorway, locks
from core.errors import Busy, EngineNotReady, EngineUnreachable, UsageError
from core.history import Pending


@pytest.fixture
def engine(tmp_path):
    """A Control of its own, and what it acknowledged."""
    acknowledged = []
    folder = tmp_path / "run"
    folder.mkdir()
    made = control.Control(folder, acknowledged.append, lambda: "training")
    yield folder, made, acknowledged
    made.close()


def test_every_command_is_acknowledged_with_its_effect(engine):
    folder, made, acknowledged = engine
    assert control.send(folder, "pause") == "holds at the next step"
    assert made.paused
    assert control.send(folder, "resume") == "goes on"
    assert control.send(folder, "resume") == "was not paused"
    assert control.send(folder, "pause-after") == "pauses after this trial"
    assert control.send(folder, "skip") == "ends this trial and discards its experiment"
    assert made.take_skip()
    assert not made.take_skip()
    assert control.send(folder, "stop") == "stops after this experiment"
    assert control.send(folder, "stop-now").startswith("stops now")
    assert [a.command for a in acknowledged] == [
        "pause", "resume", "resume", "pause-after", "skip", "stop", "stop-now",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{\n", b'{"command": 1}\n', b'["pause"]\n', b"\xff\n", b"x" * 100_000 + b"\n", b"[" * 60_000 + b"\n"],
)
def test_nonsense_is_refused_and_the_door_stays_open(engine, line):
    folder, _, acknowledged = engine
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(str(doorway.socket_path(folder)))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        assert json.loads(connection.recv(4096))["ok"] is False
    with pytest.raises(UsageError, match="unknown command"):
        control.send(folder, "explode")
    assert control.send(folder, "pause")
    assert len(acknowledged) == 1


def test_a_flood_that_nobody_drains_still_gets_its_answers(engine):
    folder, *_ = engine
    for _ in range(600):
        assert control.send(folder, "pause")


def test_the_baseline_is_not_skipped(tmp_path):
    made = control.Control(tmp_path, lambda event: None, lambda: "training", lambda: Pending(0))
    assert "baseline" in control.send(tmp_path, "skip")
    assert not made.take_skip()
    made.close()


def test_the_socket_is_for_its_owner_alone(engine):
    folder, *_ = engine
    path = doorway.socket_path(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("depth", [0, 120])
@pytest.mark.parametrize("cache_depth", [0, 120])
def test_a_path_too_long_for_a_socket_is_shortened(monkeypatch, depth, cache_depth):
    monkeypatch.setenv("XDG_CACHE_HOME", f"/tmp/c{'c' * cache_depth}")
    path = doorway.socket_path(Path(f"/tmp/r{'r' * depth}"))
    assert len(os.fsencode(path)) <= 100
    assert path != doorway.socket_path(Path(f"/tmp/q{'r' * depth}"))


def test_no_engine_is_said_with_the_mend(tmp_path):
    assert not control.alive(tmp_path)
    with pytest.raises(EngineUnreachable, match="autoresearch resume"):
        control.send(tmp_path, "pause")


def test_a_lock_is_held_once(tmp_path):
    held = locks.lock(tmp_path / "engine.lock", "busy")
    assert control.alive(tmp_path)
    with pytest.raises(Busy, match=f"busy .*{os.getpid()}"):
        locks.lock(tmp_path / "engine.lock", "busy")
    held.close()
    assert not control.alive(tmp_path)


def test_commands_with_facts_are_for_runs_alone(engine):
    folder, *_, acknowledged = engine
    with pytest.raises(UsageError, match="steer: no run here"):
        control.send(folder, "steer", text="x")
    assert not acknowledged


def test_a_refusal_changes_nothing_and_details_reach_who_grants(tmp_path):
    heard = []

    def grant(command, details):
        heard.append((command, details))
        if details.get("number") == 7:
            raise UsageError("not this one")
        return "granted" if command == "again" else None

    made = control.Control(tmp_path, heard.append, lambda: "training", grant=grant)
    with pytest.raises(UsageError, match="not this one"):
        control.send(tmp_path, "again", number=7)
    assert control.send(tmp_path, "again", number=6) == "granted"
    assert control.send(tmp_path, "pause") == "holds at the next step"
    assert [h for h in heard if isinstance(h, tuple)] == [
        ("again", {"number": 7}), ("again", {"number": 6}), ("pause", {}),
    ]  # fmt: skip
    assert len(heard) == 5  # and two acknowledgements
    made.close()


def test_what_is_too_long_is_refused_at_both_ends(engine):
    folder, *_ = engine
    with pytest.raises(UsageError, match="an engine takes 4,194,304"):
        control.send(folder, "approve", edits={"train.py": "x" * control.LONGEST_COMMAND})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(doorway.socket_path(folder)))
        connection.sendall(b"x" * control.LONGEST_COMMAND)
        assert json.loads(connection.recv(4096))["ok"] is False


def test_while_a_proposal_waits_a_stop_stops_now(tmp_path):
    made = control.Control(tmp_path, lambda event: None, lambda: "approving", lambda: Pending(3))
    assert "can be rejected" in control.send(tmp_path, "skip")
    assert control.send(tmp_path, "stop") == "stops now; the proposal waits for your answer again on resume"
    assert made.stopping
    assert not made.stopping_now
    made.close()


def test_skip_of_another_trial_of_the_baseline_is_done(tmp_path):
    made = control.Control(tmp_path, lambda event: None, lambda: "training", lambda: Pending(0, again=True))
    assert control.send(tmp_path, "skip") == "ends this trial; the verdict on #0 stays"
    assert made.take_skip()
    made.close()


def test_a_command_that_fails_unforeseen_is_answered_and_so_is_the_next(tmp_path, capfd):
    def grant(command, details):
        if command == "again":
            raise KeyError("object not found")

    made = control.Control(tmp_path, lambda event: None, lambda: "training", grant=grant)
    with pytest.raises(UsageError, match=r"again: .*object not found"):
        control.send(tmp_path, "again", number=1)
    assert control.send(tmp_path, "pause") == "holds at the next step"
    made.close()
    assert "KeyError" in capfd.readouterr().err  # the engine's log


def test_the_door_outlives_a_moment_without_descriptors(tmp_path, monkeypatch):
    made = control.Control(tmp_path, lambda event: None, lambda: "training")
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "too many open files")] * 2

    def flaky(server):
        if failures:
            raise failures.pop()
        return accept(server)

    monkeypatch.setattr(socket.socket, "accept", flaky)
    for _ in range(3):
        assert control.send(tmp_path, "pause")
    assert not failures
    made.close()


def test_a_fact_that_is_recorded_is_not_called_refused(tmp_path):
    recorded = []

    def full(event):
        raise OSError(errno.ENOSPC, "no space left")

    def grant(command, details):
        if command == "steer":
            recorded.append(details["text"])
            return "the agent reads it"
        return None

    made = control.Control(tmp_path, full, lambda: "training", grant=grant)
    assert control.send(tmp_path, "steer", text="once") == "the agent reads it"
    assert recorded == ["once"]
    with pytest.raises(UsageError, match="no space left"):
        control.send(tmp_path, "stop")
    assert made.stopping  # heard all the same
    made.close()


def test_taking_back_a_pause_after_the_trial_is_no_going_on(engine):
    folder, made, _ = engine
    control.send(folder, "pause-after")
    assert control.send(folder, "resume") == "does not pause after this trial"
    assert not made.pause_after
    control.send(folder, "pause-after")
    control.send(folder, "pause")
    assert control.send(folder, "resume") == "goes on"


def test_a_skip_while_a_score_is_on_its_way_says_so(tmp_path):
    made = control.Control(tmp_path, lambda event: None, lambda: "evaluating", lambda: Pending(5))
    assert control.send(tmp_path, "skip") == "nothing to skip: no trial is running; #5 is being scored"
    assert not made.take_skip()
    made.close()


def test_an_engine_that_has_not_opened_its_door_is_said_to_be_getting_ready(tmp_path):
    held = locks.lock(tmp_path / "engine.lock", "busy")
    with pytest.raises(EngineNotReady, match="is still getting ready; try again"):
        control.send(tmp_path, "pause")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:  # what an engine that was killed leaves behind
        dead.bind(str(doorway.socket_path(tmp_path)))
    with pytest.raises(EngineNotReady):
        control.send(tmp_path, "pause")
    held.close()
    with pytest.raises(EngineUnreachable, match="no engine answers"):
        control.send(tmp_path, "pause")


def test_once_the_loop_has_ended_every_command_is_refused(engine):
    folder, made, acknowledged = engine
    control.send(folder, "stop")
    assert made.finish()
    for command in ("resume", "pause", "stop", "stop-now", "steer", "again"):
        with pytest.raises(UsageError, match="the run has just ended; go on with: autoresearch resume run"):
            control.send(folder, command)
    assert made.stopping
    assert not made.paused
    assert len(acknowledged) == 1


def test_a_peer_that_trickles_does_not_hold_the_door(engine, monkeypatch):
    folder, *_ = engine
    monkeypatch.setattr(control, "PEER_SECONDS", 0.3)
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(str(doorway.socket_path(folder)))

        def trickle():
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    peer.sendall(b"x")

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        try:
            assert control.send(folder, "pause", 20.0) == "holds at the next step"
        finally:
            stop.set()
            thread.join(10)


def test_a_command_in_many_pieces_is_one_command(engine):
    folder, *_ = engine
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(10)
        peer.connect(str(doorway.socket_path(folder)))
        for piece in (b'{"comm', b'and": "pa', b'use"}', b"\n"):
            peer.sendall(piece)
        assert json.loads(peer.recv(4096)) == {"ok": True, "effect": "holds at the next step"}


def test_nothing_is_sent_to_a_socket_in_a_folder_of_somebody_elses(tmp_path, monkeypatch):
    run, mine = tmp_path / ("r" * 120), tmp_path / "mine"
    run.mkdir()
    mine.mkdir()
    foreign = tmp_path / "foreign"
    foreign.symlink_to(mine)
    monkeypatch.setattr(control, "socket_path", lambda folder: foreign / "a.sock")
    with pytest.raises(UsageError, match="belongs to somebody else"):
        control.send(run, "pause")
    monkeypatch.setattr(control, "socket_path", lambda folder: mine / "a.sock")
    with pytest.raises(EngineUnreachable):
        control.send(run, "pause")
    monkeypatch.setattr(os, "getuid", lambda: -1)
    with pytest.raises(UsageError, match="belongs to somebody else"):
        control.send(run, "pause")
