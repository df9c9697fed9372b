"""What an agent is really told in a run: a program keeps the prompts that the engine gives it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from conftest import TOY_TASK, commit_all, ended

from core.agents.prompt import SEALED
from core.launch import Options

LISTENER = """\
import pathlib, sys
told = sys.stdin.read()
kept = pathlib.Path({kept!r})
count = len(list(kept.iterdir()))
(kept / f"{{count:03}}.txt").write_text(told)
value = "1 / 0" if count == 1 else f"0.3 + 1 / {{count + 6}}"
pathlib.Path("train.py").write_text(f'RATE = {{value}}\\nprint("loss:", (RATE - 0.3) ** 2)\\n')
if count == 2:
    pathlib.Path({program!r}).write_text("Now think small.\\n")
print(f"NOTE: proposal {{count}} was here")
print(f"DESCRIPTION: RATE {{value}}")
"""


def test_a_run_tells_its_agent_everything_and_the_same_beginning(
    toy: Path, tmp_path: Path, engines: Callable[[Options], Path]
) -> None:
    kept, program, listener = tmp_path / "kept", toy / "program.md", tmp_path / "listen.py"
    kept.mkdir()
    program.write_text("Think big.\n")
    task = TOY_TASK.replace("[commands]", 'program = "program.md"\n[commands]')
    (toy / "task.toml").write_text(task + '[agent]\ncontract = "It prints loss: and a number."\n')
    commit_all(toy)
    listener.write_text(LISTENER.format(kept=str(kept), program=str(program)))
    h = ended(engines(Options(str(toy), agent=f"command:{sys.executable} {listener}", experiments=4)))
    prompts = [file.read_text() for file in sorted(kept.iterdir())]
    assert [e.verdict.outcome for e in h.experiments] == ["keep"] * 5
    assert h.experiments[2].repairs
    assert len(prompts) == 5 < SEALED

    def until_the_artifact(text: str) -> str:
        return text[: text.index("# The artifact")]

    stable = [until_the_artifact(p) for p in prompts]
    assert stable[0] == stable[1] == stable[2]
    assert (
        stable[3]
        == stable[4]
        == stable[0]
        .replace("Think big.", "Now think small.")
        .replace(*(re.findall(r"<program (\w+)>", s)[0] for s in (stable[0], stable[3])))
    )
    assert "It prints loss: and a number." in stable[0]
    assert "Metric: loss, lower is better, taken from what your files print or write, which is believed" in stable[0]
    assert "# Now: a proposal for experiment #1" in prompts[0]
    mend = prompts[2][prompts[2].index("# Now: mend experiment #2, which crashed (repair 1)") :]
    assert re.search(r"^<log (\w+)>\nZeroDivisionError: division by zero\n(.*\n)*?</log \1>$", mend, re.M)
    assert "+RATE = 1 / 0" in mend
    assert "#0: " not in mend
    assert re.search(
        r"^#2 keep, .*, mended after 1 crashed: ZeroDivisionError: division by zero · RATE", prompts[3], re.M
    )
    assert re.search(r"^<notes (\w+)>\n#1: proposal 0 was here\n#2: proposal 1 was here$", prompts[3], re.M)
