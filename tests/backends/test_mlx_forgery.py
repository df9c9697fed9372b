"""What cheats get when MLX serves them, and what honest models do not."""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from cheats import scoring
from cheats.mlx_edits import NAMES, cheat

import backends.mlx
from backends.mlx import serve, train
from backends.reference import bpb

TINY = Path(scoring.TINY).with_name("tiny_mlx.py").read_text()
SERVE = [sys.executable, "-P", "-m", "backends.mlx", "serve"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scoring.prepare(tmp_path_factory.mktemp("prepared"))


def score(folder: Path, prepared: dict[str, Any], source: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return scoring.score(folder, prepared, source, serve=SERVE)


def test_both_frameworks_serve_the_same_score(prepared: dict[str, Any], tmp_path: Path) -> None:
    """One checkpoint, the same few lines in either, and the evaluator's own numbers."""
    ours = score(tmp_path / "mlx", prepared, TINY)
    (tmp_path / "torch").mkdir()
    theirs = scoring.score(tmp_path / "torch", prepared, scoring.TINY.read_text())
    assert ours["value"] == pytest.approx(theirs["value"], abs=1e-4)
    assert ours["findings"]["audit_largest_nats"] < 1e-4


@pytest.mark.parametrize(
    "name",
    [
        "looks ahead",
        "looks ahead in a quarter of its rows",
        "lies by 0.02",
        "shaves its worst positions",
        "learns from what it is asked",
        "leaves notes for its other self",
    ],
)
def test_a_cheat_is_rejected(prepared: dict[str, Any], tmp_path: Path, name: str) -> None:
    source = cheat(name, TINY, nats_a_token=0.003 * math.log(2))  # one byte a token here
    answer = score(tmp_path, prepared, source)
    assert list(answer) == ["rejected"]
    assert not (tmp_path / "store" / "nats.npy").exists()


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [("answers in another shape", "serve failed", "not [B, T, V] = [32, 64, 260]"), ("answers NaN", "nan", "finite")],
)
def test_what_cannot_be_scored_is_a_crash(
    prepared: dict[str, Any], tmp_path: Path, name: str, reason: str, detail: str
) -> None:
    answer = score(tmp_path, prepared, cheat(name, TINY))
    assert answer["crash"] == reason
    assert detail in answer["detail"]


def test_every_cheat_is_also_an_edit_of_the_reference_artifact() -> None:
    source = Path(backends.mlx.__file__).with_name("train.py").read_text()
    for name in NAMES:
        edited = cheat(name, source)
        ast.parse(edited)
        assert len(edited) > len(source)
        assert edited.rstrip().endswith("main()")


def test_honest_evaluations_raise_no_alarm() -> None:
    """The reference model in small, with weights of ordinary size that are other ones each time."""
    rows = scoring.text_rows()
    validation, training = rows[-32:], rows[:-32]
    counted = validation[:, 1:] < scoring.BOS
    reference = bpb.bigram_nats(training, validation, scoring.VOCAB_SIZE)
    largest = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mx.random.seed(seed)
        model = train.build(train.Config(scoring.LENGTH, scoring.VOCAB_SIZE, depth=2), "cpu")
        model.initialise()
        model.unembedding.weight = 100 * model.unembedding.weight
        batches = [slice(i, i + 8) for i in range(0, 32, 8)]
        nats = np.concatenate([np.array(serve.position_nats(train, model, array(validation[b]), 260)) for b in batches])
        draws = bpb.draw(nats, reference, counted, 32, rng)
        inputs = bpb.covered(validation, draws, training[rng.integers(0, len(training), len(draws.rows))])
        asked = [slice(i, i + 8) for i in range(0, len(inputs), 8)]
        logits = [serve.position_logits(train, model, array(inputs[b]), 260, array(draws.positions[b])) for b in asked]
        answered = bpb.nats_of(np.concatenate([np.array(x) for x in logits]), targets(validation, draws))
        claimed = nats[draws.rows, draws.positions]
        found = bpb.compare(claimed, answered, draws.weights, bpb.tolerance("cpu"), half_margin=3e-4)
        largest = max(largest, found.largest)
    assert largest < 1e-4


def array(numbers: np.ndarray) -> mx.array:
    return mx.array(numbers.astype(np.int32))


def targets(rows: np.ndarray, draws: bpb.Draws) -> np.ndarray:
    return rows[draws.rows, draws.positions + 1]
