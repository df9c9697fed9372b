"""Which backend a machine gets, and which folder of a workspace a run takes."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
from conftest import TOY_SOURCE, TOY_TASK, commit_all

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
