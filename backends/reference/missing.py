"""What is said of a device that was asked for and is not here: why, and what is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from backends.reference.profiles import Device

NO_CARD = "no NVIDIA card or no driver found here (nvidia-smi lists what a driver sees)"
NOT_A_MAC = "only a Mac with Apple Silicon has it"
_FAMILY = re.compile(r"(cuda)(?::\d+)?|(metal)|(mps)|(cpu)")


def missing(name: str, here: Sequence[Device], why: Mapping[str, Callable[[], str]]) -> str:
    """The refusal, a line. `why`: by family ("cuda", "metal", "mps"), why there is none of it."""
    found = _FAMILY.fullmatch(name)
    reason = why.get(found[0].partition(":")[0]) if found else None
    said = reason() if reason else "not here" if found else "no such device"
    return f"device {name}: {said}; use auto, {', '.join(device.name for device in here)}"
