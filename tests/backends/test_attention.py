"""Every way of computing attention against one dense statement of it, forward and backward, where it can run."""

from __future__ import annotations

import importlib.metadata
import math
from itertools import product

import pytest
import torch
from torch import Tensor

from backends.cuda import paths
from backends.cuda.attention import attention_name, choose_attention

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
CAPABILITY = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
PRECISION = {"cpu": (torch.float32, 2e-6), "cuda": (torch.bfloat16, 2e-2)}  # and how far off that may be
# B, T, H, D: T of one block, of several, and of no whole number of blocks
SHAPES = [(2, 128, 2, 32), (1, 200, 3, 64), (2, 256, 1, 128)]
WINDOWS = [0, 1, 37, 127, 128, 199, 254, 255, 256, 2048]


def dense(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """The statement, in float64."""
    q, k, v = (t.double() for t in (q, k, v))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    query, key = torch.arange(q.shape[1], device=q.device)[:, None], torch.arange(q.shape[1], device=q.device)[None]
    hidden = (key > query) | (query - key > window)
    return torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(hidden, -math.inf).softmax(-1), v)


def places() -> list[object]:
    """(device, way) wherever this machine has both; what it has not is skipped with the reason."""
    out: list[object] = [pytest.param("cpu", "sdpa"), pytest.param("cpu", "flex")]
    for path in paths.attention_paths(CAPABILITY):
        why = "" if CAPABILITY else "no CUDA device here"
        skip = pytest.mark.skipif(not (CAPABILITY and path.usable), reason=why or path.why)
        out.append(pytest.param("cuda", path.name, marks=skip))
    return out


def inputs(shape: tuple[int, ...], device: str, name: str) -> list[Tensor]:
    """q, k, v in the precision of the device. FlexAttention has no backward pass on a CPU."""
    torch.manual_seed(sum(shape))
    teach = (device, name) != ("cpu", "flex")
    return [torch.randn(shape, device=device).to(PRECISION[device][0]).requires_grad_(teach) for _ in range(3)]


def apart(a: Tensor, b: Tensor) -> float:
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm().clamp_min(1e-9))


@pytest.mark.parametrize(("device", "name"), places())
@pytest.mark.parametrize(("shape", "window"), list(product(SHAPES, WINDOWS)), ids=str)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_equals_the_dense_statement(device: str, name: str, shape: tuple[int, ...], window: int) -> None:
    allowed = PRECISION[device][1]
    qkv = inputs(shape, device, name)
    gradient = torch.randn(shape, device=device)
    out, expected = choose_attention(device, name)(*qkv, window), dense(*qkv, window)
    assert out.shape == shape
    assert apart(out, expected) < allowed
    if not qkv[0].requires_grad:
        return
    found = torch.autograd.grad(out, qkv, gradient.to(out.dtype))
    for f, e in zip(found, torch.autograd.grad(expected, qkv, gradient.double()), strict=True):
        if e.norm() > 1e-6:  # a query that sees one key has no gradient
            assert apart(f, e) < allowed


@pytest.mark.parametrize(("device", "name"), places())
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_test_notices_a_window_one_too_wide(device: str, name: str) -> None:
    qkv = inputs(SHAPES[0], device, name)
    assert apart(choose_attention(device, name)(*qkv, 37), dense(*qkv, 38)) > 3e-2


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("device", "name"), places())
def test_compiled_within_a_model(device: str, name: str) -> None:
    """Traced whole by torch.compile (flex: beside it), as a block of the model does it."""
    qkv = inputs((1, 200, 2, 64), device, name)
    attend = choose_attention(device, name)

    def block(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(2 * q, k, v, 37) + q

    out = torch.compile(block, dynamic=False, fullgraph=name != "flex")(*qkv)
    assert apart(out, block(*qkv)) < PRECISION[device][1]
    if not qkv[0].requires_grad:
        return
    gradients = torch.autograd.grad(out.float().square().sum(), qkv)
    assert all(torch.isfinite(g).all() for g in gradients)


def test_a_window_mask_first_made_for_evaluation_serves_training() -> None:
    qkv = inputs((1, 48, 1, 8), "cpu", "sdpa")
    attend = choose_attention("cpu", "sdpa")
    with torch.inference_mode():
        attend(*qkv, 5)
    attend(*qkv, 5).sum().backward()
    assert qkv[0].grad is not None


# --- the choice ------------------------------------------------------------------------------------------------------


def test_a_cpu_gets_sdpa() -> None:
    assert attention_name("cpu") == "sdpa"


def test_unknown_name_is_explained() -> None:
    with pytest.raises(ValueError, match="attention 'fa5': no such way; use auto, fa4, varlen, flex, sdpa"):
        choose_attention("cpu", "fa5")


def have_fa4(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(name: str) -> str:
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(("found", "said"), [(None, "not installed"), ("4.0.0b3", "version 4.0.0b3 is installed")])
def test_why_a_hopper_card_has_no_fa4(found: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    have_fa4(monkeypatch, found)
    fa4 = paths.attention_paths((9, 0))[0]
    assert not fa4.usable
    assert fa4.why.startswith(said)
    assert fa4.why.endswith("[fa4]'")


@pytest.mark.parametrize(
    ("capability", "installed", "best"),
    [
        (None, True, "sdpa"),
        ((0, 0), True, "sdpa"),
        ((7, 5), True, "sdpa"),
        ((8, 0), True, "varlen"),
        ((8, 9), True, "varlen"),
        ((9, 0), False, "varlen"),
        ((9, 0), True, "fa4"),
        ((10, 3), True, "fa4"),
        ((12, 0), True, "varlen"),
    ],
    ids=str,
)
def test_the_best_way_of_each_card(capability, installed, best, monkeypatch: pytest.MonkeyPatch) -> None:
    have_fa4(monkeypatch, paths.FA4_VERSION if installed else None)
    ways = paths.attention_paths(capability)
    assert [way.name for way in ways] == ["fa4", "varlen", "flex", "sdpa"]
    assert next(way.name for way in ways if way.usable) == best
    assert all(way.why and way.tested_on for way in ways)
