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

from backends.cuda import nvidia
from backends.cuda.paths import attention_paths
from backends.reference import prepare
from backends.reference.corpus import BadInput
from backends.reference.missing import NO_CARD, NOT_A_MAC, missing
from backends.reference.profiles import METAL, Device, notes, peak_flops, profile_for
from core import installing
from core.backend_choice import apple_silicon

_LIMIT_SECONDS = 10
_NATIVE_BF16 = (8, 0)  # compute capability
_TORCH_WITH_CUDA = "on Linux with a card, pip install --force-reinstall torch brings the other build"


def devices() -> list[Device]:
    """Every device that is there and that the installed PyTorch was built for, the best first."""
    return [*(_gpus(nvidia.cards()) if _torch_has_cuda() else []), *_others()]


def find(name: str) -> Device:
    """The device of this name; "auto": the best there is. Raises BadInput with the mend."""
    if not _torch_folder():
        raise BadInput(f"PyTorch is not installed; type: {installing.for_backend('cuda')}")
    found = devices()
    name = {"cuda:0": "cuda"}.get(name, name)
    for device in found:
        if name in ("auto", device.name):
            if device.gpu and (trouble := nvidia.driver_trouble(device.driver, torch_cuda())):
                raise BadInput(f"{device.description}: {trouble}, or use --device cpu")
            return device
    raise BadInput(missing(name, found, {"cuda": _no_card, "mps": lambda: NOT_A_MAC, METAL: _no_metal}))


def _no_metal() -> str:
    return f"{METAL} is the mlx backend's: add --backend mlx" if apple_silicon() else NOT_A_MAC


def _no_card() -> str:
    """Why there is none of the cards that were asked for, and the mend."""
    cards = len(nvidia.cards())
    if _torch_has_cuda():
        return f"{cards} NVIDIA card{'' if cards == 1 else 's'} found here" if cards else NO_CARD
    build = f"the installed PyTorch ({_version()}) is built without CUDA: {_TORCH_WITH_CUDA}"
    return build if cards else f"{NO_CARD}, and {build}"


