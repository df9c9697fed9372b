"""`autoresearch prepare`, `data` and `init --dataset` as they are typed, with a terminal and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import autoresearch
from emulator import terminal

COMMAND = str(Path(sys.executable).parent / "autoresearch")
LIMIT_SECONDS = 120


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Own text: some of the library's sources as one file."""
    folder = tmp_path / "own"
    folder.mkdir()
    sources = sorted(Path(os.__file__).parent.glob("[a-s]*.py"))
    (folder / "a.txt").write_text("\n\n".join(path.read_text(encoding="utf-8") for path in sources))
    return folder


def started(line: str, process: subprocess.Popen[str]) -> None:
    """Wait for a line of the process's that begins so."""
    assert process.stdout
    for said in process.stdout:
        if said.startswith(line):
            return
    raise AssertionError(process.communicate()[1])


def prepare(*words: str, cwd: Path) -> str:
    done = autoresearch("prepare", *words, "--profile", "cpu", "--device", "cpu", cwd=cwd, limit=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(cwd: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(autoresearch("data", "--json", cwd=cwd).stdout)
    return found


def test_prepared_listed_and_removed(own: Path) -> None:
    out = prepare("--dataset", "own", cwd=own.parent)
    assert f'dataset = "{own}"' in out
    assert {(one["dataset"], one["kind"]) for one in listed(own)} == {
        (str(own), kind) for kind in ("tokenizer", "tokens", "rows")
    }
    assert str(own) in autoresearch("data", cwd=own).stdout
    removed = autoresearch("data", "remove", ".", "--yes", cwd=own)
    assert removed.returncode == 0
    assert "removed" in removed.stdout
    assert listed(own) == []
    assert (own / "a.txt").exists()


def test_removing_asks_first(own: Path) -> None:
    prepare("--dataset", "stdlib", cwd=own)
    for answer, left in (("n\r", 1), ("\x04", 1), ("y\r", 0)):
        with terminal(COMMAND, "data", "remove", "stdlib") as t:
            t.until(lambda t=t: "[y/N]" in t.shown, LIMIT_SECONDS)
            t.press(answer)
            t.until(lambda t=t: t.process.poll() is not None, LIMIT_SECONDS)
            assert t.process.returncode == 0
        assert len(listed(own)) == left


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare", "--dataset", "wikipedia"], "use stdlib, climbmix, or the path of a folder or file"),
        (["prepare", "--dataset", "stdlib", "--backend", "tpu"], "--backend tpu: no such backend"),
        (["init", "w", "--dataset", "nowhere"], "--dataset nowhere: no such data set"),
        (["init", "w", "--shards", "3"], "--shards goes with --dataset climbmix"),
        (["data", "remove", "-x"], "No such option"),
        (["data", "remove", "nothing"], "neither a data set nor a key"),
    ],
)
def test_bad_words_end_with_status_2_and_nothing_made(tmp_path: Path, words: list[str], said: str) -> None:
    done = autoresearch(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]


def test_a_workspace_names_its_data_by_an_absolute_path(own: Path) -> None:
    done = autoresearch("init", "w", "--profile", "cpu", "--dataset", "./own", cwd=own.parent)
    assert done.returncode == 0, done.stderr
    task = tomllib.loads((own.parent / "w" / "cuda" / "task.toml").read_text())
    assert task["settings"] == {"profile": "cpu", "dataset": str(own)}


def test_a_workspace_for_climbmix_says_how_many_shards(tmp_path: Path) -> None:
    words = ("init", "w", "--profile", "cpu", "--dataset", "climbmix", "--shards", "3")
    assert autoresearch(*words, cwd=tmp_path).returncode == 0
    task = tomllib.loads((tmp_path / "w" / "cuda" / "task.toml").read_text())
    assert task["settings"] == {"profile": "cpu", "dataset": "climbmix", "shards": 3}


def test_an_interrupt_in_the_terminal_is_one_line_and_a_bar_was_drawn(own: Path) -> None:
    (own / "a.txt").write_text((own / "a.txt").read_text() * 8)
    with terminal(COMMAND, "prepare", "--dataset", str(own), "--profile", "cpu", "--device", "cpu") as t:
        t.until(lambda: "tokenising a.txt:" in t.shown and "%|" in t.shown, LIMIT_SECONDS)
        os.killpg(t.process.pid, signal.SIGINT)  # what a terminal does
        t.until(lambda: t.process.poll() is not None, LIMIT_SECONDS)
        t.draw()
        assert t.process.returncode == 130
        assert t.shown.count("interrupted; what was finished is kept") == 1
        assert "Traceback" not in t.shown


def test_an_interrupt_that_reaches_the_command_alone_ends_its_child_too(own: Path) -> None:
    (own / "a.txt").write_text((own / "a.txt").read_text() * 8)
    argv = [COMMAND, "prepare", "--dataset", str(own), "--profile", "cpu", "--device", "cpu"]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    started("tokenising", process)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)  # the child has let go of our pipes
    assert process.returncode == 130
    assert errors == "autoresearch: interrupted; what was finished is kept, the same command goes on from there\n"
