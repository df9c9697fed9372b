"""The shell completes commands, options and tags, and does not wait for anything heavy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ended

from core.launch import Options

COMPLETE = """
. <(autoresearch completion bash)
COMP_WORDS=(%s "")
[ -n "$1" ] && COMP_WORDS[-1]=$1
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_autoresearch_completion autoresearch
printf '%%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_a_real_bash_completes(toy, engines):
    for tag in ("monday", "monday-2", "tuesday"):
        ended(engines(Options(str(toy), tag=tag, experiments=0)))

    def completed(words: str, beginning: str = "") -> list[str]:
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "--norc", "-c", COMPLETE % words, "_", beginning], cwd=toy, env=env,
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert not done.stderr
        return done.stdout.split()

    assert {"best", "evaluate", "completion", "run"} <= set(completed("autoresearch"))
    assert completed("autoresearch best", "--ch") == ["--checkout", "--checkpoint"]
    assert completed("autoresearch best") == ["tuesday", "monday-2", "monday"]
    assert completed("autoresearch resume", "mon") == ["monday-2", "monday"]
    assert completed("autoresearch completion") == ["bash", "zsh", "fish"]


def test_completing_loads_nothing_heavy(toy):
    env = {
        **os.environ,
        "_AUTORESEARCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "autoresearch best ",
        "COMP_CWORD": "2",
    }
    code = (
        "import sys; sys.argv = ['autoresearch']; from tui.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=toy, env=env, capture_output=True, text=True)
    assert not {"pygit2", "textual", "torch", "numpy", "psutil", "optuna"} & set(done.stdout.split())
    assert "click" in done.stdout
