"""`autoresearch doctor` as a user types it, on this machine and on one that looks as if it had NVIDIA cards."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import autoresearch
from fake_card import RTX_4090, FakeMachine, rtx_3060, rtx_4090


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return FakeMachine(tmp_path / "machine", monkeypatch, os.environ["PATH"])


def findings(folder: Path) -> dict[str, dict[str, Any]]:
    """By `what`; of several the first."""
    found: dict[str, dict[str, Any]] = {}
    for finding in json.loads(autoresearch("doctor", "--json", cwd=folder).stdout):
        found.setdefault(finding["what"], finding)
    return found


def test_a_machine_without_a_gpu_is_well(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch(None)  # and it raises if it is imported: a look must not cost seconds
    done = autoresearch("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    for part in ("PyTorch", "cpu: ", "profile cpu, attention sdpa", "sleep", "disk"):
        assert part in " ".join(done.stdout.split())
    assert "no NVIDIA card found, so it trains on the CPU" in " ".join(done.stdout.split())
    assert [line[2:13] for line in done.stdout.splitlines() if " device " in line] == ["cuda device", "mlx device "]
    assert "compile" not in done.stdout  # nothing is compiled on a CPU
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "/" not in line)


def test_a_card_is_shown_with_what_a_run_makes_of_it(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090(used_mb=9_000), rtx_3060())
    machine.processes(f"{RTX_4090}, 3999999, 8412, /usr/lib/firefox/firefox")
    done = autoresearch("doctor", cwd=tmp_path)
    said = " ".join(done.stdout.split())
    for part in (
        "cuda: NVIDIA GeForce RTX 4090, 24,564 MB, 9,000 in use, driver 570.133.07, compute capability 8.9, bf16",
        "gpu-24gb for NVIDIA GeForce RTX 4090 (24,564 MB)",
        "(untested by us); MFU against 165.2 TFLOP/s",
        "firefox (pid 3999999, 8,412 MB)",
        "cuda:1: NVIDIA GeForce RTX 3060, 12,288 MB",
        "MFU unknown",
        "built for CUDA 12.8",
    ):
        assert part in said
    assert any(line.startswith(("● compile", "× compile")) for line in done.stdout.splitlines())
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "/" not in line)


def test_a_pytorch_that_cannot_be_imported_is_found_out_where_there_is_a_gpu(
    machine: FakeMachine, tmp_path: Path
) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090())
    found = findings(tmp_path)
    assert found["problem"]["state"] == "missing"
    assert "cannot be imported" in found["problem"]["found"]
    assert autoresearch("doctor", cwd=tmp_path).returncode == 1


def test_a_driver_too_old_is_a_problem_with_its_mend(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch("13.0")
    machine.cards(rtx_4090(driver="535.183.01"))
    problem = findings(tmp_path)["problem"]
    assert "535.183.01" in problem["found"]
    assert "update the driver" in problem["mend"]


def test_without_a_program_that_holds_off_sleep_it_says_so(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = machine.folder / "bin" / "systemd-inhibit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert findings(tmp_path)["sleep"]["state"] == "ok"
    program.write_text("#!/bin/sh\nprintf 'no \\033[31mbus\\n' >&2\nexit 1\n")
    refused = findings(tmp_path)["sleep"]
    assert (refused["state"], refused["mend"][:21]) == ("note", "switch off idle sleep")
    assert refused["found"].startswith("idle sleep is not prevented: ")
    assert refused["found"].endswith("ended with status 1: no bus")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert findings(tmp_path)["sleep"]["state"] == "note"
