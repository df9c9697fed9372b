"""A task of the user's own in two commands: what is chosen, what is refused, what git gets."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import autoresearch, git, history
from test_bad_input import refused

from core.errors import UsageError
from core.own_task import MOST_FILES, OwnTask, begin
from core.task import read

SOLVE = 'A = 3.0\nprint("loss =", (A - 1) ** 2)\n'


def test_from_a_file_to_a_loop_in_two_commands(tmp_path):
    (tmp_path / "solve.py").write_text(SOLVE)
    (tmp_path / ".env").write_text("TOKEN=1\n")
    made = autoresearch("init", "--own", "--file", "solve.py", "--metric", "loss", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (
        "agents edit solve.py; a trial runs `python solve.py`; loss, read from its output: lower is better"
        in made.stdout
    )
    assert made.stdout.rstrip().endswith("start with: autoresearch run")
    ran = autoresearch("run", "--plain", "--experiments", "2", "--tag", "t", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    measured = [e.measurement for e in history(tmp_path / ".autoresearch" / "t").experiments]
    assert len(measured) == 3
    assert measured[0] is not None
    assert (measured[0].value, measured[0].self_reported) == (4.0, True)
    assert git(tmp_path, "ls-files").split() == ["program.md", "solve.py", "task.toml"], "nothing that hides"


def test_an_empty_folder_gets_an_example_that_runs_and_can_be_improved(tmp_path):
    assert autoresearch("init", "mine", "--own", cwd=tmp_path).returncode == 0
    ran = autoresearch("run", "--plain", "--experiments", "3", "--tag", "t", "--workspace", "mine", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert history(tmp_path / "mine" / ".autoresearch" / "t").incumbent
    told = autoresearch("stop", cwd=tmp_path / "mine").stderr
    assert "run t is done, so there is nothing to control; for more: `autoresearch resume t --experiments 20`" in told
    assert "; train it once more with: autoresearch again " in refused("evaluate", cwd=tmp_path / "mine")


def test_every_flag_stands_in_the_task(tmp_path):
    for name in ("a.sh", "b.txt"):
        (tmp_path / name).write_text("x\n")
    words = ("--file", "a.sh", "--file", "b.txt", "--command", "bash a.sh 'two words'", "--metric", "words/s",
             "--pattern", r"speed's (\d+)", "--direction", "max", "--budget", "7.5")  # fmt: skip
    done = autoresearch("init", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    task, _ = read(tmp_path, "")
    assert (task.artifact, task.budget.train_seconds, task.program) == (("a.sh", "b.txt"), 7.5, "program.md")
    assert task.command("train") == ["bash", "a.sh", "two words"]
    assert (task.metric.name, task.metric.direction, task.metric.pattern) == ("words/s", "max", r"speed's (\d+)")
    assert "as high as you can" in (tmp_path / "program.md").read_text()


def test_what_cannot_be_chosen_for_the_user_is_asked_for_and_nothing_is_written(tmp_path):
    def told(*words: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = refused("init", *words, cwd=tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
        return said

    assert "--profile is of the reference task, and --own makes a task of your own" in told("--own", "--profile", "cpu")
    assert "nowhere.py: the artifact does not exist" in told("--file", "nowhere.py")
    (tmp_path / "a.py").write_text(SOLVE)
    (tmp_path / "b.py").write_text(SOLVE)
    assert "name it with --file; there are a.py, b.py" in told("--own")
    assert "autoresearch init --own --file a.py" in told("--own", "a.py")
    (tmp_path / "run.sh").write_text("echo score: 1\n")
    assert "--file run.sh: how is it run? name that with --command" in told("--file", "run.sh")
    assert "[metric] pattern needs exactly one group" in told("--file", "a.py", "--pattern", "score")
    assert "must lie inside the task's folder" in told("--file", "../a.py")
    assert (
        "not empty; name a new or empty folder; for a task of your own in this one: autoresearch init --own" in told()
    )
    (tmp_path / "task.toml").write_text("")
    assert "there is one already" in told("--own", "--file", "a.py")


def test_a_repository_of_the_users_is_written_to_but_not_committed_to(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "solve.py").write_text(SOLVE)
    (tmp_path / ".git" / "info" / "exclude").write_text("task.*\n")
    done = autoresearch("init", "--own", "--metric", "loss", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = 'git add -f program.md solve.py task.toml && git commit -m "a task" -- program.md solve.py task.toml'
    assert command in done.stdout
    assert git(tmp_path, "status", "--short").split() == ["??", "program.md", "??", "solve.py"]
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    assert git(tmp_path, "ls-files").split() == ["program.md", "solve.py", "task.toml"]


@pytest.mark.parametrize("program", [None, "# mine\n"])
def test_what_is_there_stays_and_a_forest_is_not_committed(tmp_path, program):
    (tmp_path / "solve.py").write_text(SOLVE)
    if program:
        (tmp_path / "program.md").write_text(program)
    (tmp_path / "data").mkdir()
    for i in range(MOST_FILES + 1):
        (tmp_path / "data" / str(i)).touch()
    said: list[str] = []
    begin(tmp_path, OwnTask(), said.append)
    assert git(tmp_path, "ls-files").split() == ["program.md", "solve.py", "task.toml"]
    assert any("alone: what else lies here is more" in line and "1,000 files" in line for line in said)
    assert program is None or (tmp_path / "program.md").read_text() == program
    assert tomllib.loads((tmp_path / "task.toml").read_text())["metric"]["name"] == "score"


def test_a_walk_ends_where_enough_was_seen(tmp_path, monkeypatch):
    walked: list[str] = []
    walk = os.walk

    def counting(folder):
        for at, folders, files in walk(folder):
            walked.append(at)
            yield at, folders, files

    monkeypatch.setattr(os, "walk", counting)
    (tmp_path / "solve.py").write_text(SOLVE)
    for i in range(MOST_FILES + 1):
        (tmp_path / str(i)).touch()
    for i in range(20):
        (tmp_path / f"folder-{i}").mkdir()
    begin(tmp_path, OwnTask(), lambda line: None)
    assert walked == [str(tmp_path)]


def test_a_name_that_is_not_utf8_is_left_out_and_said(tmp_path):
    (tmp_path / "solve.py").write_text(SOLVE)
    (tmp_path / "words.txt").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).touch()
    done = autoresearch("init", "--own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert r"but not caf\xe9.txt: not readable, or the name is not UTF-8" in done.stdout
    assert git(tmp_path, "ls-files").split() == ["program.md", "solve.py", "task.toml", "words.txt"]


@pytest.mark.parametrize("wish", [OwnTask(), OwnTask(files=("a.py",), metric="n\udce9")])
def test_where_it_fails_nothing_was_written(tmp_path, wish):
    if wish.files:
        (tmp_path / "a.py").write_text(SOLVE)
    else:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.py")).write_text(SOLVE)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        begin(tmp_path, wish, lambda line: None)
    assert sorted(tmp_path.rglob("*")) == before


def test_when_git_fails_all_that_was_written_is_taken_back(tmp_path):
    (tmp_path / "program.md").mkdir()
    (tmp_path / "solve.py").write_text(SOLVE)
    before = sorted(tmp_path.rglob("*"))
    assert "cannot be read or written" in refused("init", "--own", cwd=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_control_character_in_a_flag_stands_in_the_task(tmp_path):
    begin(tmp_path, OwnTask(metric="a\x7fb"), lambda line: None)
    assert read(tmp_path, "")[0].metric.name == "a\x7fb"


def test_an_ignored_artifact_is_committed_and_what_else_is_ignored_is_not(tmp_path):
    (tmp_path / ".gitignore").write_text("solve.py\n*.log\n")
    (tmp_path / "solve.py").write_text(SOLVE)
    (tmp_path / "b.log").touch()
    begin(tmp_path, OwnTask(), lambda line: None)
    assert git(tmp_path, "ls-files").split() == [".gitignore", "program.md", "solve.py", "task.toml"]


@pytest.mark.parametrize(
    ("command", "operator"),
    [
        ("python a.py && echo done | tail -1", "&&"),
        ("python a.py|tail", "|"),
        ("python a.py 2>&1", ">"),
        ("a; b", ";"),
        (r"grep 'a;b' \; \"c\"|x", "|"),
        ("sh -c 'python a.py && echo | tail'", None),
        (r'python -c "print(\"a\"); 1 > 2" \;', None),
    ],
)
def test_what_only_a_shell_understands_is_refused(tmp_path, command, operator):
    wish = OwnTask(command=command)
    if operator is None:
        begin(tmp_path, wish, lambda line: None)
        return
    with pytest.raises(UsageError) as error:
        begin(tmp_path, wish, lambda line: None)
    assert f"no shell runs it, so `{operator}` would be an argument" in str(error.value)
    assert not any(tmp_path.iterdir())
