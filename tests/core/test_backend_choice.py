"""Which backend a machine gets, and which folder of a workspace a run takes."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
from conftest import TOY_SOURCE, TOY_TASK, autoresearch, commit_all, git

from core.backend_choice import BACKENDS, best_backend, known_backend, of_task, remember, remembered
from core.errors import UsageError
from core.launch import Options, task_folder

MACHINES = [("darwin", "arm64", "mlx"), ("darwin", "x86_64", "cuda"), ("linux", "x86_64", "cuda")]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("cuda", "mlx"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.toml").write_text(TOY_TASK)
        (tmp_path / name / "train.py").write_text(TOY_SOURCE)
    commit_all(tmp_path)
    return tmp_path


@pytest.fixture(params=MACHINES, ids=str)
def machine(workspace: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine of some kind; the backend that is its own."""
    monkeypatch.setattr(sys, "platform", request.param[0])
    monkeypatch.setattr(platform, "machine", lambda: request.param[1])
    return str(request.param[2])


def test_a_machine_gets_its_own_backend(machine: str, workspace: Path) -> None:
    assert best_backend() == known_backend(None) == machine
    assert task_folder(workspace, Options(str(workspace))) == machine


def test_a_backend_that_is_named_is_taken(machine: str, workspace: Path) -> None:
    assert known_backend("mlx") == "mlx"
    assert task_folder(workspace, Options(str(workspace), backend="mlx")) == "mlx"


def test_where_only_the_other_one_is_it_is_taken(machine: str, workspace: Path) -> None:
    (workspace / machine / "task.toml").unlink()
    (other,) = {"cuda", "mlx"} - {machine}
    assert task_folder(workspace, Options(str(workspace))) == other


def test_a_backend_that_is_none_is_refused(workspace: Path) -> None:
    with pytest.raises(UsageError, match=r"--backend jax: no such backend; use cuda .* or mlx"):
        task_folder(workspace, Options(str(workspace), backend="jax"))


# --- what a workspace remembers --------------------------------------------------------------------------------------


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A workspace with the commands of both backends, as far as they matter here."""
    for name in BACKENDS:
        (tmp_path / name).mkdir()
        prepare = f'prepare = "{{python}} -P -m backends.{name} prepare"'
        (tmp_path / name / "task.toml").write_text(TOY_TASK.replace("[commands]", f"[commands]\n{prepare}"))
    return tmp_path


def test_a_workspace_remembers_what_it_was_made_for(machine: str, workspace: Path) -> None:
    for name in BACKENDS:
        remember(workspace, name)
        assert remembered(workspace) == name
        assert task_folder(workspace, Options(str(workspace))) == name
        for other in BACKENDS:
            assert task_folder(workspace, Options(str(workspace), backend=other)) == other
    assert task_folder(workspace, Options(str(workspace / "cuda"))) == "cuda"  # named by the folder it is typed in


@pytest.mark.parametrize("content", ['backend = "jax"', "backend =", "backend = 7"])
def test_a_memory_that_cannot_be_understood_is_said(content: str, workspace: Path) -> None:
    (workspace / "autoresearch.toml").write_text(content)
    with pytest.raises(UsageError, match=r"autoresearch\.toml: "):
        task_folder(workspace, Options(str(workspace)))
    (workspace / "autoresearch.toml").write_text("# nothing yet\n")
    assert remembered(workspace) is None


def test_a_task_and_a_backend_that_disagree_are_refused(both: Path) -> None:
    with pytest.raises(UsageError, match="--task cuda is the cuda backend's, --backend mlx is not; give one of them"):
        task_folder(both, Options(str(both), task="cuda", backend="mlx"))
    assert task_folder(both, Options(str(both), task="cuda", backend="cuda")) == "cuda"
    assert (of_task(both / "mlx"), of_task(both)) == ("mlx", None)


def test_init_remembers_a_backend_that_was_named(tmp_path: Path) -> None:
    made = autoresearch("init", "named", "--backend", "MLX", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "autoresearch.toml: runs here take the mlx backend; --backend overrules it" in made.stdout
    workspace = tmp_path / "named"
    assert task_folder(workspace, Options(str(workspace))) == "mlx"
    assert "autoresearch.toml" in git(workspace, "ls-files").splitlines()
    assert autoresearch("init", "unnamed", cwd=tmp_path).returncode == 0
    assert remembered(tmp_path / "unnamed") is None


def test_init_says_where_the_backends_got_different_texts(tmp_path: Path) -> None:
    done = autoresearch("init", "apart", "--backend", "mlx", "--profile", "mac-16gb", cwd=tmp_path)
    assert "mlx on climbmix, cuda on stdlib: scores of different texts do not compare" in done.stdout
    done = autoresearch("init", "alike", "--backend", "mlx", "--profile", "cpu", cwd=tmp_path)
    assert "do not compare" not in done.stdout
