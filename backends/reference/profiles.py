"""Which sizes fit which machine: profiles, the device a profile is chosen for, and what the known cards can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backends.reference import spec
from backends.reference.corpus import BadInput

# --- devices ---------------------------------------------------------------------------------------------------------

METAL = "metal"  # Apple Silicon's GPU, by MLX


@dataclass(frozen=True, slots=True)
class Occupant:
    """Another program's process that holds memory of a GPU. `memory_mb` is 0 where the driver does not say."""

    pid: int
    name: str
    memory_mb: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.memory_mb:,} MB)" if self.memory_mb else f"{self.name} ({self.pid})"


@dataclass(frozen=True, slots=True)
class Device:
    """Where a trial computes. `memory_mb` is the machine's for a CPU; 0 where it is not known."""

    name: str
    description: str
    memory_mb: int
    uuid: str = ""  # of a GPU: stays the same whatever the card is called today
    capability: tuple[int, int] = (0, 0)  # of an NVIDIA GPU: compute capability
    driver: str = ""
    used_mb: int = 0  # of memory_mb, when we looked
    occupants: tuple[Occupant, ...] = ()
    notes: tuple[str, ...] = ()  # what its user should know
    demo: str = "cpu"  # the profile with which it shows something within seconds

    @property
    def gpu(self) -> bool:
        """Whether it is an NVIDIA GPU."""
        return self.name.startswith("cuda")

    @property
    def kind(self) -> str:
        """What profiles may be made for; "" for neither."""
        return "an NVIDIA GPU" if self.gpu else "a Mac with Apple Silicon" if self.name == METAL else ""

    @property
    def lock(self) -> str:
        """The name to lock it by: one card has one, under whatever CUDA_VISIBLE_DEVICES."""
        return self.uuid or self.name


# --- profiles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes for one kind of machine. The first block is locked (task settings); the second block is where the
    artifact's constants start, and the agent may change them."""

    name: str
    least_mb: int  # of GPU memory, as nvidia-smi counts it: error correction and the driver take some of the nominal;
    # of a Mac all of its memory, which its GPU shares with everything else
    sequence_length: int  # T
    vocab_size: int  # V, special tokens included
    eval_tokens: int  # validation tokens scored: a multiple of eval_batch_rows * sequence_length
    eval_batch_rows: int

    depth: int
    total_batch_size: int  # tokens a step
    device_batch_size: int  # rows a forward pass

    @property
    def made_for(self) -> str:
        """The kind of device; "" for the sizes of a demonstration."""
        return {"gpu": "an NVIDIA GPU", "mac": "a Mac with Apple Silicon"}.get(self.name.split("-")[0], "")


_EVAL_STEP = 524_288  # tokens; the original scores 40 of them

# How the sizes of the mac profiles were chosen: estimates too, for nobody here has a Mac.
#   depth             4 has been seen to train on an M2 at 62,000 tokens a second, others say; the largest Macs have a
#                     Max or Ultra chip, some times that fast.
#   total_batch_size  so that this makes some hundreds of steps in 5 minutes.
#   device_batch_size by projected_memory_mb, within the part of the memory that Metal recommends to use.
#   eval_tokens       2 × 524,288 take an M2 about 6 seconds at that speed.
#
# How the sizes of the GPU profiles were chosen. All but gpu-80gb, which is the original's, are estimates: nobody has
# measured them, and `autoresearch tune` does.
#   T, V              the original's everywhere, and the first rows of the same validation text: scores compare.
#   depth             5 minutes of a card of this class buy less compute than an H100's, and the best size falls with
#                     the root of it: about a tenth (gpu-24gb) asks for half the FLOPs a token, a fiftieth (gpu-8gb)
#                     for a fifth. A layer more or less is the agent's to try.
#   device_batch_size what `projected_memory_mb` leaves room for, with a tenth of the card to spare. More rows than 64
#                     bring little: 131,072 tokens already fill a small card.
#   total_batch_size  so that a card of the class takes some hundreds of steps in 5 minutes.
#   eval_tokens       scoring a token costs a third of training on it. A slow card of the class at 35 % of its peak
#                     (RTX 3050, 3060, 4060 Ti, L4, A40) shall need at most 15 of 300 s.
#   eval_batch_rows   [B, T, V] logits in fp32 are 0.5 GB at 8 rows, 1.1 at 16, 2.1 at 32; two processes hold some.
PROFILES = {
    p.name: p
    for p in (
        Profile("cpu", 0, 256, 1024, 131_072, 16, 2, 4_096, 8),
        Profile(
            "mlx-cpu", 0, 128, 1024, 16_384, 16, 2, 1_024, 8
        ),  # MLX's CPU build takes tens of times as long as PyTorch
        Profile("gpu-8gb", 7_000, 2048, 8192, 8 * _EVAL_STEP, 8, 4, 2**17, 64),
        Profile("gpu-12gb", 11_500, 2048, 8192, 8 * _EVAL_STEP, 16, 4, 2**17, 64),
        Profile("gpu-16gb", 15_000, 2048, 8192, 8 * _EVAL_STEP, 16, 6, 2**18, 64),
        Profile("gpu-24gb", 22_000, 2048, 8192, 16 * _EVAL_STEP, 32, 6, 2**18, 128),
        Profile("gpu-48gb", 44_000, 2048, 8192, 16 * _EVAL_STEP, 32, 8, 2**18, 128),
        Profile("gpu-80gb", 79_000, 2048, 8192, 40 * _EVAL_STEP, 32, 8, 2**19, 128),
        Profile("mac-8gb", 8_000, 2048, 8192, 2 * _EVAL_STEP, 8, 4, 2**15, 8),
        Profile("mac-16gb", 16_000, 2048, 8192, 2 * _EVAL_STEP, 16, 4, 2**16, 16),
        Profile("mac-32gb", 32_000, 2048, 8192, 4 * _EVAL_STEP, 16, 4, 2**16, 32),
        Profile("mac-64gb", 64_000, 2048, 8192, 8 * _EVAL_STEP, 32, 6, 2**17, 64),
    )
}
REFERENCE = "gpu-80gb"

