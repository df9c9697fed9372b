"""Which devices PyTorch can train on here, found without importing it, for that costs seconds.

cuda and cuda:N (NVIDIA), mps (Apple Silicon; untested), cpu; the first of the list is what "auto" means.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from backends.reference import prepare
from backends.reference.corpus import BadInput
from backends.reference.profiles import Device

_LIMIT_SECONDS = 10
_WSL_SMI = Path("/usr/lib/wsl/lib/nvidia-smi")


def devices() -> list[Device]:
    """Every device that is there and that the installed PyTorch was built for, the best first."""
    found = [device for device, _ in _nvidia()] if _torch_has_cuda() else []
    memory_mb = psutil.virtual_memory().total >> 20
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append(Device("mps", _processor(), memory_mb))
    return [*found, Device("cpu", f"{_processor()}, {_cores()} cores", memory_mb)]


def find(name: str) -> Device:
    """The device of this name; "auto": the best there is. Raises BadInput with the mend."""
    if not _torch_folder():
        raise BadInput("PyTorch is not installed; type: pip install 'autoresearch-tui[torch]'")
    found = devices()
    name = {"cuda:0": "cuda"}.get(name, name)
    for device in found:
        if name in ("auto", device.name):
            return device
    there = ", ".join(device.name for device in found)
    if name == "cuda" and not _torch_has_cuda() and _nvidia():
        raise BadInput(f"device cuda: the installed PyTorch is built without CUDA; reinstall it, or use {there}")
    raise BadInput(f"device {name}: not here; use auto, {there}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _torch_folder() -> Path | None:
    spec = importlib.util.find_spec("torch")
    return Path(spec.origin).parent if spec and spec.origin else None


def _torch_has_cuda() -> bool:
    folder = _torch_folder()
    return bool(folder) and (folder / "lib" / "libtorch_cuda.so").exists()


def _nvidia() -> list[tuple[Device, tuple[int, int]]]:
    """NVIDIA devices that this process may use, with their compute capability; (0, 0) where that is not known."""
    if not (any(Path("/dev").glob("nvidia[0-9]*")) or _WSL_SMI.exists()):
        return []
    cards = _from_smi() or _from_proc()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # Indices choose and order; what is named otherwise (a UUID, a part of a card) is taken to be there.
        names = [name.strip() for name in visible.split(",") if name.strip() and name.strip() != "-1"]
        cards = [cards[int(n)] if n.isdigit() and int(n) < len(cards) else (n, 0, (0, 0)) for n in names]
    labels = ("cuda", *(f"cuda:{i}" for i in range(1, len(cards))))
    return [(Device(label, name, mb), power) for label, (name, mb, power) in zip(labels, cards, strict=False)]


def _from_smi() -> list[tuple[str, int, tuple[int, int]]]:
    program = shutil.which("nvidia-smi") or (str(_WSL_SMI) if _WSL_SMI.exists() else None)
    query = "--query-gpu=name,memory.total,compute_cap"
    lines = _output([program, query, "--format=csv,noheader,nounits"]) if program else ""
    found = re.findall(r"^(.+), *(\d+), *(\d+)\.(\d+)$", lines, re.MULTILINE)
    return [(name, int(mb), (int(major), int(minor))) for name, mb, major, minor in found]


def _from_proc() -> list[tuple[str, int, tuple[int, int]]]:
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [re.search(r"^Model:\s*(.+)$", file.read_text(), re.MULTILINE) for file in files]
    names = [model[1] for model in models if model] or ["NVIDIA GPU"]
    return [(name, 0, (0, 0)) for name in names]


def _processor() -> str:
    if sys.platform == "darwin":
        return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]).strip() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: *(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return model[1].strip() if model else platform.machine()


def _output(argv: list[str]) -> str:
    """What a program prints; nothing if it fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


# --- the check verb --------------------------------------------------------------------------------------------------


def check(fast: bool) -> dict[str, Any]:
    """What works here, JSON values only. `fast`: PyTorch is looked up; else it is imported and tried on each device.

    problems: {"what", "mend"} each. data: the rows that are prepared already.
    """
    problems = (
        []
        if _torch_folder()
        else [{"what": "PyTorch is not installed", "mend": "pip install 'autoresearch-tui[torch]'"}]
    )
    found = devices() if not problems else []
    if found and not _torch_has_cuda() and _nvidia():
        problems.append(
            {"what": "there is an NVIDIA GPU, but PyTorch is built without CUDA", "mend": "reinstall torch"}
        )
    if not fast:
        problems += [trouble for device in found if (trouble := _trouble(device.name))]
    capability = {device.name: power for device, power in _nvidia()}
    return {
        "backend": "cuda",
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch") if found else None,
        "tried": not fast,
        "devices": [asdict(device) for device in found],
        "device": found[0].name if found else None,
        "attention": {d.name: "varlen" if capability.get(d.name, (0, 0)) >= (8, 0) else "sdpa" for d in found},
        "data": [
            {key: record[key] for key in ("fingerprint", "settings", "train_row_count", "validation_row_count")}
            for record in prepare.records()
        ],
        "problems": problems,
    }


def text(found: dict[str, Any]) -> str:
    """What `check` found, for people."""
    lines = [f"python {found['python']}, torch {found['torch'] or 'missing'}"]
    for device in found["devices"]:
        attention = found["attention"][device["name"]]
        lines.append(f"{device['name']}: {device['description']}, {device['memory_mb']:,} MB, attention {attention}")
    lines.append(f"data: {len(found['data'])} sets of rows prepared")
    return "\n".join(lines + [f"! {problem['what']}; mend: {problem['mend']}" for problem in found["problems"]])


def _trouble(name: str) -> dict[str, str] | None:
    import torch  # seconds: only the full check pays for it

    try:
        x = torch.ones(64, 64, device=name)
        works = (x @ x).sum().item() == 64.0**3
    except (RuntimeError, AssertionError) as error:  # torch raises the second where it was built without the device
        return {"what": f"{name}: {str(error).splitlines()[0]}", "mend": "check the driver, or use --device cpu"}
    return None if works else {"what": f"{name}: computes wrong results", "mend": "use --device cpu"}
