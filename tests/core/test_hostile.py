"""Artifacts that misbehave: each becomes a crash with its reason, and the loop goes on."""

from __future__ import annotations

import json

import psutil
import pytest
from conftest import ended, git
from test_loop import script

from core.launch import Options

GOOD = 'print("loss: 0.01")\n'
HOSTILE = {
    "raises": ("raise RuntimeError('so it goes')", "RuntimeError: so it goes"),
    "exits": ("import sys; sys.exit(3)", "exit status 3"),
    "dies": ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    "nothing": ("print('hello')", "no loss in its output"),
    "not a number": ("print('loss: much')", "loss is no number"),
    "nan": ("print('loss: nan')", "nan"),
    "oom": ("raise MemoryError", "oom"),
    "ignores SIGTERM and never ends": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        "timeout",
    ),
    "prints 1 GB": (
        "import os; b = b'x' * 79 + b'\\n'\nfor _ in range(1024): os.write(1, b * 13107)\nraise ValueError('done')",
        "ValueError: done",
    ),
    "forks, leaves and rewrites its environment": (
        "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.execve(sys.executable, ['left-behind', '-c', 'import time; time.sleep(600)'], {})\n"
        "    os._exit(0)\nos.wait()\nraise ValueError('forked')",
        "ValueError: forked",
    ),
    "forks and leaves": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n"
        "    os._exit(0)\nraise ValueError('forked')",
        "ValueError: forked",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_is_a_crash_with_its_reason_and_the_loop_goes_on(name, toy, engines):
    source, reason = HOSTILE[name]
    (toy / "task.toml").write_text((toy / "task.toml").read_text().replace("train_seconds = 5", "train_seconds = 1"))
    git(toy, "commit", "-qam", "shorter")
    whole = (toy / "train.py").read_text()
    folder = engines(Options(str(toy), agent=script(toy, (name, whole, source + "\n"), ("good", whole, GOOD))))
    h = ended(folder)
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "crash", "keep"]
    assert h.experiments[1].verdict.reason.startswith(reason)
    assert (folder / "trials/1-1/log").stat().st_size < 5 * 2**20
    marker = str(folder.parent.parent.parent / "cache")
    assert not [p for p in psutil.process_iter() if marker in environ(p) or p.cmdline()[:1] == ["left-behind"]]


def environ(process: psutil.Process) -> str:
    try:
        return process.environ().get("AUTORESEARCH_TRIAL", "")
    except (psutil.Error, OSError):
        return ""


def test_escape_sequences_of_a_log_reach_nobody(toy, engines):
    whole = (toy / "train.py").read_text()
    source = "print('\\x1b[2J\\x1b]0;title\\x07\\x00red')\nraise ValueError('\\x1b[31mx')\n"
    folder = engines(Options(str(toy), agent=script(toy, ("escapes", whole, source))))
    crash = ended(folder).experiments[1]
    assert "red" in crash.log_tail
    assert "\x1b" not in json.dumps([crash.log_tail, crash.verdict.reason], ensure_ascii=False)
    assert crash.verdict.reason == "ValueError: x"