# The original peaks at 45,060 MB with 262,144 tokens a pass, about 20 GB of them full logits that the chunked loss does
# without: what remains, less weights and optimizer, over 262,144 tokens × 8 layers × 512 channels.
_ACTIVATION_BYTES = 25  # a token, layer and channel
_MLX_ACTIVATION_BYTES = 52  # 26 values of bf16: so many of float32 were counted on MLX's CPU build
_STATE_BYTES = 16  # a parameter: weight, gradient, two moments
_WORKSPACE_MB = 1_000  # a chunk of logits, the optimizer's stacks
CONTEXT_MB = 700  # what CUDA takes for itself, a process
_LOGIT_COPIES = 3.5  # alive at once while a batch is scored
FITS = 0.9  # of a card: the rest goes to the desktop, and to holes between allocations


def projected_memory_mb(profile: Profile) -> float:
    """What a trial with these sizes needs of a GPU, MB: an estimate, not a measurement. The larger of its training
    and its evaluation, in which two processes hold the model and a batch's logits."""
    config = spec.Config(profile.sequence_length, profile.vocab_size, profile.depth)
    tokens = profile.device_batch_size * profile.sequence_length
    each = _MLX_ACTIVATION_BYTES if profile.name.startswith("mac-") else _ACTIVATION_BYTES
    activations = each * tokens * config.depth * config.dim
    training = (activations + _STATE_BYTES * spec.parameter_count(config)) / 2**20 + _WORKSPACE_MB + CONTEXT_MB
    logits = 4 * profile.eval_batch_rows * profile.sequence_length * profile.vocab_size
    evaluation = 2 * (_LOGIT_COPIES * logits / 2**20 + CONTEXT_MB)
    return float(max(training, evaluation))


def profile_for(device: Device, name: str) -> Profile:
    """The profile of this name; "auto": the largest whose class the device belongs to; "demo": the one that shows
    something within seconds. Raises BadInput.

    A card between two sizes takes the lower, a GPU whose memory nobody knows the smallest of the GPU profiles, one
    smaller than all of them, and a device that is neither NVIDIA's nor Apple's, the demo's.
    """
    largest = _largest(device)
    if name in ("auto", "demo"):
        return largest if name == "auto" else PROFILES[device.demo]
    if name not in PROFILES:
        raise BadInput(f"profile {name}: no such profile; use auto, {', '.join(PROFILES)}")
    profile = PROFILES[name]
    if profile.made_for == device.kind and 0 < device.memory_mb < profile.least_mb:
        needs = "a GPU" if device.gpu else "a Mac"
        raise BadInput(
            f"profile {name} needs {needs} with {profile.least_mb:,} MB, {device.description} has "
            f'{device.memory_mb:,}; use --profile {largest.name} (in task.toml: profile = "{largest.name}")'
        )
    return profile


def _largest(device: Device) -> Profile:
    made = [p for p in PROFILES.values() if device.kind and p.made_for == device.kind]
    if made and not device.memory_mb:
        return made[0]
    fitting = [p for p in made if p.least_mb <= device.memory_mb]
    return fitting[-1] if fitting else PROFILES[device.demo]


def require_room(device: Device, profile: Profile) -> None:
    """Raises BadInput if others hold so much of the GPU's memory that the profile cannot fit beside them."""
    if trouble := no_room(device, profile):
        raise BadInput(trouble)


