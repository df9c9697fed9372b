"""MLX against PyTorch, number for number, on a CPU in float32: one seeded checkpoint without zeros, the same rows.

Each half loads what the other has written, so the checkpoint goes both ways.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import numpy_gpt
import pytest
from mlx.utils import tree_flatten

torch = pytest.importorskip("torch")

from backends.cuda import serve as cuda_serve  # noqa: E402
from backends.cuda import train as cuda  # noqa: E402
from backends.mlx import serve as mlx_serve  # noqa: E402
from backends.mlx import train as mlx  # noqa: E402
from backends.reference import bpb, spec  # noqa: E402

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
T, V = 32, 64
DEEP, FLAT = 3, 2  # layers: widths 256 and 128, value embeddings on layers 0 and 2, or 1
METADATA = {"sequence_length": str(T), "vocab_size": str(V)}


def both(depth: int, folder: Path, written_by: str = "cuda") -> SimpleNamespace:
    """The two models with the same weights: one writes the checkpoint, the other, and itself again, load it."""
    weights = numpy_gpt.random_parameters(spec.Config(T, V, depth), seed=depth)
    path = folder / "checkpoint.safetensors"
    if written_by == "cuda":
        model = cuda.build(cuda.Config(T, V, depth), "cpu")
        model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        cuda.save(model, path, METADATA)
    else:
        other = mlx.build(mlx.Config(T, V, depth), "cpu")
        other.load_weights([(name, mx.array(w.astype(np.float32))) for name, w in weights.items()])
        mlx.save(other, path, METADATA)
    with pytest.MonkeyPatch.context() as patch:
        for train in (cuda, mlx):
            patch.setattr(train.Config.__init__, "__defaults__", (depth,))
        return SimpleNamespace(cuda=cuda.load(path, "cpu"), mlx=mlx.load(path, "cpu"), weights=weights)


def rows_of(count: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(V, size=(count, T + 1))


def apart(a: Any, b: Any) -> float:
    """Norm of the difference over the norm of b."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def mlx_loss_and_gradients(model: mlx.GPT, rows: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    loss_and_gradients = nn.value_and_grad(model, lambda tokens, targets: model(tokens, targets))
    loss, tree = loss_and_gradients(mx.array(rows[:, :-1]), mx.array(rows[:, 1:]))
    return loss.item(), {name: np.array(g) for name, g in tree_flatten(tree)}


