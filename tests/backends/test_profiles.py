"""Profiles: what fits which card, what is refused, and what the known cards can do."""

from __future__ import annotations

import re

import pytest

from backends.reference import profiles, spec
from backends.reference.corpus import BadInput
from backends.reference.profiles import PROFILES, Device, Occupant

GPU_PROFILES = [profile for profile in PROFILES.values() if profile.name.startswith("gpu-")]
MAC_PROFILES = [profile for profile in PROFILES.values() if profile.name.startswith("mac-")]

# A slow card of each class: dense bf16 TFLOP/s of RTX 3050, RTX 3060, RTX 4060 Ti, L4, A40, A100.
SLOW_TFLOPS = {"gpu-8gb": 18, "gpu-12gb": 25, "gpu-16gb": 44, "gpu-24gb": 121, "gpu-48gb": 150, "gpu-80gb": 312}


def card(memory_mb: int, used_mb: int = 0, *occupants: Occupant) -> Device:
    return Device("cuda", "NVIDIA Card", memory_mb, "GPU-1", (8, 9), "550.54.14", used_mb, occupants)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_the_sizes_of_a_profile_go_together(profile: profiles.Profile) -> None:
    assert profile.total_batch_size % (profile.device_batch_size * profile.sequence_length) == 0
    assert profile.eval_tokens % (profile.eval_batch_rows * profile.sequence_length) == 0


@pytest.mark.parametrize("profile", GPU_PROFILES, ids=lambda p: p.name)
def test_a_gpu_profile_fits_the_smallest_card_of_its_class(profile: profiles.Profile) -> None:
    assert profiles.projected_memory_mb(profile) < profiles.FITS * profile.least_mb


@pytest.mark.parametrize("profile", MAC_PROFILES, ids=lambda p: p.name)
def test_a_mac_profile_fits_what_metal_may_use(profile: profiles.Profile) -> None:
    """Of a Mac's memory the system recommends about two thirds to the GPU."""
    assert profiles.projected_memory_mb(profile) < 0.66 * profile.least_mb


@pytest.mark.parametrize("profile", [*GPU_PROFILES, *MAC_PROFILES], ids=lambda p: p.name)
def test_scores_of_gpu_profiles_compare(profile: profiles.Profile) -> None:
    reference = PROFILES[profiles.REFERENCE]
    assert (profile.sequence_length, profile.vocab_size) == (reference.sequence_length, reference.vocab_size)
    assert profile.eval_tokens <= reference.eval_tokens


@pytest.mark.parametrize("profile", GPU_PROFILES, ids=lambda p: p.name)
def test_scoring_is_a_small_share_of_five_minutes_on_a_slow_card(profile: profiles.Profile) -> None:
    config = spec.Config(profile.sequence_length, profile.vocab_size, profile.depth)
    flops = profile.eval_tokens * spec.flops_per_token(config) / 3
    assert flops / (0.35 * SLOW_TFLOPS[profile.name] * 1e12) < (15 if profile.name != profiles.REFERENCE else 20)


def test_the_reference_is_the_original() -> None:
    reference = PROFILES[profiles.REFERENCE]
    assert (reference.depth, reference.total_batch_size, reference.device_batch_size) == (8, 2**19, 128)
    assert reference.eval_tokens == 40 * 524_288


@pytest.mark.parametrize(
    ("memory_mb", "name"),
    [
        (5_934, "cpu"),  # a GTX 1660 Ti
        (8_188, "gpu-8gb"),  # an RTX 4060
        (10_240, "gpu-8gb"),  # an RTX 3080
        (11_264, "gpu-8gb"),  # an RTX 2080 Ti
        (12_282, "gpu-12gb"),  # an RTX 4070
        (15_360, "gpu-16gb"),  # a T4
        (16_376, "gpu-16gb"),  # an RTX 4080
        (20_475, "gpu-16gb"),  # an RTX A4500
        (23_034, "gpu-24gb"),  # an L4
        (24_564, "gpu-24gb"),  # an RTX 4090
        (32_607, "gpu-24gb"),  # an RTX 5090
        (40_960, "gpu-24gb"),  # an A100 of 40 GB
        (46_068, "gpu-48gb"),  # an L40S
        (49_140, "gpu-48gb"),  # an RTX A6000
        (81_559, "gpu-80gb"),  # an H100
        (97_887, "gpu-80gb"),  # an RTX PRO 6000
        (143_771, "gpu-80gb"),  # an H200
        (0, "gpu-8gb"),  # one that does not say
    ],
)
def test_auto_takes_the_class_of_the_card(memory_mb: int, name: str) -> None:
    assert profiles.profile_for(card(memory_mb), "auto").name == name


@pytest.mark.parametrize("device", [Device("cpu", "a processor", 500_000), Device("mps", "a chip", 128_000)])
def test_without_an_nvidia_gpu_auto_is_the_demonstration(device: Device) -> None:
    assert profiles.profile_for(device, "auto").name == "cpu"


def test_a_profile_too_large_for_its_card_is_refused_with_the_one_that_fits() -> None:
    with pytest.raises(BadInput, match=r"22,000 MB.*has 12,282; use --profile gpu-12gb") as refusal:
        profiles.profile_for(card(12_282), "gpu-24gb")
    assert "\n" not in str(refusal.value)
    assert profiles.profile_for(card(0), "gpu-24gb").name == "gpu-24gb"  # nobody knows
    assert profiles.profile_for(card(49_140), "gpu-8gb").name == "gpu-8gb"  # smaller is the user's choice


