"""The NVIDIA cards of this machine, as nvidia-smi and the driver tell of them. Never imports torch, touches no card.

Untested on a card: what nvidia-smi prints is taken from its documentation and from recorded output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from backends.reference.profiles import Occupant

_LIMIT_SECONDS = 10
_WSL_SMI = Path("/usr/lib/wsl/lib/nvidia-smi")
_CARD = ("uuid", "name", "memory.total", "memory.used", "driver_version", "compute_cap", "mig.mode.current")
_OLD_CARD = _CARD[:5]  # what drivers before 2021 can be asked; of a longer list they answer nothing at all
_PROCESS = ("gpu_uuid", "pid", "used_memory", "process_name")

# The oldest driver each CUDA runs on (NVIDIA's release notes, Linux): within a major version newer ones are compatible.
_OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
# PyTorch's own builds since 2.11: those for CUDA 12.8 and later have no code for anything before Turing, 12.6 has.
_TURING, _CUDA_WITHOUT_VOLTA = (7, 5), (12, 8)


@dataclass(frozen=True, slots=True)
class Card:
    """One card, or what CUDA_VISIBLE_DEVICES names and nvidia-smi does not know (a part of a card)."""

    name: str
    uuid: str = ""
    memory_mb: int = 0  # 0: not known, as for the rest
    used_mb: int = 0
    driver: str = ""
    capability: tuple[int, int] = (0, 0)
    occupants: tuple[Occupant, ...] = ()


def cards() -> list[Card]:
    """Those that this process may use, in the order of CUDA_VISIBLE_DEVICES."""
    return _visible(_from_smi() or _from_proc(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def order_is_certain(found: list[Card]) -> bool:
    """Whether CUDA counts these cards as nvidia-smi does: by default it puts the fastest first."""
    return len({card.name for card in found}) < 2 or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"


def driver_trouble(driver: str, cuda: str | None) -> str | None:
    """What is wrong with this driver for a PyTorch built for this CUDA ("12.8"), with the mend; None if nothing is."""
    oldest = _OLDEST_DRIVER.get(_numbers(cuda)[0]) if cuda else None
    if not driver or not oldest or _numbers(driver) >= _numbers(oldest) or _has_compatibility_libraries():
        return None
    return (
        f"the NVIDIA driver {driver} is too old for this PyTorch: CUDA {cuda} needs {oldest} or later; "
        "update the driver, or install a PyTorch built for an older CUDA"
    )


def capability_trouble(card: Card, cuda: str | None) -> str | None:
    """That the installed PyTorch has no code for a card this old, with the mend; None if it has."""
    if not cuda or _numbers(cuda) < _CUDA_WITHOUT_VOLTA or card.capability == (0, 0) or card.capability >= _TURING:
        return None
    had = ".".join(map(str, card.capability))
    return (
        f"{card.name} has compute capability {had}, PyTorch for CUDA {cuda} needs 7.5; "
        "install the PyTorch built for CUDA 12.6, or use --device cpu"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _has_compatibility_libraries() -> bool:
    """With NVIDIA's cuda-compat package a data centre card runs newer CUDA on an older driver."""
    return any(Path("/usr/local").glob("cuda*/compat/libcuda.so*"))


def _visible(found: list[Card], variable: str | None) -> list[Card]:
    """CUDA's rule: indices and UUIDs (or the beginning of one) choose and order; the first bad entry ends the list."""
    if variable is None:
        return found
    chosen = []
    for entry in (part.strip() for part in variable.split(",")):
        if entry.isdigit() and int(entry) < len(found):
            chosen.append(found[int(entry)])
        elif card := next((c for c in found if entry.startswith("GPU-") and c.uuid.startswith(entry)), None):
            chosen.append(card)
        elif entry.startswith(("MIG-", "GPU-")):
            chosen.append(Card(entry, uuid=entry))
        else:
            break
    return chosen


def _from_smi() -> list[Card]:
    program = shutil.which("nvidia-smi") or (str(_WSL_SMI) if _WSL_SMI.exists() else None)
    if program is None:
        return []
    # Both at once: without the persistence daemon each call wakes the driver, which takes seconds.
    asked = [
        _start(program, f"--query-gpu={','.join(_CARD)}"),
        _start(program, f"--query-compute-apps={','.join(_PROCESS)}"),
    ]
    listed, running = (_lines(process) for process in asked)
    if not listed:
        listed = _lines(_start(program, f"--query-gpu={','.join(_OLD_CARD)}"))
    occupants = _occupants(running)
    return [replace(card, occupants=tuple(occupants[card.uuid])) for card in map(_card, listed) if card]


def _card(line: str) -> Card | None:
    """`GPU-…, NVIDIA GeForce RTX 4090, 24564, 512, 550.54.14, 8.9, [N/A]`; numbers may be `[N/A]`.

    Of a card that is cut into parts (MIG), CUDA gets one part, whose memory is not told here.
    """
    fields = [field.strip() for field in line.split(",")]
    if len(fields) < len(_OLD_CARD) or not fields[0].startswith("GPU-"):
        return None
    uuid, name, total, used, driver = fields[:5]
    capability = re.fullmatch(r"(\d+)\.(\d+)", fields[5]) if len(fields) > 5 else None
    power = (int(capability[1]), int(capability[2])) if capability else (0, 0)
    if fields[6:] == ["Enabled"]:
        return Card(f"{name} (a part: MIG)", uuid, driver=driver, capability=power)
    return Card(name, uuid, _megabytes(total), _megabytes(used), driver, power)


def _occupants(lines: list[str]) -> defaultdict[str, list[Occupant]]:
    """The processes that compute on each card, by its UUID: `GPU-…, 4711, 20318, /usr/bin/python`."""
    found: defaultdict[str, list[Occupant]] = defaultdict(list)
    for line in lines:
        fields = [field.strip() for field in line.split(",", len(_PROCESS) - 1)]
        if len(fields) == len(_PROCESS) and fields[1].isdigit():
            pid = int(fields[1])
            found[fields[0]].append(Occupant(pid, _process_name(pid, fields[3]), _megabytes(fields[2])))
    return found


def _process_name(pid: int, told: str) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:  # gone, or of another container: then nvidia-smi may not know its name either
        return Path(told).name if told and not told.startswith("[") else "a process that is not seen from here"


def _megabytes(field: str) -> int:
    return int(field) if field.isdigit() else 0


def _start(program: str, query: str) -> subprocess.Popen[str] | None:
    argv = [program, query, "--format=csv,noheader,nounits"]
    try:
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None


def _lines(process: subprocess.Popen[str] | None) -> list[str]:
    """What it printed; nothing if it failed or took too long."""
    if process is None:
        return []
    try:
        said, _ = process.communicate(timeout=_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return []
    return said.splitlines() if process.returncode == 0 else []


def _from_proc() -> list[Card]:
    """Without nvidia-smi, as in slim containers: names and UUIDs from the driver's files."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return []
    texts = [file.read_text() for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    found = [Card(_field(text, "Model") or "NVIDIA GPU", uuid=_field(text, "GPU UUID")) for text in texts]
    return found or [Card("NVIDIA GPU")]


def _field(text: str, name: str) -> str:
    match = re.search(rf"^{name}:\s*(.+?)\s*$", text, re.MULTILINE)
    return match[1] if match else ""
