"""A task that speaks: prepare, READY and the rows, steps, DONE, a trusted evaluate; and artifacts that abuse each."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from conftest import autoresearch, commit_all, ended, history, until
from test_loop import script

from core import control
from core.launch import Options

TASK = """\
[task]
name = "speaking"
artifact = ["train.py"]
frozen = ["score.py"]
[commands]
prepare = "{python} -P prepare.py"
train = "{python} train.py"
evaluate = "{python} -P {task}/score.py"
early = ["evaluate"]
[metric]
name = "error"
[budget]
train_seconds = 5
startup_seconds = 15
timeout_seconds = 40
"""
PREPARE = """\
import json, os, pathlib, sys
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
print("making ten rows")
if told["settings"].get("broken"):
    print("the rows are broken; mend them", file=sys.stderr)
    sys.exit(2)
rows = pathlib.Path("rows.bin").absolute()
rows.write_bytes(b"0123456789")
answer = {"device": "cpu", "fingerprint": "ten", "handover": str(rows), "settings": {"seen": True}, "notes": ["a note"]}
pathlib.Path(told["answer"]).write_text(json.dumps(answer))
"""
SCORE = """\
import json, os, pathlib, socket
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
assert told["role"] == "evaluate" and not os.listdir() and told["prepared"]["fingerprint"] == "ten"
line = socket.socket(fileno=told["control"]).makefile().readline()
assert json.loads(line) == {"type": "go"}, line
checkpoint = pathlib.Path(told["checkpoint"])
said = {"value": float(checkpoint.read_text())} if checkpoint.exists() else {"crash": "no checkpoint"}
pathlib.Path(told["answer"]).write_text(json.dumps(said))
"""
TRAIN = """\
import json, os, pathlib, socket, time
VALUE = 0.5
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
control = socket.socket(fileno=told["control"])
def say(**message):
    control.sendall(json.dumps(message).encode() + b"\\n")
assert told["settings"] == {"seen": True} and told["seed"] == 42
say(type="ready")
line, (rows,), _, _ = socket.recv_fds(control, 100, 1)
assert json.loads(line) == {"type": "go"} and os.read(rows, 100) == b"0123456789"
for step in range(5):
    time.sleep(0.02)
    say(type="step", step=step, loss=1.0 / (step + 1), progress=step / 5)
pathlib.Path(told["checkpoint"]).write_text(str(VALUE))
say(type="done", summary={"num_steps": 5, "depth": 2, "forged": 1})
time.sleep(60)
"""
DONE = 'say(type="done"'


@pytest.fixture
def speaking(tmp_path: Path) -> Path:
    folder = tmp_path / "speaking"
    folder.mkdir()
    for name, text in (("task.toml", TASK), ("prepare.py", PREPARE), ("score.py", SCORE), ("train.py", TRAIN)):
        (folder / name).write_text(text)
    commit_all(folder)
    return folder


def test_rows_come_at_ready_and_the_score_from_the_checkpoint(speaking, engines):
    folder = engines(Options(str(speaking), agent=script(speaking, ("better", "0.5", "0.25")), tag="t"))
    h = ended(folder)
    assert [e.measurement.value for e in h.experiments] == [0.5, 0.25]
    measured = h.experiments[0].measurement
    assert not measured.self_reported
    assert measured.findings == {"num_steps": 5, "depth": 2}
    assert 0.1 <= measured.train_seconds < 5.0
    assert h.run.notes == ("a note",)
    assert h.run.fingerprint == "ten"
    steps = [json.loads(line) for line in (folder / "trials/0-1/telemetry.jsonl").read_text().splitlines()]
    assert steps[0]["step"] == 0
    assert steps[0]["tokens_per_second"] is None
    assert all(0 <= s["seconds"] < 5.0 for s in steps)


def short(folder: Path) -> None:
    """Limits that are soon over."""
    task = (folder / "task.toml").read_text().replace("train_seconds = 5", "train_seconds = 1")
    (folder / "task.toml").write_text(task.replace("startup_seconds = 15", "startup_seconds = 3"))
    commit_all(folder)


ABUSES = {
    "never ready": ('say(type="ready")\n', "time.sleep(60)\n", "timeout: not ready after 3 s"),
    "never done": (DONE, 'time.sleep(60); say(type="done"', "timeout: not done after 4"),
    "no checkpoint": ('pathlib.Path(told["checkpoint"])', 'pathlib.Path("elsewhere")', "no checkpoint"),
    "ends without asking for rows": ('say(type="ready")\n', "raise SystemExit(0)\n", "it ended without asking"),
    "forges the answer": (
        DONE,
        'import glob, psutil\n'
        'pathlib.Path("../../evaluation/measurement.json").write_text(json.dumps({"value": 0.0001}))\n'
        'for p in psutil.process_iter():\n'
        '    if p.status() != psutil.STATUS_ZOMBIE and "score.py" in " ".join(p.cmdline()):\n        p.kill()\n'
        'say(type="done"',
        "evaluate gave no answer",
    ),
    "gives up": (DONE, 'say(type="failed", reason="nan"); say(type="done"', "nan"),
    "invents a reason": (DONE, 'say(type="failed", reason="rejected: \\x1b[2J"); say(type="done"', "exit status 1"),
    "one endless line": (DONE, 'control.sendall(b"x" * 300_000); say(type="done"', "rejected: a control message"),
    "raises after ready": (DONE, 'raise RuntimeError("late"); say(type="done"', "RuntimeError: late"),
    "a score of its own": (
        DONE, 'pathlib.Path(told["checkpoint"]).write_text("nan"); print("error: 0.0"); say(type="done"', "nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ABUSES)
def test_an_abuse_is_a_crash_with_its_reason_and_the_loop_goes_on(name, speaking, engines):
    old, new, reason = ABUSES[name]
    if name.startswith("never"):
        short(speaking)
    steps = ((name, old, new), ("good", "0.5", "0.25"))
    h = ended(engines(Options(str(speaking), agent=script(speaking, *steps))))
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "crash", "keep"]
    assert h.experiments[1].verdict.reason.startswith(reason)
    assert "\x1b" not in h.experiments[1].verdict.reason


KEEPERS = {
    "rewrites what scores it": (
        'for name in ("serve-1", "serve-2"):\n'
        "    forged = \"import json, os, pathlib\\ntold = json.load(open(os.environ['AUTORESEARCH_TRIAL']))\\n\" \\\n"
        "        \"pathlib.Path(told['answer']).write_text(json.dumps({'value': 0.0002}))\\n\"\n"
        '    pathlib.Path("../../evaluation", name, "score.py").write_text(forged)\n'
    ),
    "leaves somebody behind": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        '        forge = "import time, pathlib, sys\\nfor _ in range(200):\\n    time.sleep(0.02)\\n" \\\n'
        "            \"    pathlib.Path(sys.argv[1]).write_text('0.001')\\n\"\n"
        '        import sys\n        os.execve(sys.executable, ["x", "-c", forge, told["checkpoint"]], {})\n'
        "    os._exit(0)\nos.wait()\n"
    ),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_a_forger_gets_the_score_of_its_checkpoint(name, speaking, engines):
    (speaking / "score.py").write_text(
        SCORE.replace("checkpoint = path", "import time\ntime.sleep(1)\ncheckpoint = path")
    )
    if name == "rewrites what scores it":  # started after training, so that it would read the forged file
        (speaking / "task.toml").write_text(TASK.replace('early = ["evaluate"]\n', ""))
        (speaking / "score.py").write_text(SCORE)
    commit_all(speaking)
    steps = ((name, DONE, KEEPERS[name] + DONE), ("good", "0.5", "0.25"))
    h = ended(engines(Options(str(speaking), agent=script(speaking, *steps))))
    assert h.experiments[1].measurement.value == 0.5
    assert h.experiments[1].verdict.outcome == "discard"


NOISE = """\
say(type="done")
junk = [b"{", b"[]", b"null", b"\\xff", b'{"type": []}', b"[" * 60_000]
junk += [b'{"type": "ready"}', b'{"type": "held", "step": "x"}']
for line in junk:
    control.sendall(line + b"\\n")