def torch_cuda() -> str | None:
    """The CUDA that the installed PyTorch was built for ("12.8"), read from its sources; None without."""
    folder = _torch_folder()
    file = folder / "version.py" if folder else None
    text = file.read_text(encoding="utf-8") if file and file.is_file() else ""
    match = re.search(r"^cuda\b[^=\n]*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def _gpus(cards: list[nvidia.Card]) -> list[Device]:
    labels = ("cuda", *(f"cuda:{i}" for i in range(1, len(cards))))
    doubt = (
        ""
        if nvidia.order_is_certain(cards)
        else "the cards differ: CUDA_DEVICE_ORDER=PCI_BUS_ID numbers them as nvidia-smi does"
    )
    return [_gpu(label, card, doubt) for label, card in zip(labels, cards, strict=False)]


def _gpu(label: str, card: nvidia.Card, doubt: str) -> Device:
    attention = next(path.name for path in attention_paths(card.capability) if path.usable)
    said = (f"attention {attention}", nvidia.capability_trouble(card, torch_cuda()), _slow_bf16(card), doubt)
    return Device(
        label, card.name, card.memory_mb, card.uuid, card.capability, card.driver, card.used_mb, card.occupants,
        tuple(note for note in said if note),
    )  # fmt: skip


def _slow_bf16(card: nvidia.Card) -> str | None:
    if card.capability == (0, 0) or card.capability >= _NATIVE_BF16:
        return None
    return f"{card.name} has no bf16 units: bf16 is computed by other means, slowly"


def _others() -> list[Device]:
    memory_mb = psutil.virtual_memory().total >> 20
    found = [Device("cpu", f"{_processor()}, {_cores()} cores", memory_mb)]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.insert(0, Device("mps", _processor(), memory_mb))
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _torch_folder() -> Path | None:
    spec = importlib.util.find_spec("torch")
    return Path(spec.origin).parent if spec and spec.origin else None


def _version() -> str:
    return importlib.metadata.version("torch")


def _torch_has_cuda() -> bool:
    folder = _torch_folder()
    return folder is not None and (folder / "lib" / "libtorch_cuda.so").exists()


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
    """What works here, JSON values only. `fast`: PyTorch is looked up; else it is imported and tried on each GPU.

    problems: {"what", "mend"} each. data: the rows that are prepared already.
    """
    cards = nvidia.cards()
    has_torch = _torch_folder() is not None
    found = [*(_gpus(cards) if _torch_has_cuda() else []), *_others()] if has_torch else []
    problems = (
        _problems(found, cards) if has_torch else [_problem("PyTorch is not installed", installing.for_backend("cuda"))]
    )
    if not fast:
        problems += [trouble for device in found if device.name != "cpu" and (trouble := _trouble(device.name))]
    return {
        "backend": "cuda",
        "python": platform.python_version(),
        "torch": _version() if found else None,
        "torch_cuda": torch_cuda(),
        "tried": not fast,
        "devices": [_described(device) for device in found],
        "device": found[0].name if found else None,
        "attention": {device.name: _attention(device)["name"] for device in found},
        "compile": _compile(),
        "data": [
            {key: record[key] for key in ("fingerprint", "settings", "train_row_count", "validation_row_count")}
            for record in prepare.records()
        ],
        "problems": problems,
    }


def _problem(what: str, mend: str) -> dict[str, str]:
    return {"what": what, "mend": mend}


def _problems(found: list[Device], cards: list[nvidia.Card]) -> list[dict[str, str]]:
    if cards and not _torch_has_cuda():
        return [_problem(f"there is an NVIDIA GPU, but PyTorch ({_version()}) is built without CUDA", _TORCH_WITH_CUDA)]
    said = [nvidia.driver_trouble(card.driver, torch_cuda()) for card in cards[:1]]
    said += [nvidia.capability_trouble(card, torch_cuda()) for card in cards]
    return [_problem(*text.split("; ", 1)) for text in said if text]


def _described(device: Device) -> dict[str, Any]:
    """A device, what it is locked by, what "auto" takes for it and why, and what it computes with."""
    profile = profile_for(device, "auto")
    settings = {"profile": profile.name, **{k: getattr(profile, k) for k in ("sequence_length", "vocab_size")}}
    peak = peak_flops(device.description) if device.gpu else None
    return {
        **asdict(device),
        "lock": device.lock,
        "profile": profile.name,
        "said": list(notes(device, settings)),
        "attention": _attention(device),
        "bf16": device.gpu and device.capability >= _NATIVE_BF16,
        "peak_tflops": None if peak is None else peak / 1e12,
    }


def _attention(device: Device) -> dict[str, Any]:
    """The way of attention that "auto" takes there."""
    path = next(p for p in attention_paths(device.capability if device.gpu else None) if p.usable)
    return {"name": path.name, "tested_on": path.tested_on}


def _compile() -> dict[str, Any]:
    """What torch.compile needs for a GPU: Triton, with a C compiler for its launchers, and g++ for sums on the host."""
    triton = importlib.util.find_spec("triton") is not None
    c = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
    compiler = f"{c}, g++" if c and shutil.which("g++") else None
    return {"triton": importlib.metadata.version("triton") if triton else None, "compiler": compiler}


def text(found: dict[str, Any]) -> str:
    """What `check` found, for people."""
    lines = [f"python {found['python']}, torch {found['torch'] or 'missing'}"]
    for device in found["devices"]:
        lines.append(
            f"{device['name']}: {device['description']}, {device['memory_mb']:,} MB, profile {device['profile']}, "
            f"attention {device['attention']['name']}"
        )
        lines += [f"  {said}" for said in device["said"]]
    lines.append(f"data: {len(found['data'])} sets of rows prepared")
    return "\n".join(lines + [f"! {problem['what']}; mend: {problem['mend']}" for problem in found["problems"]])


def _trouble(name: str) -> dict[str, str] | None:
    """What goes wrong when a GPU is used; importing PyTorch takes seconds, so only the full check does it."""
    try:
        import torch
    except (ImportError, OSError) as error:  # the second: a library of CUDA's that is not there
        return _problem(f"PyTorch cannot be imported: {str(error).splitlines()[0]}", "install it again")
    try:
        x = torch.ones(64, 64, device=name)
        works = (x @ x).sum().item() == 64.0**3
    except (RuntimeError, AssertionError) as error:  # torch raises the second where it was built without the device
        return _problem(f"{name}: {str(error).splitlines()[0]}", "check the driver, or use --device cpu")
    return None if works else _problem(f"{name}: computes wrong results", "use --device cpu")
