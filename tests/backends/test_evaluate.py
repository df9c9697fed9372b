"""The `evaluate` verb end to end: real processes, a real torch model, real text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from cheats import scoring
from cheats.edits import cheat
from safetensors.numpy import load_file, save_file

from backends.reference import evaluate
from backends.reference.checkpoint import BadCheckpoint, check_checkpoint
from core import sandbox

TINY = scoring.TINY.read_text()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scoring.prepare(tmp_path_factory.mktemp("prepared"))


def numpy_nats(prepared: dict[str, Any]) -> np.ndarray:
    """tiny.py's nats of the validation rows, in float64 numpy: [N, T]."""
    weights = {name: w.astype(np.float64) for name, w in load_file(prepared["checkpoint"]).items()}
    rows = np.load(prepared["validation_rows"]).astype(np.int64)
    inputs, targets = rows[:, :-1], rows[:, 1:]
    seen = weights["embedding"][inputs].cumsum(1) / np.arange(1, inputs.shape[1] + 1)[:, None]
    logits = weights["bigrams"][inputs] + seen @ weights["unembedding"]
    top = logits.max(-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
    return log_sum - np.take_along_axis(logits, targets[..., None], -1)[..., 0]


def test_an_honest_model_gets_its_number_and_a_later_one_is_audited_beside_it(
    prepared: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    answer = scoring.score(tmp_path / "first", prepared, cheat("prints a great deal", TINY))
    nats = numpy_nats(prepared)
    targets = np.load(prepared["validation_rows"])[:, 1:]
    counted = targets < 256
    assert answer["value"] == pytest.approx(nats[counted].sum() / np.log(2) / counted.sum(), rel=1e-6)
    upstream = np.load(prepared["token_bytes_upstream"])[targets].sum()
    assert answer["findings"]["val_bpb_upstream"] == pytest.approx(nats[counted].sum() / np.log(2) / upstream, rel=1e-6)
    assert answer["findings"]["audited_positions"] == 2 * scoring.ROWS
    assert answer["findings"]["audit_largest_nats"] < 1e-4
    assert set(answer["findings"]["eval_seconds"]) == {"load", "try", "pass", "audit"}

    store = tmp_path / "first" / "store"
    np.testing.assert_allclose(np.load(store / "nats.npy"), nats, atol=0.01)
    again = scoring.score(tmp_path / "second", prepared, TINY, incumbent_store=str(store))
    assert again["value"] == answer["value"]


def test_it_waits_for_go_and_ends_with_its_serves_when_the_engine_is_gone(
    prepared: dict[str, Any], tmp_path: Path
) -> None:
    trial = scoring.trial_of(tmp_path, prepared, TINY)
    with scoring.evaluation(tmp_path, trial) as (process, control):
        control.close()
        assert process.wait(scoring.LIMIT_SECONDS) == 0
    assert not Path(trial["answer"]).exists()
    started = [str(tmp_path / "empty" / f"serve-{number}.json") for number in (1, 2)]
    assert all(Path(name).exists() for name in started)
    assert not [p for p in psutil.process_iter() if trial_variable(p) in started]


def trial_variable(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(sandbox.VARIABLE)
    except psutil.Error:
        return None


def test_the_trusted_side_loads_neither_torch_nor_an_artifact() -> None:
    program = "import sys, backends.reference.evaluate; print(sorted({'torch', 'mlx', 'train'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-P", "-c", program], text=True).strip() == "[]"


def test_errors_on_training_rows_are_told(prepared: dict[str, Any], tmp_path: Path) -> None:
    answer = scoring.score(tmp_path, prepared, cheat("raises at once", TINY))
    assert answer["crash"] == "serve failed"
    assert answer["detail"].endswith("RuntimeError: the window is wider than the row\n")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (
            (128, 1024),
            "score it in a run with its sizes, those of profile mlx-cpu: autoresearch init DIR --profile mlx-cpu",
        ),
        (
            (33, 77),
            "rows of 33 tokens and a vocabulary of 77, this run has rows of 64 and 260; score it in a run with its",
        ),
        ((scoring.LENGTH, scoring.VOCAB_SIZE), "RuntimeError: the window is wider than the row"),  # it has the run's
    ],
)
def test_a_checkpoint_of_other_sizes_is_told_as_such(
    sizes: tuple[int, int], said: str, prepared: dict[str, Any], tmp_path: Path
) -> None:
    named = {"sequence_length": str(sizes[0]), "vocab_size": str(sizes[1])}
    save_file(load_file(prepared["checkpoint"]), tmp_path / "other", named)
    changed = {**prepared, "checkpoint": str(tmp_path / "other")}
    answer = scoring.score(tmp_path, changed, cheat("raises at once", TINY))
    assert said in answer["detail"].strip().splitlines()[-1]


