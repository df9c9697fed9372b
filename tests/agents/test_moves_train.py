"""Every structural move of both reference artifacts trains a few steps on the CPU, and its checkpoint answers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import backends
from core.agents.moves import moved, sites

mx = pytest.importorskip("mlx.core")
T, V, STEPS = 16, 32, 4
SIZES = {"DEPTH": 2, "ASPECT_RATIO": 32, "HEAD_DIM": 32, "TOTAL_BATCH_SIZE": 8 * T, "DEVICE_BATCH_SIZE": 4}
SOURCES = {
    name: (Path(backends.__file__).parent / name / "train.py").read_text(encoding="utf-8") for name in ("cuda", "mlx")
}
ROWS = ((np.random.default_rng(0).integers(V, size=(8, 1)) + 5 * np.arange(T + 1)) % V).astype(np.int64)  # learnable
torch.set_num_threads(1)


def moves(backend: str) -> list[dict[str, str]]:
    """Each move alone, and the last form of each all together."""
    found = sites(SOURCES[backend])
    alone = [{key: form} for key, site in found.items() for form in site.options]
    return [*alone, {key: list(site.options)[-1] for key, site in found.items()}]


def loaded(backend: str, forms: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The moved artifact as a module, at a size of moments."""
    source = moved(SOURCES[backend], forms)
    for name, value in SIZES.items():
        source, found = re.subn(rf"^{name} = [^#\n]*", f"{name} = {value}  ", source, flags=re.MULTILINE)
        assert found == 1, name
    module = ModuleType(f"moved_{backend}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    exec(compile(source, "train.py", "exec"), module.__dict__)
    return module


def words(forms: dict[str, str]) -> str:
    return next(f"{key}: {form}" for key, form in forms.items()) if len(forms) == 1 else "all at once"


@pytest.mark.parametrize("forms", moves("cuda"), ids=words)
def test_on_pytorch(forms: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train = loaded("cuda", forms, monkeypatch)
    model, optimizer = train.prepared(train.Config(T, V), "cpu", False)
    torch.manual_seed(1)
    model.initialise()
    batches = list(torch.from_numpy(ROWS).split(4))
    losses = [train.train_step(model, optimizer, batches, i / STEPS).item() for i in range(STEPS)]
    assert losses[0] == pytest.approx(np.log(V), abs=0.1)
    assert losses[-1] < losses[0] - 0.05
    train.save(model, tmp_path / "checkpoint", {"sequence_length": str(T), "vocab_size": str(V)})
    answered = train.logits(train.load(tmp_path / "checkpoint", "cpu"), torch.from_numpy(ROWS[:, :-1]))
    torch.testing.assert_close(answered, train.logits(model, torch.from_numpy(ROWS[:, :-1])))


@pytest.mark.parametrize("forms", moves("mlx"), ids=words)
def test_on_mlx(forms: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    train = loaded("mlx", forms, monkeypatch)
    model, optimizer, step = train.prepared(train.Config(T, V), "cpu", False)
    mx.random.seed(1)
    model.initialise()
    batches = [mx.array(ROWS[:4]), mx.array(ROWS[4:])]
    losses = []
    for i in range(STEPS):
        loss = step(batches, i / STEPS)
        mx.eval(loss, model.state, optimizer.state)
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(V), abs=0.1)
    assert losses[-1] < losses[0] - 0.05
    train.save(model, tmp_path / "checkpoint", {"sequence_length": str(T), "vocab_size": str(V)})
    again = train.load(tmp_path / "checkpoint", "cpu")
    answered, before = (np.array(train.logits(m, mx.array(ROWS[:, :-1]))) for m in (again, model))
    np.testing.assert_allclose(answered, before, atol=1e-5)
