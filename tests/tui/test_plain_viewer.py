"""The viewers without a screen, on a recorded run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from recorded_run import write_run

from core import events as ev
from core import locks, records
from tui import report
from tui.plain import _git, follow


@pytest.fixture
def done(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18, live=False)


def printed(folder: Path, *, as_json: bool = False, from_start: bool = True) -> tuple[int, list[str]]:
    out = io.StringIO()
    code = follow(folder, out=out, as_json=as_json, from_start=from_start)
    return code, out.getvalue().splitlines()


def test_every_verdict_gets_a_line_and_the_end_says_where_it_all_is(done: Path) -> None:
    code, lines = printed(done)
    assert code == 0
    assert "#0 ● keep    val_bpb 2.4413  baseline" in lines
    assert "#3 · discard val_bpb 2.4014  +0.0064  worse  softcap 15 to 20" in lines
    assert "#7 × crash   —  oom  double the width" in lines
    assert "    RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory" in lines
    assert "#6 refused: a duplicate of experiment 3 (softcap 15 to 20)" in lines
    assert sum(" keep " in line or " discard " in line or " crash " in line for line in lines) == 19
    end = "\n".join(lines[-6:])
    assert "done: 18 experiments done" in end
    assert "best: val_bpb 2.2966 (#18, −5.93 % against the baseline) embedding LR 0.6 to 0.75" in end
    assert "8 kept, 8 discarded, 2 crashed" in end
    assert "autoresearch results" in end
    assert "git log autoresearch/nov20" in end
    assert _git("/nowhere/at-all") == _git(str(Path.cwd())) == "git"
    assert _git(str(done)) == f"git -C {done.resolve()}"


def test_json_is_the_journal_verbatim(done: Path) -> None:
    code, lines = printed(done, as_json=True)
    assert code == 0
    assert lines == (done / "journal.jsonl").read_text().splitlines()


def test_a_run_joined_in_mid_flight_is_introduced_in_short(done: Path) -> None:
    _, lines = printed(done, from_start=False)
    assert lines[0].startswith("run nov20 · reference-gpt-cuda · PyTorch on cpu · agent search")
    assert len(lines) < 15


def test_of_a_run_joined_later_it_is_told_how_far_it_is_not_what_was_to_come(done: Path) -> None:
    started = ev.EngineStarted(1, True, "cpu", 50, plan="50 more experiments of 15 s")
    with (done / "journal.jsonl").open("a") as journal:
        journal.write(line_of(started, 1.8e9))
    _, lines = printed(done, from_start=False)
    assert any(line.startswith("so far: 18 of 50 experiments: 8 kept") for line in lines)
    assert not any("more experiments of" in line for line in lines)
    assert "PyTorch on cpu, agent search" in report.status_text(done), "in the words of the cockpit"


def test_that_the_machine_may_sleep_is_said_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 2)
    said = "idle sleep is not prevented: no bus"
    (folder / "engine.log").write_text(f"engine 4242: {said}\n" * 4)
    told = threading.Event()

    class Out(io.StringIO):
        def write(self, words: str) -> int:
            if said in words:
                told.set()
            return super().write(words)

    out = Out()
    with locks.lock(folder / "engine.lock", "busy"):
        viewer = threading.Thread(target=lambda: follow(folder, out=out, as_json=False, from_start=False))
        viewer.start()
        assert told.wait(10), out.getvalue()
    viewer.join(10)  # the engine has gone
    assert "engine gone" in out.getvalue()
    assert out.getvalue().count(said) == 1


def test_an_engine_that_is_gone_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "nov20", 3)
    (folder / "engine.log").write_text("Killed\n")
    code, lines = printed(folder)
    assert code == 1
    assert "Killed" in lines
    assert any("engine gone" in line and "autoresearch resume nov20" in line for line in lines)
    assert printed(folder, as_json=True)[0] == 1
    assert "autoresearch resume nov20" in capsys.readouterr().err


def test_a_failed_run_says_why_and_exits_1(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 2)
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write(line_of(ev.RunEnded("failed", "the baseline crashes: mend train.py"), 1.8e9))
    code, lines = printed(folder)
    assert code == 1
    assert "failed: the baseline crashes: mend train.py" in lines


def test_a_living_run_is_followed_to_its_end_with_a_step_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 2)
    told = threading.Event()

    class Out(io.StringIO):
        def write(self, words: str) -> int:
            if "step 67" in words:
                told.set()
            return super().write(words)

    out, codes = Out(), []
    with locks.lock(folder / "engine.lock", "busy"):
        viewer = threading.Thread(target=lambda: codes.append(follow(folder, out=out, as_json=False, from_start=False)))
        viewer.start()
        assert told.wait(10), "a step line was promised"
        with (folder / "journal.jsonl").open("a") as journal:
            journal.write(
                line_of(ev.TrialHeld(2, 1, 68), 1.8e9) + line_of(ev.RunEnded("stopped", "stopped by the user"), 1.8e9)
            )
        viewer.join(10)
    assert codes == [0]
    assert "loss" in out.getvalue()
    assert "#2 held at step 68" in out.getvalue()
    assert "stopped: stopped by the user; `autoresearch resume nov20` goes on from here" in out.getvalue()


def test_a_stalled_trial_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "nov20", 2)
    os.utime(folder / "trials" / "2-1" / "telemetry.jsonl", (1e9, 1e9))
    monkeypatch.setattr("tui.plain.WAIT_EVERY_SECONDS", 0.0)
    told = threading.Event()

    class Out(io.StringIO):
        def write(self, words: str) -> int:
            if "#2 stalled: no step for" in words and "`autoresearch skip nov20`" in words:
                told.set()
            return super().write(words)

    out, codes = Out(), []
    with locks.lock(folder / "engine.lock", "busy"):
        viewer = threading.Thread(target=lambda: codes.append(follow(folder, out=out, as_json=False, from_start=False)))
        viewer.start()
        assert told.wait(10), out.getvalue()
        with (folder / "journal.jsonl").open("a") as journal:
            journal.write(line_of(ev.RunEnded("stopped", "stopped by the user"), 1.8e9))
        viewer.join(10)
    assert codes == [0]
    assert "step 67" not in out.getvalue(), "the last report is no news"


def test_a_reader_that_closes_the_pipe_ends_it_quietly(done: Path) -> None:
    program = "import sys; from pathlib import Path; from tui.plain import follow\n" + (
        "sys.exit(follow(Path(sys.argv[1]), out=sys.stdout, as_json=True, from_start=True))"
    )
    viewer = subprocess.Popen(
        [sys.executable, "-c", program, str(done)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert viewer.stdout is not None
    assert viewer.stderr is not None
    viewer.stdout.readline()
    viewer.stdout.close()
    said = viewer.stderr.read()
    viewer.stderr.close()
    assert viewer.wait(20) == 0
    assert said == ""


def line_of(event: ev.Event, at: float) -> str:
    import json

    return json.dumps(records.to_record(event, at)) + "\n"
