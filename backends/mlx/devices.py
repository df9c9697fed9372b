"""Which devices MLX can train on here; asking MLX takes a hundredth of a second.

metal (Apple Silicon; untested), cuda (an NVIDIA GPU, with MLX's CUDA build; untested), cpu; the first of the list is
what "auto" means.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from backends.mlx.paths import attention_name
from backends.reference import prepare
from backends.reference.corpus import BadInput
from backends.reference.missing import NO_CARD, NOT_A_MAC, missing
from backends.reference.profiles import METAL, Device, notes, peak_flops, profile_for
from core import installing

_LIMIT_SECONDS = 10
_PACKAGES = ("mlx", "mlx-metal", "mlx-cuda-12", "mlx-cuda-13", "mlx-cuda", "mlx-cpu")
_APPLE = sys.platform == "darwin" and platform.machine() == "arm64"


def trouble() -> str | None:
    """Why MLX cannot be used here, and the mend behind a semicolon; None: it can."""
    if sys.platform == "darwin" and not _APPLE:
        return "MLX has no build for Macs with Intel processors; use another machine"
    if importlib.util.find_spec("mlx") is None:
        return f"MLX is not installed; type: {installing.for_backend('mlx')}"
    try:
        importlib.import_module("mlx.core")
    except (ImportError, OSError) as error:  # the package without one of its builds, or a library of CUDA's missing
        return f"MLX cannot be imported ({str(error).splitlines()[0]}); type: {installing.for_backend('mlx')}"
    return None


def devices() -> list[Device]:
    """Every device of the installed MLX, the best first. Only where there is no `trouble`."""
    import mlx.core as mx

    memory_mb = psutil.virtual_memory().total >> 20
    said = ("MLX on a CPU is for correctness, not for research: it takes tens of times as long as PyTorch",)
    cpu = Device("cpu", f"{_processor()}, {_cores()} cores", memory_mb, notes=said, demo="mlx-cpu")
    if not mx.is_available(mx.gpu):
        return [cpu]
    if mx.metal.is_available():
        return [Device(METAL, _processor(), memory_mb), cpu]
    return [_nvidia(mx.device_info(mx.gpu)), cpu]


def _nvidia(said: dict[str, str | int]) -> Device:
    """The card that MLX takes for its GPU, from what MLX says of it."""
    capability = int(said.get("compute_capability_major", 0)), int(said.get("compute_capability_minor", 0))
    total, free = int(said.get("total_memory", 0)), int(said.get("free_memory", 0))
    used_mb = max(total - free, 0) >> 20 if free else 0
    name, uuid = str(said["device_name"]), str(said.get("uuid", ""))
    return Device("cuda", name, total >> 20, uuid, capability, used_mb=used_mb)


def find(name: str) -> Device:
    """The device of this name; "auto": the best there is. Raises BadInput with the mend."""
    if said := trouble():
        raise BadInput(said)
    found = devices()
    for device in found:
        if name in ("auto", device.name):
            return device
    why = {"cuda": _no_card, METAL: _no_metal, "mps": lambda: f"mps is PyTorch's name of it: use {METAL}"}
    raise BadInput(missing(name, found, why))


def _no_card() -> str:
    """Why there is none of the cards that were asked for, and the mend."""
    import mlx.core as mx

    if mx.is_available(mx.gpu):
        return "MLX computes on another GPU here" if mx.metal.is_available() else "the mlx backend uses the first card"
    build = f"the installed MLX ({_build()}) is built without CUDA: {installing.command('mlx-cuda')} brings the other"
    return build if Path("/proc/driver/nvidia").exists() else f"{NO_CARD}, and {build}"


def _no_metal() -> str:
    return "this Mac shows MLX no GPU (a virtual machine has none)" if _APPLE else NOT_A_MAC


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _processor() -> str:
    if sys.platform == "darwin":
        argv = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
        return done.stdout.strip()
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: *(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return model[1].strip() if model else platform.machine()


# --- the check verb --------------------------------------------------------------------------------------------------


def check(fast: bool) -> dict[str, Any]:
    """What works here, JSON values only. `fast`: the GPU is looked up and not tried.

    problems: {"what", "mend"} each. data: the rows that are prepared already.
    """
    said = trouble()
    found = [] if said else devices()
    problems = [_problem(said)] if said else []
    if not fast:
        problems += [_problem(told) for device in found if (told := _wrong(device.name))]
    return {
        "backend": "mlx",
        "python": platform.python_version(),
        "mlx": _version("mlx"),
        "build": _build(),
        "tried": not fast,
        "devices": [_described(device) for device in found],
        "device": found[0].name if found else None,
        "data": [
            {key: record[key] for key in ("fingerprint", "settings", "train_row_count", "validation_row_count")}
            for record in prepare.records()
        ],
        "problems": problems,
    }


def _problem(said: str) -> dict[str, str]:
    what, _, mend = said.partition("; ")
    return {"what": what, "mend": mend.removeprefix("type: ")}


def _build() -> str | None:
    return next((name for name in _PACKAGES[1:] if _version(name)), None)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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
        "attention": {"name": attention_name(profile.sequence_length), "tested_on": "a CPU"},
        "bf16": device.name != "cpu",
        "peak_tflops": None if peak is None else peak / 1e12,
    }


def text(found: dict[str, Any]) -> str:
    """What `check` found, for people."""
    build = f" ({found['build']})" if found["build"] else ""
    lines = [f"python {found['python']}, mlx {found['mlx'] or 'missing'}{build}"]
    for device in found["devices"]:
        lines.append(
            f"{device['name']}: {device['description']}, {device['memory_mb']:,} MB, profile {device['profile']}, "
            f"attention {device['attention']['name']}"
        )
        lines += [f"  {said}" for said in device["said"]]
    lines.append(f"data: {len(found['data'])} sets of rows prepared")
    return "\n".join(lines + [f"! {problem['what']}; mend: {problem['mend']}" for problem in found["problems"]])


def _wrong(name: str) -> str | None:
    """What goes wrong when a device is used."""
    import mlx.core as mx

    try:
        with mx.stream(mx.cpu if name == "cpu" else mx.gpu):
            x = mx.ones((64, 64))
            works = (x @ x).sum().item() == 64.0**3
    except RuntimeError as error:
        return f"{name}: {str(error).splitlines()[0]}; check the driver, or use --device cpu"
    return None if works else f"{name}: computes wrong results; use --device cpu"
