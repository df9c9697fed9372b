"""Which devices the mlx backend finds, what it says where there is none, and its verbs `check` and `scaffold`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest
from conftest import autoresearch

import backends.mlx
from backends.mlx import devices
from backends.reference.corpus import BadInput
from backends.reference.profiles import METAL, PROFILES
from core import task

HERE = Path(backends.mlx.__file__).parent


def verb(*words: str, backend: str = "mlx", path: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", f"backends.{backend}", *words]
    before = [str(path)] if path else []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*before, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=env)


@pytest.fixture
def broken_mlx(tmp_path: Path) -> Path:
    """A folder for the path where the package is, and none of its builds: as `pip install mlx` leaves it on Linux."""
    package = tmp_path / "broken" / "mlx"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "core.py").write_text("raise ImportError('libmlx.so: cannot open shared object file')\n")
    return package.parent


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mac, as far as MLX is asked."""
    monkeypatch.setattr(mx, "is_available", lambda device: True)
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_processor", lambda: "Apple M2")


@pytest.fixture
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLX's CUDA build with a card, as far as MLX is asked."""
    said = {
        "device_name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "compute_capability_major": 9,
        "compute_capability_minor": 0, "total_memory": 81_559 << 20, "free_memory": 81_000 << 20,
    }  # fmt: skip
    monkeypatch.setattr(mx, "is_available", lambda device: True)
    monkeypatch.setattr(mx.metal, "is_available", lambda: False)
    monkeypatch.setattr(mx, "device_info", lambda device: said)


@pytest.mark.skipif(mx.is_available(mx.gpu), reason="this MLX has a GPU")
def test_a_cpu_is_said_to_be_for_correctness_only() -> None:
    device = devices.find("auto")
    assert (device.name, device.lock) == ("cpu", "cpu")
    found = json.loads(verb("check", "--json").stdout)
    assert (found["backend"], found["device"], found["problems"]) == ("mlx", "cpu", [])
    assert found["devices"][0]["profile"] == "mlx-cpu"
    assert "for correctness, not for research" in " ".join(found["devices"][0]["said"])


def test_apple_silicon(apple: None) -> None:
    device = devices.find("auto")
    assert (device.name, device.description, device.gpu) == (METAL, "Apple M2", False)
    assert devices.find("cpu").name == "cpu"
    (metal, _) = devices.check(fast=True)["devices"]
    assert metal["profile"].startswith("mac-")
    assert metal["attention"]["name"] == "chunks of 256"


def test_the_cuda_build_knows_its_card_by_its_uuid(nvidia: None) -> None:
    """So that the two backends do not train on one card at once."""
    device = devices.find("auto")
    assert (device.name, device.lock, device.memory_mb, device.used_mb) == ("cuda", "GPU-1", 81_559, 559)
    assert device.capability == (9, 0)
    assert devices.check(fast=True)["devices"][0]["peak_tflops"] == 989.5


@pytest.mark.parametrize("name", ["metal", "mps", "cuda:1", "tpu"])
@pytest.mark.skipif(mx.is_available(mx.gpu), reason="this MLX has a GPU")
def test_a_device_that_is_not_here_is_one_line_with_what_is(name: str) -> None:
    with pytest.raises(BadInput, match=rf"^device {name}: .*use auto, cpu$"):
        devices.find(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cuda", "no NVIDIA card or no driver found here .*MLX .* is built without CUDA"),
        ("metal", "only a Mac with Apple Silicon has it"),
        ("gpu", "no such device"),
    ],
)
@pytest.mark.skipif(mx.is_available(mx.gpu), reason="this MLX has a GPU")
def test_it_says_why_a_device_is_not_here(name: str, said: str) -> None:
    if name == "cuda" and Path("/proc/driver/nvidia").exists():
        said = "the installed MLX .* is built without CUDA: pip install .*mlx-cuda"
    with pytest.raises(BadInput, match=f"^device {name}: {said}"):
        devices.find(name)


def test_without_mlx_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlx" else real(name))
    with pytest.raises(BadInput, match=r"MLX is not installed; type: pip install .*\[mlx"):
        devices.find("auto")
    found = devices.check(fast=False)
    assert found["devices"] == []
    assert found["problems"][0]["mend"].startswith("pip install")


def test_an_mlx_without_a_build_is_found_out(broken_mlx: Path, tmp_path: Path) -> None:
    found = json.loads(verb("check", "--json", path=broken_mlx).stdout)
    assert found["devices"] == []
    assert "libmlx.so" in found["problems"][0]["what"]
    refused = verb("scaffold", str(tmp_path / "mlx"), path=broken_mlx)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "pip install" in refused.stderr
    assert not (tmp_path / "mlx").exists()


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_scaffolded_task_is_a_task_with_the_profile_in_it(name: str, tmp_path: Path) -> None:
    done = verb("scaffold", str(tmp_path / "work" / "mlx"), "--profile", name, "--device", "cpu")
    if name.startswith("gpu-"):
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "the cuda backend (--backend cuda); with mlx use cpu, mac-8gb" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    made, content = task.read(tmp_path / "work", "mlx")
    assert made.artifact == ("train.py",)
    assert made.early == ("evaluate",)
    assert set(made.commands) >= {"prepare", "train", "standby", "serve", "evaluate"}
    text = "climbmix" if name.startswith("mac-") else "stdlib"
    assert content["settings"] == {"profile": name, "dataset": text}
    changed = [
        line
        for line, old in zip(
            (tmp_path / "work/mlx/train.py").read_text().splitlines(),
            (HERE / "train.py").read_text().splitlines(),
            strict=True,
        )
        if line != old
    ]
    assert all(line.startswith(("DEPTH", "TOTAL_BATCH_SIZE", "DEVICE_BATCH_SIZE")) for line in changed)


def test_init_writes_both_task_folders(tmp_path: Path) -> None:
    done = autoresearch("init", "made", "--profile", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("cuda", "mlx"):
        made, content = task.read(tmp_path / "made", name)
        assert made.name == f"reference-gpt-{name}"
        assert content["settings"]["profile"] == "cpu"
        assert f"{name}: profile cpu" in done.stdout


def test_init_on_a_machine_without_mlx_writes_its_folder_for_another(
    tmp_path: Path, broken_mlx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken_mlx), os.environ.get("PYTHONPATH", "")]))
    done = autoresearch("init", "made", "--backend", "cuda", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mlx: profile mac-16gb for another machine; text: climbmix" in done.stdout
    assert task.read(tmp_path / "made", "mlx")[1]["settings"]["profile"] == "mac-16gb"
    refused = autoresearch("init", "other", "--backend", "mlx", cwd=tmp_path)
    assert refused.returncode == 2
    assert "MLX cannot be imported" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_doctor_shows_both_backends(tmp_path: Path, broken_mlx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {f["what"]: f for f in json.loads(autoresearch("doctor", "--json", cwd=tmp_path).stdout)}
    assert (found["cuda"]["state"], found["mlx"]["state"]) == ("ok", "ok")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken_mlx), os.environ.get("PYTHONPATH", "")]))
    done = autoresearch("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 0  # it is not the backend of this machine
    found = {f["what"]: f for f in json.loads(done.stdout)}
    assert found["mlx"]["state"] == "note"
    assert found["mlx"]["mend"].startswith("pip install")
