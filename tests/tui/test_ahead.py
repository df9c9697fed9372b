"""A journal read by another process while the cockpit is imported: the same state, and nothing lost if it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recorded_run import write_run

from tui import ahead, feed
from tui.ahead import Ahead
from tui.feed import Feed, read_ahead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere journals are not read ahead")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("ahead") / "nov20", 200)


def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "worth_it", lambda journal: True)


def _settled(looks: Feed) -> Feed:
    limit = time.monotonic() + 30
    while looks.behind and time.monotonic() < limit:
        looks.read()
    assert not looks.behind
    return looks


def test_what_was_read_ahead_is_what_reading_gives(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Feed(recorded, resume="autoresearch resume")
    plain.read()
    _worth_it(monkeypatch)
    looks = Feed(recorded, resume="autoresearch resume", ahead=read_ahead(recorded))
    assert looks.behind
    assert _settled(looks).state == plain.state
    assert len(looks.state.history.experiments) == 200


def test_lines_that_come_later_are_read_as_ever(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (recorded / "journal.jsonl").read_bytes().splitlines(keepends=True)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(lines[:900]) + lines[900][:20])  # and one half written
    _worth_it(monkeypatch)
    looks = _settled(Feed(tmp_path, ahead=read_ahead(tmp_path)))
    half = len(looks.state.history.experiments)
    assert 0 < half < 200
    with journal.open("ab") as file:
        file.write(lines[900][20:] + b"".join(lines[901:]))
    looks.read()
    plain = Feed(tmp_path)
    plain.read()
    assert looks.state == plain.state
    assert len(looks.state.history.experiments) == 200


@pytest.mark.parametrize("when", ["killed", "fails"])
def test_a_reader_that_dies_costs_nothing_but_time(recorded: Path, when: str) -> None:
    def compute() -> object:
        if when == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("the disk is gone")

    looks = _settled(Feed(recorded, ahead=Ahead(compute)))
    assert len(looks.state.history.experiments) == 200


def test_a_slow_reader_is_waited_for_in_small_steps() -> None:
    reader = Ahead(lambda: time.sleep(0.5) or "read")
    assert reader.result(0.01) is None
    assert reader.result(20.0) == ("read",)
    with pytest.raises(ChildProcessError):
        os.waitpid(reader._process, 0)  # nothing of it is left


def test_a_window_that_goes_first_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "goes.py"
    script.write_text(
        "import os, time\n"
        "from tui.ahead import Ahead\n"
        "reader = Ahead(lambda: (time.sleep(0.3), b'x' * 1_000_000))\n"
        "print(reader._process, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=True)
    process, limit = Path(f"/proc/{int(done.stdout)}"), time.monotonic() + 10
    while process.exists() and "(zombie)" not in (process / "status").read_text() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not process.exists() or "(zombie)" in (process / "status").read_text()
    assert done.stderr == ""


def test_short_journals_and_single_cores_are_read_at_once(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert ahead.worth_it(recorded / "journal.jsonl")
    (tmp_path / "journal.jsonl").write_text("{}\n")
    assert not ahead.worth_it(tmp_path / "journal.jsonl")
    assert not ahead.worth_it(tmp_path / "none" / "journal.jsonl")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert not ahead.worth_it(recorded / "journal.jsonl")
    assert read_ahead(recorded) is None