def no_room(device: Device, profile: Profile) -> str | None:
    """Why a trial of this profile cannot fit into the GPU's memory now, and the mend; None if it can."""
    needed = projected_memory_mb(profile)
    free = device.memory_mb - device.used_mb
    if not device.gpu or not device.memory_mb or needed <= free:
        return None
    held = f"{device.used_mb:,} of {device.memory_mb:,} MB of {device.description} are in use"
    by = sorted(device.occupants, key=lambda occupant: occupant.memory_mb)
    mend = f"most by {by[-1]}: end it (kill {by[-1].pid})" if by else "nvidia-smi does not say by whom: end it"
    return f"{held}, profile {profile.name} needs about {needed:,.0f}; {mend}, wait, or take a smaller profile"


def notes(device: Device, settings: Mapping[str, Any]) -> Iterator[str]:
    """What the user should know of the device, and of why these resolved settings were taken for it."""
    profile = PROFILES[settings["profile"]]
    if device.gpu or (profile.made_for and profile.made_for == device.kind):
        yield _choice(device, profile)
    elif not profile.made_for:
        size = f"{settings['sequence_length']} tokens a row, vocabulary of {settings['vocab_size']:,}"
        where = "on a CPU this" if device.name == "cpu" else f"profile {profile.name}"
        yield f"{where} is a demonstration size ({size}): scores compare with each other only"
    else:
        yield f"profile {profile.name} is made for {profile.made_for}: on {device.description} a step may take minutes"
    yield from device.notes
    if device.occupants:
        yield f"other programs are on this GPU and will slow it: {', '.join(map(str, device.occupants))}"


def _choice(device: Device, profile: Profile) -> str:
    memory = f"{device.memory_mb:,} MB" if device.memory_mb else "memory unknown"
    made = f"profile {profile.name} for {device.description} ({memory}): {profile.depth} layers, "
    made += f"{profile.device_batch_size} rows a pass"
    if not profile.made_for:
        return f"{made}; a demonstration size: GPU profiles begin at {PROFILES['gpu-8gb'].least_mb:,} MB"
    larger = _largest(device)
    if larger.least_mb > profile.least_mb:
        return f"{made}; this {'card' if device.gpu else 'Mac'} has room for {larger.name}"
    if profile.name == REFERENCE:
        return f"{made}, the original's sizes"
    return f"{made}; sizes are estimates, autoresearch tune measures"


# --- cards -----------------------------------------------------------------------------------------------------------

# Dense bf16 peak in TFLOP/s with sums in fp32, from the makers' data sheets and architecture papers, where sparse
# figures are halved. GeForce cards run at half speed with such sums, the workstation cards of the same chips do not.
# Left out on purpose: T4 and V100 (no bf16), RTX 3080 (two cards of one name), B300 (published figures disagree).
PEAK_TFLOPS = {
    "GB200": 2500.0,
    "B200": 2250.0,
    "GH200": 989.5,
    "H200": 989.5,
    "H100": 989.5,
    "H100 NVL": 835.0,
    "H100 PCIE": 756.0,
    "H800": 989.5,
    "H800 PCIE": 756.0,
    "H20": 148.0,
    "A100": 312.0,
    "A100 PCIE": 312.0,
    "A800": 312.0,
    "A800 PCIE": 312.0,
    "A40": 149.7,
    "A10": 125.0,
    "L40S": 362.05,
    "L40": 181.05,
    "L4": 121.0,
    "RTX PRO 6000 BLACKWELL WORKSTATION EDITION": 503.8,
    "RTX 6000 ADA": 364.2,
    "RTX A6000": 154.8,
    "RTX 5090": 209.5,
    "RTX 5080": 112.6,
    "RTX 5070 TI": 87.9,
    "RTX 4090": 165.2,
    "RTX 4080 SUPER": 104.4,
    "RTX 4080": 97.5,
    "RTX 4070 TI SUPER": 88.2,
    "RTX 4070 TI": 80.2,
    "RTX 3090 TI": 80.0,
    "RTX 3090": 71.0,
}

# Words of a card's name that do not change its peak: maker, brand, socket, the memory sizes that were sold as such.
_SAME_CARD = re.compile(r"NVIDIA|TESLA|GEFORCE|GENERATION|(40|80|120|144|480)GB?|HBM3\w?|SXM\d?")


def peak_flops(accelerator: str) -> float | None:
    """The card's dense bf16 peak, FLOP/s; None for a CPU, and for every card not on the list by its whole name:
    laptop and Max-Q variants, parts of a card (MIG, vGPU) and the export editions are other cards."""
    words = re.split(r"[\s-]+", accelerator.upper())
    tflops = PEAK_TFLOPS.get(" ".join(word for word in words if not _SAME_CARD.fullmatch(word)))
    return None if tflops is None else tflops * 1e12
