"""Which sizes fit which machine: profiles, the device a profile is chosen for, and what the known cards can do."""

from __future__ import annotations

from dataclasses import dataclass

from backends.reference.corpus import BadInput

MEMORY_OF_GPU_PROFILE_MB = 48_000  # the reference size needs 45,060 MB


@dataclass(frozen=True, slots=True)
class Device:
    """Where a trial computes. `memory_mb` is the machine's for a CPU; 0 where it is not known."""

    name: str
    description: str
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes for one kind of machine. The first block is locked (task settings); the second block is where the
    artifact's constants start, and the agent may change them."""

    name: str
    sequence_length: int  # T
    vocab_size: int  # special tokens included
    eval_tokens: int  # validation tokens scored: a multiple of eval_batch_rows * sequence_length
    eval_batch_rows: int

    depth: int
    total_batch_size: int  # tokens a step
    device_batch_size: int  # rows a forward pass


PROFILES = {
    p.name: p
    for p in (
        Profile("cpu", 256, 1024, 131_072, 16, 2, 4_096, 8),
        Profile("gpu-80gb", 2048, 8192, 40 * 524_288, 128, 8, 2**19, 128),
    )
}


def profile_for(device: Device, name: str) -> Profile:
    """The profile of this name; "auto": the reference size where it fits. Raises BadInput."""
    if name == "auto":
        fits = device.name.startswith("cuda") and not 0 < device.memory_mb < MEMORY_OF_GPU_PROFILE_MB
        name = "gpu-80gb" if fits else "cpu"
    if name not in PROFILES:
        raise BadInput(f"profile {name}: no such profile; use auto, {' or '.join(PROFILES)}")
    return PROFILES[name]


# --- cards -----------------------------------------------------------------------------------------------------------

# Dense bf16 peak, FLOP/s, from the makers' data sheets; the first name found in the device's name counts.
PEAK_FLOPS = (
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989.5e12),
    ("H200", 989.5e12),
    ("B200", 2250e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("RTX 4090", 165.2e12),
    ("RTX 3090", 71e12),
)


def peak_flops(accelerator: str) -> float | None:
    """The card's dense bf16 peak; None for a card (or a CPU) that is not on the list."""
    return next((peak for name, peak in PEAK_FLOPS if name in accelerator), None)