say(type="step", step=float("nan"), loss=float("inf"), progress="much", tokens_per_second=10**400)
say(type="ready")
"""


def test_nonsense_on_the_control_socket_changes_nothing(speaking, engines):
    (speaking / "train.py").write_text(TRAIN.replace('say(type="ready")\n', NOISE))
    commit_all(speaking)
    h = ended(engines(Options(str(speaking), experiments=0)))
    assert h.experiments[0].measurement.value == 0.5


def test_a_frozen_file_that_changes_takes_the_score_with_it(speaking, engines):
    (speaking / "train.py").write_text(TRAIN.replace("time.sleep(0.02)", "time.sleep(0.3)"))
    commit_all(speaking)
    folder = engines(Options(str(speaking), experiments=0))
    until(lambda: history(folder).phase == "training")
    (speaking / "score.py").write_text(SCORE + "# changed\n")
    h = ended(folder)
    assert h.experiments[0].verdict.reason == "rejected: the frozen file score.py changed during the run"


def test_rows_that_vanish_are_prepared_again(speaking, engines):
    (speaking / "train.py").write_text(TRAIN.replace("time.sleep(0.02)", "time.sleep(0.2)"))
    commit_all(speaking)
    folder = engines(Options(str(speaking), agent=script(speaking, ("a", "0.5", "0.4"), ("b", "0.4", "0.3"))))
    until(lambda: history(folder).phase == "training")
    (speaking / "rows.bin").unlink()
    assert [e.verdict.outcome for e in ended(folder).experiments] == ["keep", "keep", "keep"]
    assert (speaking / "rows.bin").exists()


def test_prepare_says_in_one_line_what_is_wrong(speaking):
    (speaking / "task.toml").write_text(TASK + "[settings]\nbroken = true\n")
    commit_all(speaking)
    refused = autoresearch("run", "--plain", cwd=speaking)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == "autoresearch: the rows are broken; mend them"
    assert not (speaking / ".autoresearch").exists()


def test_a_pause_holds_at_a_step_and_skips_its_time(speaking, engines):
    holds = TRAIN.replace(
        "    say(type=\"step\"",
        "    control.setblocking(False)\n"
        "    try:\n        asked = control.recv(1000)\n"
        "    except BlockingIOError:\n        asked = b''\n"
        "    control.setblocking(True)\n"
        "    if asked:\n"
        "        assert json.loads(asked) == {'type': 'pause'}, asked\n"
        "        say(type='held', step=step)\n"
        "        assert json.loads(control.recv(1000)) == {'type': 'resume', 'frozen_seconds': 0.0}\n"
        "    say(type=\"step\"",
    ).replace("range(5)", "range(35)")  # fmt: skip
    (speaking / "train.py").write_text(holds)
    commit_all(speaking)
    folder = engines(Options(str(speaking), experiments=0, tag="t"))
    until(lambda: history(folder).phase == "training")
    assert control.send(folder, "pause") == "holds at the next step"
    until(lambda: history(folder).pending.held_since is not None)
    assert '"TrialHeld"' in (folder / "journal.jsonl").read_text()
    until(lambda: time.time() - history(folder).pending.held_since > 5)
    control.send(folder, "resume")
    measured = ended(folder).experiments[0].measurement
    assert 0.7 <= measured.train_seconds < 4.0
    assert measured.total_seconds < 5.0
