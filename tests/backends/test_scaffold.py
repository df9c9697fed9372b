"""The verbs `scaffold` and `check`, as the command calls them, and the devices they find."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import backends.cuda
from backends.cuda import devices
from backends.reference import scaffold
from backends.reference.profiles import PROFILES
from core import task

TEMPLATES = Path(backends.cuda.__file__).parent


def verb(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "backends.cuda", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def constants(path: Path) -> dict[str, object]:
    found = {}
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("DEPTH", "TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE"):
                found[name] = ast.literal_eval(statement.value)
    return found


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_scaffolded_task_is_a_task_with_the_profile_in_it(name: str, tmp_path: Path) -> None:
    profile = PROFILES[name]
    done = verb("scaffold", str(tmp_path / "work" / "cuda"), "--profile", name, "--device", "cpu")
    if name.startswith("mac-"):
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "the mlx backend (--backend mlx); with cuda use cpu, gpu-8gb" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    made, content = task.read(tmp_path / "work", "cuda")
    settings = (tmp_path / "work" / "cuda" / "task.toml").read_text().partition("[settings]")[2]
    assert "# auto, cpu, gpu-8gb" in settings, "the choices, with the one that was made among them"
    assert made.artifact == ("train.py",)
    assert made.metric.name == "val_bpb"
    assert made.early == ("evaluate",)
    assert set(made.commands) >= {"prepare", "train", "serve", "evaluate"}
    dataset = "climbmix" if name.startswith("gpu-") else "stdlib"  # a library is too little for a GPU
    assert content["settings"] == {"profile": name, "dataset": dataset}
    assert constants(tmp_path / "work" / "cuda" / "train.py") == {
        "DEPTH": profile.depth,
        "TOTAL_BATCH_SIZE": profile.total_batch_size,
        "DEVICE_BATCH_SIZE": profile.device_batch_size,
    }


def test_only_the_constants_differ_from_the_template(tmp_path: Path) -> None:
    scaffold.write(TEMPLATES, tmp_path, PROFILES["cpu"])
    old, new = ((folder / "train.py").read_text().splitlines() for folder in (TEMPLATES, tmp_path))
    assert len(old) == len(new)
    changed = [line for line, before in zip(new, old, strict=True) if line != before]
    assert len(changed) == 3
    assert all("#" in line for line in changed)


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine\n")
    done = verb("scaffold", str(tmp_path), "--profile", "cpu")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "train.py exists" in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("train.py", "mine\n")]


@pytest.mark.parametrize("words", [["--profile", "laptop"], ["--device", "cuda:99"]])
def test_a_bad_name_is_one_line_and_writes_nothing(words: list[str], tmp_path: Path) -> None:
    done = verb("scaffold", str(tmp_path / "cuda"), *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert words[1] in done.stderr
    assert not (tmp_path / "cuda").exists()


def test_the_template_itself_is_valid() -> None:
    content = tomllib.loads((TEMPLATES / "task.toml").read_text())
    assert content["settings"]["profile"] == "auto"


def test_check_says_what_works_without_importing_torch() -> None:
    found = json.loads(verb("check", "--json", "--fast").stdout)
    assert found["torch"]
    assert found["problems"] == []
    assert found["devices"][-1]["name"] == "cpu"
    assert found["attention"]["cpu"] == "sdpa"
    code = "import sys; from backends.cuda import devices; devices.check(fast=True); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], timeout=120, check=False).returncode == 0


def test_the_cpu_is_always_there() -> None:
    assert devices.find("cpu").name == "cpu"
    assert devices.find("cpu").memory_mb > 256
    assert devices.find("auto") == devices.devices()[0]
