"""The agent `command` at a real engine: edits, repairs, refusals, a stop, a kill; nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
from command_desk import script
from conftest import TOY_SOURCE, autoresearch, ended, git, history, kill_engine, until

from core import control
from core.launch import Options

Engines = Callable[[Options], Path]

# Each call takes the next line of `rates`: what RATE becomes, or a whole shell command.
NEXT = """
line=$(head -1 {folder}/rates); sed -i 1d {folder}/rates
echo "$line" >> {folder}/asked; cat > {folder}/prompt.$(wc -l < {folder}/asked)
case "$line" in
  sh\\ *) eval "${{line#sh }}";;
  *) sed -i "s:^RATE = .*:RATE = $line:" train.py; echo "Because $line."; echo "DESCRIPTION: RATE to $line";;
esac
"""


def options(toy: Path, *lines: str, **more: object) -> Options:
    """A run whose agent does what these lines say."""
    (toy.parent / "rates").write_text("".join(f"{line}\n" for line in lines))
    path = script(toy.parent, NEXT.format(folder=toy.parent))
    return Options(str(toy), device="cpu", agent=f"command:{path}", tag="c", **more)  # type: ignore[arg-type]


def left(folder: Path) -> list[psutil.Process]:
    """Processes that work below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AUTORESEARCH_TRIAL", "").startswith(str(folder)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_experiments_refusals_and_what_is_dropped(toy: Path, engines: Engines) -> None:
    lines = (
        "0.4",
        "sh true",
        "0.4",
        "0.9",
        "sh echo 'syntax (' >> train.py",
        "sh echo 'ROOM = 1' >> train.py; touch x",
    )
    folder = engines(options(toy, *lines, experiments=3))
    run = ended(folder)
    assert [(e.description, e.verdict.outcome) for e in run.experiments[1:]] == [
        ("RATE to 0.4", "keep"),
        ("RATE to 0.9", "discard"),
        ("an edit by agent, which said nothing", "discard"),
    ]
    assert run.refused == 3
    assert run.experiments[1].hypothesis == "Because 0.4."
    assert run.experiments[1].details["unconfined"] is True
    assert run.experiments[3].details["dropped"] == ["x"]
    assert "RATE = 0.4" in git(toy, "show", "autoresearch/c:train.py")
    assert (toy / "train.py").read_text() == TOY_SOURCE
    assert "Because 0.4." in (folder / "agent" / "1.log").read_text()
    assert "nothing of the artifact" in (toy.parent / "prompt.3").read_text()  # it is told why
    assert not list((toy.parent / "cache").rglob("agent-*"))


def test_a_crash_is_repaired_by_the_same_program(toy: Path, engines: Engines) -> None:
    folder = engines(options(toy, "1 / 0", "2 / 0", "0.4", experiments=1))
    (_, experiment) = ended(folder).experiments
    assert experiment.verdict.outcome == "keep"
    assert [repair.reason for repair in experiment.repairs] == ["ZeroDivisionError: division by zero"] * 2
    assert "ZeroDivisionError" in (toy.parent / "prompt.2").read_text()


def test_stop_now_ends_it_at_once_and_a_killed_engine_leaves_nothing(toy: Path, engines: Engines) -> None:
    hangs = f"sh sleep 600 & sleep 600 & echo $$ > {toy.parent}/pid; wait"
    folder = engines(options(toy, hangs, hangs, "0.4", experiments=1))
    pid = toy.parent / "pid"
    until(lambda: pid.exists() and pid.read_text() != "")
    control.send(folder, "stop-now")
    assert ended(folder, 10).ended.reason == "stopped"
    assert not left(toy.parent / "cache")
    pid.unlink()
    engines(Options(str(toy), resume="c"))
    until(lambda: pid.exists() and pid.read_text() != "")
    kill_engine(folder)
    engines(Options(str(toy), resume="c"))
    run = ended(folder)
    assert [e.description for e in run.experiments[1:]] == ["RATE to 0.4"]
    assert not left(toy.parent / "cache")


def test_a_program_that_has_gone_pauses_the_run_until_the_user_says_resume(toy: Path, engines: Engines) -> None:
    wanted = options(toy, "sh rm $0; touch gone", "0.4", experiments=1)
    folder = engines(wanted)
    until(lambda: (p := history(folder).paused) is not None and "no such program" in p.reason)
    options(toy, "0.4")
    done = autoresearch("resume", "c", "--workspace", str(toy), "--plain", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert ended(folder).experiments[1].description == "RATE to 0.4"
