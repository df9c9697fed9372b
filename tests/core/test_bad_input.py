"""What the user gets wrong: one clear line that names the thing and the mend, exit 2, and nothing changed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from conftest import TOY_TASK, autoresearch, commit_all, ended, git
from test_loop import snapshot

from core.launch import Options
from core.locks import cache_folder, lock

TASKS = {
    "unknown key": (("train_seconds = 5", "train_second = 5"), "task.toml:10: [budget] train_second: unknown key"),
    "unknown section": (("[budget]", "[limits]"), "task.toml:9: unknown section [limits]"),
    "wrong type": (("train_seconds = 5", 'train_seconds = "5"'), "[budget] train_seconds: must be a number"),
    "artifact is a string": (('["train.py"]', '"train.py"'), "task.toml:3: [task] artifact: must be a list of strings"),
    "no such artifact": (('["train.py"]', '["nowhere.py"]'), "nowhere.py: the artifact does not exist"),
    "outside": (('["train.py"]', '["../train.py"]'), "must lie inside the task's folder"),
    "not toml": (("[task]", "[task"), "not readable as TOML"),
    "no group": (("(\\S+)", "\\S+"), "[metric] pattern needs exactly one group"),
    "no metric": (("pattern = '^loss: (\\S+)'", ""), "the metric needs exactly one source"),
    "direction": (('name = "loss"', 'name = "loss"\ndirection = "down"'), '[metric] direction must be "min" or "max"'),
    "zero budget": (("train_seconds = 5", "train_seconds = 0"), "[budget] train_seconds must be more than 0"),
    "settings": (("[budget]", "[settings]\nwhen = 2024-01-01\n[budget]"), "task.toml:10: [settings] when: must be"),
    "missing name": (('name = "toy"', ""), "[task] name is missing"),
}


def refused(*words: str, cwd, limit: float = 60.0) -> str:
    """What the command says when it refuses: it must be one line, with exit 2."""
    done = autoresearch(*words, cwd=cwd, limit=limit)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("autoresearch: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_is_wrong_is_refused_by_key_and_line(name, toy):
    (old, new), message = TASKS[name]
    assert old in TOY_TASK
    (toy / "task.toml").write_text(TOY_TASK.replace(old, new))
    before = snapshot(toy)
    assert message in refused("run", "--plain", cwd=toy)
    assert snapshot(toy) == before
    assert not (toy / ".autoresearch").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tag", "a/b"), "--tag 'a/b'"),
        (("--tag", ".."), "--tag '..'"),
        (("--budget", "0"), "--budget 0"),
        (("--budget", "nan"), "--budget nan"),
        (("--experiments", "-1"), "--experiments -1"),
        (("--hours", "0"), "--hours 0"),
        (("--backend", "tpu"), "--backend tpu: no such backend; use cuda (PyTorch: NVIDIA, any CPU) or mlx"),
        (("--agent", "oracle"), "--agent oracle"),
        (("--agent", "scripted:nowhere"), "nowhere"),
        (("--task", "nowhere"), "there is no task.toml"),
        (("--task", "../.."), "outside the workspace"),
        (("--workspace", "nowhere"), "no such folder"),
    ],
)
def test_a_flag_that_is_wrong_is_refused(words, message, toy):
    before = snapshot(toy)
    assert message in refused("run", "--plain", *words, cwd=toy)
    assert snapshot(toy) == before
    assert not (toy / ".autoresearch").exists()


def test_a_folder_without_a_task_or_a_repository(tmp_path, toy):
    (toy / "task.toml").unlink()
    assert "there is no task.toml" in refused("run", cwd=toy)
    bare = tmp_path / "plain"
    bare.mkdir()
    assert "not in a git repository" in refused("run", cwd=bare)
    assert "no run here yet" in refused(cwd=bare)
    assert "no run here yet" in refused("status", cwd=bare)


def test_an_artifact_that_is_a_symlink_or_not_committed(toy):
    (toy / "train.py").rename(toy / "real.py")
    (toy / "train.py").symlink_to("real.py")
    assert "is a symlink" in refused("run", cwd=toy)
    (toy / "train.py").unlink()
    (toy / "other.py").write_text("print('loss: 1')")
    (toy / "task.toml").write_text(TOY_TASK.replace("train.py", "other.py"))
    assert "commit it first" in refused("run", cwd=toy)


def test_branches_that_are_in_the_way(toy, tmp_path):
    git(toy, "branch", "autoresearch/old")
    assert "exists, but no run of that tag" in refused("run", "--tag", "old", cwd=toy)
    git(toy, "worktree", "add", "-q", "-b", "autoresearch/out", str(tmp_path / "out"))
    assert "is checked out in a worktree" in refused("run", "--tag", "out", cwd=toy)


def test_a_branch_of_the_name_that_ours_go_below(toy):
    git(toy, "branch", "autoresearch")
    assert "git branch -m autoresearch another-name" in refused("run", cwd=toy)


def test_a_branch_without_a_commit_that_is_checked_out(toy, tmp_path):
    git(toy, "worktree", "add", "-q", "--detach", str(tmp_path / "out"))
    git(tmp_path / "out", "checkout", "-q", "--orphan", "autoresearch/t")
    assert "is checked out in a worktree" in refused("run", "--tag", "t", cwd=toy)


def test_pins_of_an_earlier_run_are_not_overwritten(toy, engines):
    folder = engines(Options(str(toy), tag="t", experiments=0))
    ended(folder)
    shutil.rmtree(folder)
    git(toy, "branch", "-D", "autoresearch/t")
    assert "holds experiments of an earlier run" in refused("run", "--tag", "t", cwd=toy)


def test_a_file_where_the_runs_should_be_and_a_run_that_never_began(toy, engines):
    (toy / ".autoresearch").write_text("a file")
    assert ".autoresearch" in refused("run", cwd=toy)
    (toy / ".autoresearch").unlink()
    (toy / ".autoresearch" / "t").mkdir(parents=True)
    assert [e.number for e in ended(engines(Options(str(toy), tag="t", experiments=0))).experiments] == [0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("git init -q --object-format=sha256 r", "pygit2 does not"),
        ("git init -q --bare r", "a bare repository"),
        ("git init -q r && git -C r config remote.origin.promisor true", "a partial clone"),
        ("git init -q r", "has no commit yet"),
    ],
)
def test_repositories_that_cannot_be_used(make, message, tmp_path):
    subprocess.run(make, shell=True, cwd=tmp_path, check=True)
    (tmp_path / "r" / "task.toml").write_text(TOY_TASK)
    (tmp_path / "r" / "train.py").write_text("print('loss: 1')")
    assert message in refused("run", cwd=tmp_path / "r")


def test_a_second_engine_on_the_same_run_or_device(toy, engines, tmp_path):
    (toy / "train.py").write_text("import time\nRATE = 0.5\ntime.sleep(4)\nprint('loss: 1')\n")
    commit_all(toy)
    engines(Options(str(toy), tag="t", experiments=0))
    assert "device cpu is in use by another run" in refused("run", "--tag", "u", cwd=toy)
    assert not (toy / ".autoresearch" / "u").exists()
    assert "run t has an engine already" in refused("run", "--tag", "t", cwd=toy)


def test_the_device_lock_names_its_holder(toy):
    holder = lock(cache_folder() / "locks" / "cpu.lock", "busy", "/the/other/run")
    assert f"{os.getpid()} /the/other/run" in refused("run", cwd=toy)
    holder.close()


def test_the_same_tag_again_says_resume(toy, engines):
    folder = engines(Options(str(toy), tag="t", experiments=0))
    ended(folder)
    assert "autoresearch resume t" in refused("run", "--tag", "t", cwd=toy)
    assert "no such run" in refused("resume", "elsewhere", cwd=toy)
    gone = autoresearch("pause", "t", cwd=toy)
    assert gone.returncode == 1
    assert "autoresearch resume t" in gone.stderr


def test_the_default_tag_is_the_date_and_then_counts(toy, engines):
    first = engines(Options(str(toy), experiments=0))
    ended(first)
    second = engines(Options(str(toy), experiments=0))
    ended(second)
    assert second.name == f"{first.name}-2"


def test_init_refuses_a_folder_that_is_not_empty(toy, tmp_path):
    before = snapshot(toy)
    assert "not empty" in refused("init", str(toy), cwd=tmp_path)
    assert snapshot(toy) == before
    assert "--backend tpu" in refused("init", str(tmp_path / "new"), "--backend", "tpu", cwd=tmp_path)
    assert not (tmp_path / "new").exists()
