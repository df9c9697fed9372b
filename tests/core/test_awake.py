"""Idle sleep is held off while an experiment trains, and by nothing that outlives the engine."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import ended, git, history, kill_engine, until
from test_loop import STEPS, script

from core import control
from core.awake import Awake, trouble
from core.launch import Options

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="the program there is caffeinate")

# What systemd-inhibit does, as far as we can see it: it runs the command behind its options and ends with it.
INHIBIT = """#!/bin/sh
printf 'start %s|%s|%s|%s\\n' "$1" "$2" "$3" "$4" >> '{record}'
shift 4
"$@"
test -z "$ANTHROPIC_API_KEY" && echo end >> '{record}'
"""
ARGUMENTS = "start --what=idle:sleep|--mode=block|--who=autoresearch|--why=an experiment is training"


@pytest.fixture
def record(tmp_path, monkeypatch):
    """The lines that the program of that name wrote: when it began and with what, when it ended."""
    install(tmp_path, monkeypatch, INHIBIT.replace("{record}", str(tmp_path / "record")))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")

    def lines() -> list[str]:
        file = tmp_path / "record"
        return file.read_text().splitlines() if file.exists() else []

    return lines


def install(tmp_path, monkeypatch, program: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "systemd-inhibit").write_text(program)
    (folder / "systemd-inhibit").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_one_lock_for_a_whole_run(toy, engines, record):
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t"))
    assert len(ended(folder).experiments) == 5
    until(lambda: len(record()) >= 2)
    assert record() == [ARGUMENTS, "end"]
    assert (folder / "engine.log").read_text() == ""


def waiting(toy, engines):
    """A run in the middle of a trial that takes long."""
    source = "import time\ntime.sleep(20)\n" + (toy / "train.py").read_text()
    steps = json.dumps({"description": "waits", "edits": {"train.py": source}})
    (toy.parent / "script.jsonl").write_text(steps + "\n")
    (toy / "task.toml").write_text((toy / "task.toml").read_text().replace("train_seconds = 5", "train_seconds = 20"))
    git(toy, "commit", "-qam", "longer")
    folder = engines(Options(str(toy), agent=f"scripted:{toy.parent / 'script.jsonl'}", tag="t"))
    until(lambda: (p := history(folder).pending) is not None and p.number == 1 and p.trial_open)
    return folder


def test_not_while_paused(toy, engines, record):
    folder = waiting(toy, engines)
    until(lambda: record() == [ARGUMENTS])
    control.send(folder, "pause")
    until(lambda: record() == [ARGUMENTS, "end"])
    control.send(folder, "resume")
    until(lambda: record() == [ARGUMENTS, "end", ARGUMENTS])
    control.send(folder, "stop-now")
    ended(folder)
    until(lambda: record() == [ARGUMENTS, "end"] * 2)


def test_it_ends_with_an_engine_that_is_killed(toy, engines, record):
    folder = waiting(toy, engines)
    until(lambda: record() == [ARGUMENTS])
    kill_engine(folder)
    until(lambda: record() == [ARGUMENTS, "end"])


def test_a_refusal_is_said_once_and_costs_nothing(toy, engines, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "#!/bin/sh\nprintf 'Failed to inhibit: \\033[31mAccess denied\\n' >&2\nexit 1\n")
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t"))
    assert len(ended(folder).experiments) == 5
    said = (folder / "engine.log").read_text().splitlines()
    assert len(said) == 1
    pid = history(folder).engine.pid
    assert said[0].startswith(f"engine {pid}: idle sleep is not prevented: ")
    assert trouble(said, pid) == said[0].partition(": ")[2]
    assert trouble(said, pid + 1) == ""
    assert said[0].endswith("ended with status 1: Failed to inhibit: Access denied")


@pytest.mark.parametrize("program", [None, "not a program"])
def test_without_the_program(tmp_path, monkeypatch, capfd, program):
    if program is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        install(tmp_path, monkeypatch, program)
    awake = Awake()
    for wanted in (True, True, False, True):
        awake.keep(wanted)
        assert not awake.pids
    awake.close()
    assert len(capfd.readouterr().out.splitlines()) == 1
