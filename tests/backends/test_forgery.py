"""What cheats get, and what honest models do not."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cheats import scoring
from cheats.edits import NAMES, cheat

import backends.cuda
from backends.reference import bpb

TINY = scoring.TINY.read_text()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scoring.prepare(tmp_path_factory.mktemp("prepared"))


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
    answer = scoring.score(tmp_path, prepared, source)
    assert list(answer) == ["rejected"]
    assert not (tmp_path / "store" / "nats.npy").exists()


def test_every_cheat_is_also_an_edit_of_the_reference_artifact() -> None:
    source = Path(backends.cuda.__file__).with_name("train.py").read_text()
    for name in NAMES:
        edited = cheat(name, source)
        ast.parse(edited)
        assert len(edited) > len(source)
        assert edited.rstrip().endswith("main()")


@pytest.fixture
def torch() -> Iterator[Any]:
    """torch, on one thread: two of them wait for each other on a busy machine."""
    module = pytest.importorskip("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)


def test_fifty_honest_evaluations_raise_no_alarm(torch: Any) -> None:
    """A small transformer whose weights are other ones each time, audited by other draws each time."""
    from backends.cuda import serve

    rows = scoring.text_rows()
    validation, training = rows[-64:], rows[:-64]
    counted = validation[:, 1:] < scoring.BOS
    reference = bpb.bigram_nats(training, validation, scoring.VOCAB_SIZE)
    largest = 0.0
    for seed in range(50):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        model = Transformer(torch)
        with torch.inference_mode():
            batches = [torch.from_numpy(validation[i : i + 8].astype(np.int64)) for i in range(0, 64, 8)]
            nats = np.concatenate([serve.position_nats(Transformer, model, b, 260).numpy() for b in batches])
            draws = bpb.draw(nats, reference, counted, 64, rng)
            inputs = bpb.covered(validation, draws, training[rng.integers(0, len(training), 64)])
            asked = [slice(i, i + 8) for i in range(0, 64, 8)]
            tensors = [[torch.from_numpy(a[s].astype(np.int64)) for a in (inputs, draws.positions)] for s in asked]
            logits = np.concatenate([serve.position_logits(Transformer, model, x, 260, p).numpy() for x, p in tensors])
        answered = bpb.nats_of(logits, validation[draws.rows, draws.positions + 1])
        claimed = nats[draws.rows, draws.positions]
        found = bpb.compare(claimed, answered, draws.weights, bpb.tolerance("cpu"), half_margin=3e-4)
        largest = max(largest, found.largest)
    assert largest < 1e-4


class Transformer:
    """One causal block with random weights of ordinary size, and `logits` as an artifact has it."""

    def __init__(self, torch: Any, width: int = 64) -> None:
        def weights(*shape: int) -> Any:
            return torch.randn(shape) / shape[-1] ** 0.5

        self.embedding, self.place = weights(260, width) * 8, weights(scoring.LENGTH, width) * 8
        self.attend, self.out, self.head = weights(3 * width, width), weights(width, width), weights(260, width) * 3

    @staticmethod
    def logits(model: Transformer, tokens: Any) -> Any:
        from torch.nn import functional

        x = model.embedding[tokens] + model.place  # [B, T, width]
        q, k, v = functional.linear(functional.rms_norm(x, x.shape[-1:]), model.attend).chunk(3, dim=-1)
        x = x + functional.linear(functional.scaled_dot_product_attention(q, k, v, is_causal=True), model.out)
        return functional.linear(functional.rms_norm(x, x.shape[-1:]), model.head)
