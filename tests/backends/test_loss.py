"""The chunked loss against the plain statement of it: value, gradients, compiled, and what it holds in memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backends.cuda import loss

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
N, DIM, V, CAP = 70, 24, 50, 15.0
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


def plain(x: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
    logits = F.linear(x, weight)
    logits = logits.float() if logits.dtype == torch.bfloat16 else logits  # [N, V]
    return F.cross_entropy(softcap * torch.tanh(logits / softcap), targets)


def drawn(device: str, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    x, weight = torch.randn(N, DIM, dtype=dtype), scale * torch.randn(V, DIM, dtype=dtype)
    targets = torch.randint(V, (N,))
    return x.to(device).requires_grad_(), weight.to(device).requires_grad_(), targets.to(device)


def apart(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def results(function, inputs: tuple[Tensor, Tensor, Tensor], softcap: float = CAP) -> list[Tensor]:
    value = function(*inputs, softcap)
    return [value.detach(), *torch.autograd.grad(3.0 * value, inputs[:2])]


@pytest.fixture(params=[1, 7, 64, N, 1000])
def chunk_rows(request, monkeypatch: pytest.MonkeyPatch) -> int:
    set_chunk_rows(monkeypatch, request.param)
    return request.param


def set_chunk_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    for name in ("CHUNK_BYTES", "CPU_CHUNK_BYTES"):
        monkeypatch.setattr(loss, name, 4 * V * rows)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [0.2, 20.0], ids=["quiet", "at the cap"])
def test_equals_the_plain_statement(chunk_rows: int, device: str, scale: float) -> None:
    inputs = drawn(device, scale=scale)
    exact = results(plain, tuple(t.detach().double().requires_grad_() if t.is_floating_point() else t for t in inputs))
    found, usual = results(loss.softcapped_cross_entropy, inputs), results(plain, inputs)
    for f, u, e in zip(found, usual, exact, strict=True):
        assert apart(f, u) < 1e-6
        assert apart(f, e) < 1e-6


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("softcap", [1.0, 300.0])
def test_other_caps(device: str, softcap: float) -> None:
    inputs = drawn(device, scale=20.0)
    for f, u in zip(
        results(loss.softcapped_cross_entropy, inputs, softcap), results(plain, inputs, softcap), strict=True
    ):
        assert torch.isfinite(f).all()
        assert apart(f, u) < 1e-5


@pytest.mark.parametrize("device", DEVICES)
def test_bf16_is_as_close_to_the_truth_as_the_plain_one(chunk_rows: int, device: str) -> None:
    inputs = drawn(device, torch.bfloat16)
    exact = results(plain, tuple(t.detach().double().requires_grad_() if t.is_floating_point() else t for t in inputs))
    found, usual = results(loss.softcapped_cross_entropy, inputs), results(plain, inputs)
    for f, u, e in zip(found, usual, exact, strict=True):
        assert f.dtype == u.dtype
        assert apart(f, e) < 1.5 * apart(u, e) + 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_gives_gradients_in_the_weights_own_dtype(device: str) -> None:
    inputs = drawn(device)
    with torch.autocast(device, torch.bfloat16):
        found, usual = results(loss.softcapped_cross_entropy, inputs), results(plain, inputs)
    for f, u in zip(found, usual, strict=True):
        assert f.dtype == torch.float32
        assert apart(f, u) < 1e-2


def test_without_gradients(chunk_rows: int) -> None:
    x, weight, targets = drawn("cpu")
    with torch.no_grad():
        assert apart(loss.softcapped_cross_entropy(x, weight, targets, CAP), plain(x, weight, targets, CAP)) < 1e-6
    only = loss.softcapped_cross_entropy(x.detach(), weight, targets, CAP)
    (dw,) = torch.autograd.grad(only, [weight])
    assert apart(dw, torch.autograd.grad(plain(x, weight, targets, CAP), [weight])[0]) < 1e-6


def test_no_tensor_is_as_large_as_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 7)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            for t in out if isinstance(out, tuple | list) else (out,):
                largest = max(largest, t.numel() if isinstance(t, Tensor) else 0)
            return out

    inputs = drawn("cpu")
    with Watch():
        results(loss.softcapped_cross_entropy, inputs)
    assert largest == max(N * DIM, V * DIM)


def test_compiled_with_the_model_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 40)

    def whole(x: Tensor, weight: Tensor, targets: Tensor, softcap: float) -> Tensor:
        return loss.softcapped_cross_entropy(F.rms_norm(x, (DIM,)), weight, targets, softcap)

    inputs = drawn("cpu")
    compiled = torch.compile(whole, dynamic=False, fullgraph=True)
    for f, u in zip(results(compiled, inputs), results(whole, inputs), strict=True):
        assert apart(f, u) < 1e-6