def test_a_wrong_shape_is_told(prepared: dict[str, Any], tmp_path: Path) -> None:
    answer = scoring.score(tmp_path, prepared, cheat("answers in another shape", TINY))
    assert answer["crash"] == "serve failed"
    assert f"[{scoring.BATCH_ROWS}, {scoring.VOCAB_SIZE}]" in answer["detail"]


@pytest.mark.parametrize("name", ["says what it saw", "exits"])
def test_words_said_on_validation_rows_go_no_further(prepared: dict[str, Any], tmp_path: Path, name: str) -> None:
    assert scoring.score(tmp_path, prepared, cheat(name, TINY)) == {"crash": "serve failed", "detail": ""}


def test_nan_is_a_crash_of_that_name(prepared: dict[str, Any], tmp_path: Path) -> None:
    assert scoring.score(tmp_path, prepared, cheat("answers NaN", TINY))["crash"] == "nan"


def test_a_model_that_hangs_is_not_waited_for_longer_than_the_budget(prepared: dict[str, Any], tmp_path: Path) -> None:
    answer = scoring.score(tmp_path, prepared, cheat("hangs", TINY), budget={"timeout_seconds": 5.0})
    assert answer == {"crash": "serve failed", "detail": "no answer in time"}


# --- the checkpoint --------------------------------------------------------------------------------------------------


def test_finite_tensors_of_every_kind_are_a_checkpoint(tmp_path: Path) -> None:
    tensors = {
        "a": np.ones((3, 2), np.float32),
        "b": np.arange(3),
        "c": np.zeros((0, 4), np.float16),
        "d": np.array(True),
    }
    save_file(tensors, tmp_path / "ok", metadata={"depth": "2"})
    check_checkpoint(tmp_path / "ok")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_bad_number_spoils_a_checkpoint(tmp_path: Path, dtype: type, number: float) -> None:
    tensor = np.zeros(1000, dtype)
    tensor[777] = number
    save_file({"good": np.ones(5, dtype), "bad": tensor}, tmp_path / "file")
    with pytest.raises(BadCheckpoint, match="tensor bad holds NaN or infinity"):
        check_checkpoint(tmp_path / "file")


def test_bf16_is_read_by_its_bits(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    save_torch({"a": torch.full((9,), 3e38, dtype=torch.bfloat16)}, tmp_path / "good")
    check_checkpoint(tmp_path / "good")
    save_torch({"a": torch.tensor([1.0, float("nan")], dtype=torch.bfloat16)}, tmp_path / "bad")
    with pytest.raises(BadCheckpoint):
        check_checkpoint(tmp_path / "bad")


def framed(head: object, body: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a pickle in a zip",
        (2**63).to_bytes(8, "little") + b"{}",
        framed(b"[" * 100_000),
        framed({}),
        framed([1]),
        framed({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 7),
        framed({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}}, b"\0" * 8),
        framed({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8),
        framed({"a": {"dtype": "O8", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
        framed({"a": 7}),
    ],
)
def test_what_is_no_safetensors_file_is_a_bad_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(evaluate.Crashed, match="bad checkpoint"):
        evaluate.look_at(tmp_path / "file")


def test_a_file_of_another_kind_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("rubbish, and nothing else")
    with pytest.raises(BadCheckpoint, match=r"^not a safetensors file"):
        check_checkpoint(tmp_path / "file")


def test_only_a_regular_file_is_a_checkpoint(tmp_path: Path) -> None:
    save_file({"a": np.ones(3)}, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "folder", "fifo"):
        with pytest.raises(evaluate.Crashed, match="bad checkpoint"):
            evaluate.look_at(tmp_path / name)
    with pytest.raises(evaluate.Crashed, match="no checkpoint"):
        evaluate.look_at(tmp_path / "nothing")
