"""What is found of NVIDIA cards, from a real program called nvidia-smi that answers as recorded ones did."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_card import RTX_3060, RTX_4090, FakeMachine, rtx_3060, rtx_4090

from backends.cuda import nvidia
from backends.reference.profiles import peak_flops


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return FakeMachine(tmp_path / "machine", monkeypatch, os.environ["PATH"])


def verb(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "backends.cuda", *words]
    environment = {**os.environ, **variables}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)


def check(**variables: str) -> dict[str, Any]:
    done = verb("check", "--json", "--fast", **variables)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def prepare(tmp_path: Path, settings: dict[str, Any], device: str = "auto") -> subprocess.CompletedProcess[str]:
    told = {"role": "prepare", "device": device, "settings": settings, "fingerprint": None}
    request = tmp_path / "trial.json"
    request.write_text(json.dumps({**told, "answer": str(tmp_path / "prepared.json")}))
    return verb("prepare", AUTORESEARCH_TRIAL=str(request))


# --- what is there ---------------------------------------------------------------------------------------------------


def test_a_card_is_described_whole(machine: FakeMachine) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090())
    said = check()
    card = said["devices"][0]
    assert said["torch_cuda"] == "12.8"
    assert (said["device"], card["lock"], card["profile"]) == ("cuda", RTX_4090, "gpu-24gb")
    assert (card["memory_mb"], card["used_mb"], card["driver"]) == (24_564, 512, "570.133.07")
    assert (card["capability"], card["bf16"], card["peak_tflops"]) == ([8, 9], True, 165.2)
    assert card["attention"]["name"] in ("varlen", "fa4")
    assert "profile gpu-24gb for NVIDIA GeForce RTX 4090 (24,564 MB)" in card["said"][0]
    assert said["devices"][-1]["lock"] == "cpu"
    assert said["problems"] == []


def test_a_driver_before_compute_cap_is_still_understood(machine: FakeMachine) -> None:
    machine.old_smi()
    machine.cards(rtx_4090(driver="470.82.01"))
    (card,) = nvidia.cards()
    assert (card.uuid, card.memory_mb, card.driver, card.capability) == (RTX_4090, 24_564, "470.82.01", (0, 0))


@pytest.mark.parametrize("line", [f"{RTX_4090}, NVIDIA GB10, [N/A], [N/A], 580.95.05, 12.1"])
def test_a_number_that_is_not_there_is_unknown(line: str, machine: FakeMachine) -> None:
    machine.cards(line)
    (card,) = nvidia.cards()
    assert (card.name, card.memory_mb, card.used_mb, card.capability) == ("NVIDIA GB10", 0, 0, (12, 1))


def test_of_a_card_cut_into_parts_the_whole_memory_is_not_promised(machine: FakeMachine) -> None:
    machine.cards(
        "GPU-1, NVIDIA A100-SXM4-40GB, 40960, 0, 570.133.07, 8.0, Enabled",
        "GPU-2, NVIDIA A100-SXM4-40GB, 40960, 0, 570.133.07, 8.0, Disabled",
        "GPU-3, NVIDIA GeForce RTX 4090, 24564, 0, 570.133.07, 8.9, [N/A]",
    )
    part, *whole = nvidia.cards()
    assert (part.memory_mb, peak_flops(part.name)) == (0, None)
    assert [card.memory_mb for card in whole] == [40_960, 24_564]


def test_a_driver_that_does_not_answer_is_no_card(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.failing_smi()
    here = [] if not any(Path("/dev").glob("nvidia[0-9]*")) else nvidia.cards()
    assert nvidia.cards() == here
    machine.hanging_smi()
    monkeypatch.setattr(nvidia, "_LIMIT_SECONDS", 0.2)
    assert nvidia.cards() == here


# --- which of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [RTX_4090, RTX_3060]),
        ("1", [RTX_3060]),
        ("1,0", [RTX_3060, RTX_4090]),
        (RTX_3060, [RTX_3060]),
        ("GPU-5a1a", [RTX_3060]),  # the beginning is enough
        ("0,7,1", [RTX_4090]),  # what follows a bad one is hidden
        ("-1", []),
        ("", []),
        ("MIG-9f1b", ["MIG-9f1b"]),  # a part of a card
    ],
)
def test_the_visible_devices_choose_and_order(
    visible: str | None, expected: list[str], machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.cards(rtx_4090(), rtx_3060())
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [card.uuid for card in nvidia.cards()] == expected


def test_one_card_has_one_lock_under_any_name(machine: FakeMachine) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090(), rtx_3060())
    second = {device["name"]: device["lock"] for device in check()["devices"]}["cuda:1"]
    alias = {device["name"]: device["lock"] for device in check(CUDA_VISIBLE_DEVICES="1")["devices"]}["cuda"]
    assert second == alias == RTX_3060


def test_cards_that_differ_are_only_numbered_for_sure_by_their_bus(machine: FakeMachine) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090(), rtx_3060())
    assert any("PCI_BUS_ID" in line for line in check()["devices"][0]["said"])
    assert not any("PCI_BUS_ID" in line for line in check(CUDA_DEVICE_ORDER="PCI_BUS_ID")["devices"][0]["said"])


# --- who else is there -----------------------------------------------------------------------------------------------


def test_another_process_on_the_card_is_named_with_its_memory(machine: FakeMachine) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090(used_mb=9_000), rtx_3060())
    machine.processes(
        f"{RTX_4090}, {os.getpid()}, 8412, /wrong/name",
        f"{RTX_4090}, 3999999, [N/A], /usr/lib/firefox/firefox",
        f"{RTX_3060}, 3999998, 77, [Not Found]",
    )
    said = check()["devices"]
    first = next(line for line in said[0]["said"] if "other programs" in line)
    assert f"{psutil.Process().name()} (pid {os.getpid()}, 8,412 MB)" in first  # by the name it has here
    assert "firefox (3999999)" in first
    assert "77 MB" in said[1]["said"][-1] + said[1]["said"][-2]


def test_of_a_card_too_full_for_the_profile_the_answer_says_so(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch("12.8")
    machine.cards(rtx_4090(used_mb=20_000))
    machine.processes(f"{RTX_4090}, 3999999, 19500, /usr/bin/python3")
    done = prepare(tmp_path, {"profile": "gpu-24gb", "sequence_length": 256, "vocab_size": 1024, "eval_tokens": 4096})
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "prepared.json").read_text())
    assert "20,000 of 24,564 MB" in answer["refuse"]
    assert "kill 3999999" in answer["refuse"]
    words = answer["warm"]
    assert words[words.index("warm") :][:5] == ["warm", "--device", "cuda", "--profile", "gpu-24gb"]
    assert words[-4:] == ["--sequence-length", "256", "--vocab-size", "1024"]


def test_a_profile_too_large_for_its_card_is_refused(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch("12.8")
    machine.cards(rtx_3060())
    for done in (
        prepare(tmp_path, {"profile": "gpu-24gb"}),
        verb("scaffold", str(tmp_path / "cuda"), "--profile", "gpu-24gb"),
    ):
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "--profile gpu-12gb" in done.stderr
    assert not (tmp_path / "cuda").exists()


# --- drivers and builds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "cuda", "enough"),
    [
        ("525.60.13", "12.8", True),
        ("525.60.11", "12.8", False),
        ("470.82.01", "12.6", False),
        ("570.133.07", "13.0", False),
        ("580.65.06", "13.0", True),
        ("590.44.01", "13.2", True),
        ("1000.10.01", "13.2", True),
        ("", "12.8", True),  # nobody knows
        ("570.133.07", None, True),  # no CUDA in this PyTorch
        ("570.133.07", "99.0", True),  # not on the list
    ],
)
def test_which_driver_is_too_old(driver: str, cuda: str | None, enough: bool) -> None:
    assert (nvidia.driver_trouble(driver, cuda) is None) == enough


def test_a_driver_too_old_is_one_line_with_the_mend(machine: FakeMachine, tmp_path: Path) -> None:
    machine.torch("13.0")
    machine.cards(rtx_4090(driver="535.183.01"))
    done = prepare(tmp_path, {})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    for part in ("535.183.01", "CUDA 13.0 needs 580.65.06", "update the driver", "--device cpu"):
        assert part in done.stderr
    (problem,) = check()["problems"]
    assert "535.183.01" in problem["what"]
    assert "update the driver" in problem["mend"]


def test_a_card_too_old_for_the_build_is_said(machine: FakeMachine) -> None:
    machine.torch("12.8")
    machine.cards("GPU-1, Tesla V100-SXM2-16GB, 16384, 0, 570.133.07, 7.0")
    said = check()
    assert "compute capability 7.0" in said["problems"][0]["what"]
    assert "CUDA 12.6" in said["problems"][0]["mend"]
    assert not said["devices"][0]["bf16"]
    assert any("compute capability 7.0" in line for line in said["devices"][0]["said"])


def test_a_pytorch_without_cuda_beside_a_card_is_a_problem(machine: FakeMachine) -> None:
    machine.torch(None)
    machine.cards(rtx_4090())
    said = check()
    assert said["device"] == "cpu"
    assert "built without CUDA" in said["problems"][0]["what"]


@pytest.mark.parametrize(
    ("cuda", "cards", "name", "said"),
    [
        (
            None,
            0,
            "cuda",
            r"no NVIDIA card or no driver found here .*, and the installed PyTorch .* without CUDA: .*pip",
        ),
        (None, 1, "cuda", r"the installed PyTorch .* is built without CUDA: .*pip install --force-reinstall torch"),
        ("12.8", 0, "cuda", r"no NVIDIA card or no driver found here \(nvidia-smi"),
        ("12.8", 1, "cuda:3", r"1 NVIDIA card found here; use auto, cuda, cpu"),
        (None, 0, "gpu", r"no such device; use auto, cpu"),
    ],
)
def test_it_says_why_a_device_is_not_here(
    cuda: str | None, cards: int, name: str, said: str, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.torch(cuda)
    machine.cards(*[rtx_4090()] * cards)
    done = prepare(tmp_path, {}, name)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert re.match(rf"device {name}: {said}", done.stderr)
