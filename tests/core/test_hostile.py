"""Artifacts that misbehave: each becomes a crash with its reason, and the loop goes on."""

from __future__ import annotations

import json
import sys
import threading

import psutil
import pytest
from conftest import ended, git
from test_loop import script
from thinker import close, opened, record

from core.launch import Options
from core.loop import commit, propose
from core.measure import measure

GOOD = 'print("loss: 0.01")\n'
HOSTILE = {
    "raises": ("raise RuntimeError('so it goes')", "RuntimeError: so it goes"),
    "exits": ("import sys; sys.exit(3)", "exit status 3"),
    "dies": ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    "nothing": ("print('hello')", "no `loss` in its output; the pattern is"),
    "not a number": ("print('loss: much')", "`loss` is no number"),
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
    assert not [p for p in psutil.process_iter() if marker in environ(p) or left_behind(p)]


def left_behind(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] == ["left-behind"]
    except (psutil.Error, OSError):  # gone meanwhile, or somebody's zombie
        return False


def environ(process: psutil.Process) -> str:
    try:
        return process.environ().get("AUTORESEARCH_TRIAL", "")
    except (psutil.Error, OSError):
        return ""


def test_a_command_that_cannot_be_started_is_a_crash(toy, engines):
    (toy / "run.sh").write_text(f"#!{sys.executable}\nprint('loss: 0.5')\n")
    (toy / "run.sh").chmod(0o755)
    task = (toy / "task.toml").read_text().replace("{python} -P train.py", "./run.sh").replace("train.py", "run.sh")
    (toy / "task.toml").write_text(task)
    git(toy, "add", "-A")
    git(toy, "commit", "-qm", "a script")
    lines = [
        {"description": "bad shebang", "file": "run.sh", "replace": [["#!/", "#!/nowhere/"]]},
        {"description": "good", "file": "run.sh", "replace": [["0.5", "0.1"]]},
    ]
    agent = toy.parent / "script.jsonl"
    agent.write_text("".join(json.dumps(line) + "\n" for line in lines))
    h = ended(engines(Options(str(toy), agent=f"scripted:{agent}")))
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "crash", "keep"]
    assert h.experiments[1].verdict.reason == "cannot be started: No such file or directory: ./run.sh"


def test_sources_and_words_that_nothing_can_hold_are_refused_or_made_plain(toy, engines):
    whole = (toy / "train.py").read_text()
    lines = [
        {"description": "minus", "edits": {"train.py": "X = " + "-" * 100_000 + "1\n"}},
        {"description": "surrogate \ud800 and \0 nul", "edits": {"train.py": whole.replace("0.5", "0.4")}},
        {"description": "surrogate in the text", "edits": {"train.py": "# \ud800\n"}},
        {"description": "x" * 5000, "edits": {"train.py": whole.replace("0.5", "0.3")}},
    ]
    agent = toy.parent / "script.jsonl"
    agent.write_text("".join(json.dumps(line) + "\n" for line in lines))
    h = ended(engines(Options(str(toy), agent=f"scripted:{agent}", tag="t")))
    assert h.ended.reason == "done"
    assert [e.description[:30] for e in h.experiments] == ["baseline", "surrogate and nul", "x" * 30]
    assert h.refused == 2
    assert "Experiment: t/" in git(toy, "show", "-s", "--format=%B", h.experiments[1].commit)


def test_a_result_that_was_committed_is_nobodys(toy, engines):
    task = (toy / "task.toml").read_text().replace("pattern = '^loss: (\\S+)'", 'json = "metrics.json"')
    (toy / "task.toml").write_text(task)
    (toy / "metrics.json").write_text('{"loss": 0.001}')
    writes = "RATE = 0.5\nopen('metrics.json', 'w').write('{\"loss\": %f}' % RATE)\n"
    (toy / "train.py").write_text(writes)
    git(toy, "add", "-A")
    git(toy, "commit", "-qm", "json")
    h = ended(engines(Options(str(toy), agent=script(toy, ("writes nothing", writes, "RATE = 0.1\n")))))
    assert h.experiments[0].measurement.value == 0.5
    assert h.experiments[1].verdict.reason == "no `loss` in metrics.json"


def test_escape_sequences_of_a_log_reach_nobody(toy, engines):
    whole = (toy / "train.py").read_text()
    source = "print('\\x1b[2J\\x1b]0;title\\x07\\x00red')\nraise ValueError('\\x1b[31mx')\n"
    folder = engines(Options(str(toy), agent=script(toy, ("escapes", whole, source))))
    crash = ended(folder).experiments[1]
    assert "red" in crash.log_tail
    assert "\x1b" not in json.dumps([crash.log_tail, crash.verdict.reason], ensure_ascii=False)
    assert crash.verdict.reason == "ValueError: x"


def test_what_has_escaped_and_talks_without_end_does_not_hold_up_the_engine(toy, monkeypatch):
    monkeypatch.setattr("core.trial._Running._read_log", lambda running: True)
    run = opened(toy)
    record(run, propose, commit)
    trial = threading.Thread(target=record, args=(run, measure), daemon=True)
    trial.start()
    trial.join(30)
    assert not trial.is_alive()
    close(run)
    assert run.in_flight.crashed is not None
