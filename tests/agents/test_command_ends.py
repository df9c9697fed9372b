"""However a command-line agent behaves, it ends, and nothing of it is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from command_desk import BETTER, SPOKEN, propose, python, request, script
from conftest import lives, until

from core.agents import CalledOff, Refused
from core.agents.command import CommandAgent
from core.agents.command_run import LONGEST_SAID

DAEMON = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({pid!r}, "w").write(str(os.getpid()))
        {more}
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists({pid!r}) or not open({pid!r}).read():
    time.sleep(0.01)
open("train.py", "a").write("# edited\\n")
print("DESCRIPTION: a daemon")
"""


def gone(pid_file: Path) -> bool:
    """Whether the process that wrote its number there has ended."""
    return not lives(int(pid_file.read_text()))


def test_one_that_never_ends_is_ended_with_all_its_children(tmp_path: Path) -> None:
    body = f"sleep 600 & echo $! > {tmp_path}/pid; trap '' TERM INT; {BETTER} wait\n"
    with pytest.raises(Refused, match="agent was not done after 1 s and was ended"):
        propose(tmp_path, body, seconds=1.0)
    assert gone(tmp_path / "pid")


@pytest.mark.parametrize("more", ["pass", "os.close(1), os.close(2)", "os.chdir('/')"])
def test_a_daemon_is_found_and_ended(tmp_path: Path, more: str) -> None:
    path = python(tmp_path, DAEMON.format(pid=str(tmp_path / "pid"), more=more))
    began = time.monotonic()
    proposal = CommandAgent(str(path), {}).propose(request(tmp_path))
    assert time.monotonic() - began < 30  # its pipe was held open by one that sleeps for ten minutes
    assert proposal.description == "a daemon"
    assert gone(tmp_path / "pid")


def test_a_daemon_that_hides_is_found_where_orphans_are_inherited(tmp_path: Path) -> None:
    """In an engine: without its variable, in a session of its own, its parents gone."""
    hides = f"os.execve({os.path.realpath('/bin/sleep')!r}, ['sleep', '600'], {{}})"
    path = python(tmp_path, DAEMON.format(pid=str(tmp_path / "pid"), more=hides))
    code = (
        "import sys; from pathlib import Path; from core import sandbox; sandbox.adopt_orphans()\n"
        "from command_desk import request; from core.agents.command import CommandAgent\n"
        f"print(CommandAgent({str(path)!r}, {{}}).propose(request(Path({str(tmp_path)!r}))).description)"
    )
    import subprocess
    import sys

    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root.parent), str(root), str(root / "agents")])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "a daemon\n", done.stderr
    assert gone(tmp_path / "pid")


def test_output_without_end_is_cut_and_ended(tmp_path: Path) -> None:
    asked = request(tmp_path)
    with pytest.raises(Refused, match="agent printed more than 64 MiB and was ended") as refusal:
        propose(tmp_path, "yes 'I have an idea'\n", asked)
    assert len("".join(asked.desk.said)) < LONGEST_SAID + 100
    assert asked.desk.said[-1].endswith("… the rest is not shown\n")
    assert refusal.value.description == "I have an idea"


def test_a_line_without_end_is_cut_too(tmp_path: Path) -> None:
    asked = request(tmp_path)
    with pytest.raises(Refused, match="printed more than 64 MiB"):
        propose(tmp_path, "cat /dev/zero | tr '\\0' x\n", asked)
    assert len("".join(asked.desk.said)) < LONGEST_SAID + 100


def test_one_that_never_reads_its_prompt_or_closes_everything_is_waited_for(tmp_path: Path) -> None:
    proposal = propose(tmp_path, f"exec </dev/null >/dev/null 2>&1; sleep 0.5; {BETTER}")
    assert proposal.details["seconds"] >= 0.5
    assert proposal.description == "an edit by agent, which said nothing"


def test_the_run_is_stopped_at_once(tmp_path: Path) -> None:
    asked = request(tmp_path)
    script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; {BETTER} wait\n")
    seen: list[float] = []

    def stops() -> bool:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            seen.append(time.monotonic())
        return bool(seen)

    asked.desk.stops = stops
    with pytest.raises(CalledOff):
        CommandAgent(str(tmp_path / "agent"), {}).propose(asked)
    assert gone(tmp_path / "pid")


def test_what_it_says_is_shown_while_it_works_and_is_harmless(tmp_path: Path) -> None:
    asked = request(tmp_path)
    said: list[str] = []
    go_on = tmp_path / "go-on"

    def say(text: str) -> None:
        said.append(text)
        if "thinking" in text:
            go_on.touch()  # it waits for having been heard

    asked.desk.say = say  # type: ignore[method-assign]
    body = f"printf '\\033[31mthinking\\r\\a\\n'; while [ ! -e {go_on} ]; do sleep 0.01; done; echo late >&2; {BETTER}"
    propose(tmp_path, body + SPOKEN, asked)
    assert said[0] == "thinking\n\n"
    assert "late\n" in said
    assert "\033" not in "".join(said)


def test_no_descriptor_and_no_process_is_left(tmp_path: Path) -> None:
    me = psutil.Process()
    asked = [request(tmp_path / str(n)) for n in range(4) if not (tmp_path / str(n)).mkdir()]
    path = script(tmp_path, BETTER + SPOKEN)
    before = 0
    for each in asked:
        CommandAgent(str(path), {}).propose(each)
        before = before or me.num_fds()
    assert me.num_fds() == before
    until(lambda: not [c for c in me.children() if lives(c.pid)])