def test_a_full_card_is_refused_and_says_whom_to_end() -> None:
    profile = PROFILES["gpu-24gb"]
    small, large = Occupant(41, "Xorg", 300), Occupant(4711, "python3", 15_000)
    with pytest.raises(BadInput, match=r"15,400 of 24,564 MB.*python3 \(pid 4711, 15,000 MB\).*kill 4711"):
        profiles.require_room(card(24_564, 15_400, large, small), profile)
    profiles.require_room(card(24_564, 1_200, small), profile)
    profiles.require_room(card(0, 0, large), profile)
    with pytest.raises(BadInput, match="does not say by whom"):
        profiles.require_room(card(24_564, 20_000), profile)


@pytest.mark.parametrize(
    ("device", "name", "said"),
    [
        (card(24_564), "gpu-24gb", r"NVIDIA Card \(24,564 MB\): 6 layers, 128 rows a pass; .*tune"),
        (card(81_559), "gpu-80gb", "8 layers, 128 rows a pass, the original's sizes"),
        (card(81_559), "gpu-8gb", "this card has room for gpu-80gb"),
        (card(5_934), "cpu", "GPU profiles begin at 7,000 MB"),
        (card(0), "gpu-8gb", "memory unknown"),
        (card(24_564, 900, Occupant(7, "firefox", 880)), "gpu-24gb", r"will slow it: firefox \(pid 7, 880 MB\)"),
        (Device("cpu", "a processor", 9_000), "cpu", "demonstration size"),
        (Device("cpu", "a processor", 9_000), "gpu-8gb", "made for an NVIDIA GPU"),
    ],
)
def test_a_run_says_which_profile_and_why(device: Device, name: str, said: str) -> None:
    profile = PROFILES[name]
    settings = {"profile": name, "sequence_length": profile.sequence_length, "vocab_size": profile.vocab_size}
    spoken = list(profiles.notes(device, settings))
    assert len(spoken) <= 2
    assert re.search(said, "\n".join(spoken))


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989.5),
        ("NVIDIA GH200 480GB", 989.5),
        ("NVIDIA H20", 148),
        ("NVIDIA B200", 2250),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A800-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40", 181.05),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA A10", 125),
        ("NVIDIA A40", 149.7),
        ("NVIDIA RTX A6000", 154.8),
        ("NVIDIA RTX 6000 Ada Generation", 364.2),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 503.8),
        ("NVIDIA GeForce RTX 5090", 209.5),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4080", 97.5),
        ("NVIDIA GeForce RTX 4080 SUPER", 104.4),
        ("NVIDIA GeForce RTX 4070 Ti", 80.2),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 88.2),
        ("NVIDIA GeForce RTX 3090", 71),
        ("NVIDIA GeForce RTX 3090 Ti", 80),
    ],
)
def test_the_peak_of_a_known_card(name: str, tflops: float) -> None:
    assert profiles.peak_flops(name) == pytest.approx(tflops * 1e12)


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 5090 D",
        "NVIDIA GeForce RTX 3080 Laptop GPU",
        "NVIDIA GeForce RTX 3080",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        "NVIDIA A10G",
        "NVIDIA A100-SXM-64GB",
        "NVIDIA A10-24Q",
        "NVIDIA H200 NVL",
        "NVIDIA B300 SXM6 AC",
        "Tesla T4",
        "Tesla V100-SXM2-16GB",
        "NVIDIA GeForce GTX 1080 Ti",
        "NVIDIA GPU",
        "",
    ],
)
def test_a_card_that_is_not_on_the_list_is_unknown_rather_than_wrong(name: str) -> None:
    assert profiles.peak_flops(name) is None


def mac(memory_mb: int) -> Device:
    return Device("metal", "Apple M2", memory_mb)


@pytest.mark.parametrize(
    ("memory_mb", "name"),
    [(8_192, "mac-8gb"), (16_384, "mac-16gb"), (24_576, "mac-16gb"), (36_864, "mac-32gb"), (524_288, "mac-64gb")],
)
def test_a_mac_gets_the_largest_profile_of_its_class(memory_mb: int, name: str) -> None:
    profile = profiles.profile_for(mac(memory_mb), "auto")
    assert profile.name == name
    said = next(profiles.notes(mac(memory_mb), {"profile": name}))
    assert said.startswith(f"profile {name} for Apple M2 ({memory_mb:,} MB)")
    assert "estimates" in said


def test_a_mac_too_small_for_a_profile_is_told_which_fits() -> None:
    with pytest.raises(BadInput, match=r"profile mac-64gb needs a Mac with 64,000 MB.* use --profile mac-16gb"):
        profiles.profile_for(mac(16_384), "mac-64gb")


def test_a_profile_for_another_kind_of_machine_says_so() -> None:
    assert "made for an NVIDIA GPU" in next(profiles.notes(mac(16_384), {"profile": "gpu-24gb"}))
    assert "made for a Mac with Apple Silicon" in next(
        profiles.notes(Device("cpu", "a processor", 64_000), {"profile": "mac-8gb"})
    )


def test_the_demo_has_sizes_of_its_own() -> None:
    assert profiles.profile_for(mac(16_384), "demo").name == "cpu"
    assert profiles.profile_for(card(24_000), "demo").name == "cpu"
    slow = Device("cpu", "a processor", 64_000, demo="mlx-cpu")
    assert profiles.profile_for(slow, "demo").name == profiles.profile_for(slow, "auto").name == "mlx-cpu"