def cuda_loss_and_gradients(model: cuda.GPT, rows: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    tokens = torch.from_numpy(rows)
    loss = model(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
    names, weights = zip(*model.named_parameters(), strict=True)
    return loss.item(), dict(zip(names, map(torch.Tensor.numpy, torch.autograd.grad(loss, weights)), strict=True))


# --- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written_by", ["cuda", "mlx"])
def test_logits_loss_and_every_gradient(written_by: str, tmp_path: Path) -> None:
    models, rows = both(DEEP, tmp_path, written_by), rows_of(4)
    one = cuda.logits(models.cuda, torch.from_numpy(rows[:, :-1])).numpy()
    two = np.array(mlx.logits(models.mlx, mx.array(rows[:, :-1])))
    assert two.dtype == np.float32
    assert np.abs(two - one).max() <= 1e-4
    models.cuda.train()
    loss_one, gradients_one = cuda_loss_and_gradients(models.cuda, rows)
    loss_two, gradients_two = mlx_loss_and_gradients(models.mlx, rows)
    assert loss_two == pytest.approx(loss_one, rel=1e-5)
    assert set(gradients_two) == set(gradients_one) == set(spec.shapes(spec.Config(T, V, DEEP)))
    for name, gradient in gradients_one.items():
        assert np.linalg.norm(gradient) > 0, name
        assert apart(gradients_two[name], gradient) <= 1e-4, name


@pytest.mark.parametrize("written_by", ["cuda", "mlx"])
def test_val_bpb(written_by: str, tmp_path: Path) -> None:
    """As serve answers it, by the evaluator's own sum."""
    models, rows = both(DEEP, tmp_path, written_by), rows_of(8, seed=3)
    sizes = np.random.default_rng(4).integers(0, 5, size=V)[rows[:, 1:]]
    one = cuda_serve.position_nats(cuda, models.cuda, torch.from_numpy(rows), V).numpy()
    two = np.array(mlx_serve.position_nats(mlx, models.mlx, mx.array(rows), V))
    assert two.shape == one.shape == (8, T)
    assert abs(bpb.bits_per_byte(two, sizes) - bpb.bits_per_byte(one, sizes)) <= 1e-4


def test_the_logits_of_a_position(tmp_path: Path) -> None:
    models, rows, positions = both(FLAT, tmp_path), rows_of(5), np.array([0, 3, 31, 7, 20])
    asked = torch.from_numpy(rows[:, :-1]), torch.from_numpy(positions)
    one = cuda_serve.position_logits(cuda, models.cuda, asked[0], V, asked[1]).numpy()
    two = np.array(mlx_serve.position_logits(mlx, models.mlx, mx.array(rows[:, :-1]), V, mx.array(positions)))
    assert np.abs(two - one).max() <= 1e-4


# --- the optimizer ---------------------------------------------------------------------------------------------------


def one_step(
    folder: Path, polar: str, gradients: Any
) -> Iterator[tuple[str, np.ndarray, np.ndarray, Callable[[], np.ndarray]]]:
    """Name, and what a step from the same gradients moves in PyTorch and in MLX; and what tells where that is decided.

    Cautious decay asks for the sign of an update: where that is 0 but for rounding, either answer is right.
    """

    def decided(name: str) -> np.ndarray:
        if not name.startswith("blocks."):
            return np.ones(start[name].shape, bool)
        reference = numpy_gpt.Muon(start[name].astype(np.float64))
        reference.step(given[name].astype(np.float64), 0.04, spec.weight_decay(0.3), spec.muon_momentum(0))
        return reference.decided

    models = both(DEEP, folder)
    given: dict[str, np.ndarray] = gradients(models.cuda.train())
    start = {name: w.detach().numpy().copy() for name, w in models.cuda.named_parameters()}
    one = cuda.MuonAdamW(models.cuda, getattr(torch, polar))
    for name, w in models.cuda.named_parameters():
        w.grad = torch.from_numpy(given[name].copy())
    one.step(0.3)
    two = mlx.MuonAdamW(models.mlx, getattr(mx, polar))
    two.step({name: mx.array(g) for name, g in given.items()}, two.schedule(0.3))
    moved = {name: np.array(w) - start[name] for name, w in mlx.weights_of(models.mlx).items()}
    for name, w in models.cuda.named_parameters():
        yield name, w.detach().numpy() - start[name], moved[name], functools.partial(decided, name)


def real(model: cuda.GPT) -> dict[str, np.ndarray]:
    """Gradients of a loss, some of them of low rank."""
    return cuda_loss_and_gradients(model, rows_of(16))[1]


def full(model: cuda.GPT) -> dict[str, np.ndarray]:
    """Gradients of full rank."""
    shapes = {name: tuple(w.shape) for name, w in model.named_parameters()}
    return {name: (1e-3 * full_rank(*shape)).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("gradients", [real, full])
def test_one_step_of_muon_and_of_adamw(gradients: Any, tmp_path: Path) -> None:
    """Each optimizer's step as a whole, and every tensor of it, but for the few elements of a matrix that rounding
    decides: one of them, decayed here and not there, is up to 2e-3 of a matrix's step."""
    steps: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"Muon": [], "AdamW": []}
    for name, one, two, decide in one_step(tmp_path, "float32", gradients):
        decided = decide()
        steps["Muon" if name.startswith("blocks.") else "AdamW"].append((two.ravel(), one.ravel()))
        assert decided.mean() > 0.9998, name
        assert apart(two[decided], one[decided]) <= 1e-4, name
        flipped = np.abs(two - one) > 1e-3 * np.abs(one).mean()
        assert flipped.sum() <= 3, name
    for name, pairs in steps.items():
        assert apart(*map(np.concatenate, zip(*pairs, strict=True))) <= 1e-3, name


def test_one_step_with_polar_in_bf16(tmp_path: Path) -> None:
    """From gradients of full rank: what bf16 makes of a direction that is not there is anything."""
    for name, one, two, _ in one_step(tmp_path, "bfloat16", full):
        assert apart(two, one) <= (0.1 if name.startswith("blocks.") else 1e-3), name  # AdamW has no polar


@functools.cache
def full_rank(*shape: int) -> np.ndarray:
    """Random; of a matrix, with singular values in [0.5, 1]."""
    rng = np.random.default_rng(sum(shape))
    drawn = rng.normal(size=shape)
    if len(shape) == 1:
        return drawn
    u, _, vt = np.linalg.svd(drawn, full_matrices=False)
    return (u * rng.uniform(0.5, 1.0, min(shape))) @ vt


def test_loss_after_twenty_steps(tmp_path: Path) -> None:
    """Whole steps of two passes each, each framework from its own gradients, under a moving schedule."""
    models = both(FLAT, tmp_path)
    models.cuda.train()
    one = cuda.MuonAdamW(models.cuda, torch.float32)
    two = mlx.MuonAdamW(models.mlx, mx.float32)
    step = mlx.train_step(models.mlx, two)
    losses = []
    for i in range(20):
        batches = rows_of(8, seed=100 + i).reshape(2, 4, T + 1)
        ours = step([mx.array(rows) for rows in batches], i / 20)
        mx.eval(ours, models.mlx.state, two.state)
        theirs = cuda.train_step(models.cuda, one, [torch.from_numpy(rows) for rows in batches], i / 20)
        losses.append((ours.item(), theirs.item()))
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-5)
    assert abs(losses[-1][0] - losses[-1][1]) <= 1e-3
    assert losses[-1][1] < losses[0][1] - 1  # and it has learned: far from where both began
    tokens = rows_of(8, seed=9)
    after_one, after_two = (cuda_loss_and_gradients(models.cuda, tokens), mlx_loss_and_gradients(models.mlx, tokens))
    assert abs(after_one[0] - after_two[0]) <= 1e-3


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_two_artifacts_have_the_same_constants_and_sections() -> None:
    """Side by side: every constant that an agent may turn, and every heading, in the same order."""

    def outline(train: Any) -> list[str]:
        lines = Path(train.__file__).read_text().splitlines()
        return [line for line in lines if line.startswith("# ---") or line.partition(" = ")[0].isupper()]

    one, two = outline(cuda), outline(mlx)
    assert len(one) > 25
    assert one == two


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 0.75, 1.0])
def test_schedules(progress: float) -> None:
    for name in ("learning_rate_scale", "weight_decay"):
        assert getattr(mlx, name)(progress) == pytest.approx(getattr(cuda, name)(progress))
    assert mlx.muon_momentum(round(400 * progress)) == pytest.approx(cuda.muon_momentum(round(400 * progress)))
