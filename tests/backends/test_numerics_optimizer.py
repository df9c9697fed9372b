"""The artifact's optimizer and schedules against the float64 reference."""

from __future__ import annotations

import functools

import numpy as np
import numpy_gpt
import pytest
import torch

from backends.cuda import train
from backends.reference import spec

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
T, V, DEPTH = 32, 64, 2
SPEC = spec.Config(T, V, DEPTH)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm of b."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@functools.cache
def well_conditioned(rows: int, cols: int) -> np.ndarray:
    """A matrix with singular values in [0.5, 1]."""
    rng = np.random.default_rng(rows + cols)
    u, _, vt = np.linalg.svd(rng.normal(size=(rows, cols)), full_matrices=False)
    return (u * rng.uniform(0.5, 1.0, min(rows, cols))) @ vt


SHAPES = [(256, 256), (512, 128), (128, 512), (2, 32)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_polar(shape: tuple[int, int]) -> None:
    g = np.stack([well_conditioned(*shape), well_conditioned(*shape)[::-1]])
    expected = np.stack([numpy_gpt.polar(x) for x in g])
    single = train.polar(torch.from_numpy(g).float(), torch.float32).numpy()
    half = train.polar(torch.from_numpy(g).float(), torch.bfloat16)
    assert apart(single, expected) < 1e-4
    assert half.dtype == torch.bfloat16
    assert apart(half.float().numpy(), expected) < 0.1
    singular = np.linalg.svd(single[0], compute_uv=False)
    assert singular.min() > 0.7
    assert singular.max() < 1.3


def test_every_tensor_after_three_steps() -> None:
    """Three whole optimizer steps under a moving schedule; what each tensor moved by, norm-relative."""
    start = numpy_gpt.random_parameters(SPEC, seed=5)
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    model.load_state_dict({name: torch.from_numpy(w) for name, w in start.items()})
    start = {name: w.detach().double().numpy().copy() for name, w in model.named_parameters()}
    optimizer = train.MuonAdamW(model, polar_dtype=torch.float32)

    expected: dict[str, numpy_gpt.Adam | numpy_gpt.Muon] = {}
    for name, w in start.items():
        rule = numpy_gpt.adam_rule(name, SPEC.dim)
        expected[name] = numpy_gpt.Adam(w, rule[1]) if rule else numpy_gpt.Muon(w)
    rng = np.random.default_rng(6)
    for step, progress in enumerate((0.0, 0.3, 0.8)):
        scale = spec.learning_rate_scale(progress)
        for name, parameter in model.named_parameters():
            rule = numpy_gpt.adam_rule(name, SPEC.dim)
            shape = start[name].shape
            g = (
                rng.normal(size=shape)
                if rule
                else rng.permutation(well_conditioned(*shape)) * rng.choice((-1, 1), shape[1])
            )
            g = (1e-3 * g).astype(np.float32)
            parameter.grad = torch.from_numpy(g)
            reference = expected[name]
            if isinstance(reference, numpy_gpt.Adam):
                reference.step(g.astype(np.float64), rule[0] * scale)
            else:
                decay, momentum = spec.weight_decay(progress), spec.muon_momentum(step)
                reference.step(g.astype(np.float64), 0.04 * scale, decay, momentum)
        optimizer.step(progress)
    for name, parameter in model.named_parameters():
        reference = expected[name]
        moved, expected_move = parameter.detach().double().numpy() - start[name], reference.w - start[name]
        if isinstance(reference, numpy_gpt.Muon):
            assert reference.decided.mean() > 0.999, name
            moved, expected_move = moved[reference.decided], expected_move[reference.decided]
        assert apart(moved, expected_move) < 1e-4, name
        assert parameter.grad is None, name


def test_reset_forgets_all_steps() -> None:
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    optimizer = train.MuonAdamW(model, polar_dtype=torch.float32)
    rows = [torch.from_numpy(np.random.default_rng(7).integers(V, size=(2, T + 1)))]
    ends = []
    for _ in range(2):
        torch.manual_seed(8)
        model.initialise()
        optimizer.reset()
        for _ in range(3):
            train.train_step(model, optimizer, rows, 0.0)
        ends.append([w.detach().clone() for w in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


SCHEDULE = [  # progress, learning rate scale, weight decay
    (0.0, 1.0, 0.2),
    (0.25, 1.0, 0.15),
    (0.5, 1.0, 0.1),
    (0.75, 0.5, 0.05),
    (0.9, 0.2, 0.02),
    (1.0, 0.0, 0.0),
]


@pytest.mark.parametrize(("progress", "scale", "decay"), SCHEDULE)
def test_schedules(progress: float, scale: float, decay: float) -> None:
    assert train.learning_rate_scale(progress) == pytest.approx(scale)
    assert train.weight_decay(progress) == pytest.approx(decay)
    assert spec.learning_rate_scale(progress) == pytest.approx(scale)
    assert spec.weight_decay(progress) == pytest.approx(decay)


@pytest.mark.parametrize(("step", "momentum"), [(0, 0.85), (150, 0.9), (300, 0.95), (4000, 0.95)])
def test_momentum(step: int, momentum: float) -> None:
    assert train.muon_momentum(step) == pytest.approx(momentum)
    assert spec.muon_momentum(step) == pytest.approx(momentum)


def test_warmup_and_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WARMUP_RATIO": 0.2, "WARMDOWN_RATIO": 0.4, "FINAL_LR_FRAC": 0.1}.items():
        monkeypatch.setattr(train, name, value)
    for progress, scale in ((0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.6, 1.0), (0.8, 0.55), (1.0, 0.1)):
        assert train.learning_rate_scale(progress) == pytest.approx(scale)
        assert spec.learning_rate_scale(progress, 0.2, 0.4, 0.1) == pytest.approx(scale)
