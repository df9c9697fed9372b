"""MLX's artifact against the float64 reference: sizes, initial values, logits, loss, optimizer, training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import numpy_gpt
import pytest
from mlx.utils import tree_map
from safetensors.numpy import load_file

from backends.mlx import attention, train
from backends.reference import spec
from backends.reference.profiles import PROFILES

T, V, DEPTH = 32, 64, 3  # width 256, two heads, windows 16, 16, 32, value embeddings on layers 0 and 2
SPEC = spec.Config(T, V, DEPTH)


@pytest.fixture(scope="module")
def weights() -> numpy_gpt.Parameters:
    return numpy_gpt.random_parameters(SPEC, seed=1)


@pytest.fixture(scope="module")
def model(weights: numpy_gpt.Parameters) -> train.GPT:
    return mlx_model(weights)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(2).integers(V, size=(2, T + 1))


def mlx_model(weights: numpy_gpt.Parameters) -> train.GPT:
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    model.load_weights([(name, mx.array(w.astype(np.float32))) for name, w in weights.items()])
    return model


def mlx_logits(model: train.GPT, tokens: np.ndarray) -> np.ndarray:
    out = train.logits(model, mx.array(tokens))
    assert out.dtype == mx.float32
    return np.array(out)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm of b."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_reference_size() -> None:
    profile = PROFILES["gpu-80gb"]
    config = spec.Config(profile.sequence_length, profile.vocab_size, profile.depth)
    model = train.build(train.Config(profile.sequence_length, profile.vocab_size), "cpu")  # lazy: no memory is taken
    assert model.count_parameters() == spec.parameter_count(config)
    assert model.flops_per_token() == spec.flops_per_token(config)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_checkpoint_names_and_shapes(depth: int) -> None:
    model = train.build(train.Config(T, V, depth), "cpu")
    assert {name: w.shape for name, w in train.weights_of(model).items()} == spec.shapes(spec.Config(T, V, depth))
    assert [model.config.window(i) for i in range(depth)] == list(spec.Config(T, V, depth).windows)


def test_initial_values() -> None:
    config = spec.Config(T, 512, 4)
    model = train.build(train.Config(T, 512, 4), "cpu")
    mx.random.seed(3)
    model.initialise()
    for name, array in train.weights_of(model).items():
        w = np.array(array)
        kind, size = spec.initial(name, config)
        if kind == "constant":
            assert (w == np.float32(size)).all(), name
        else:
            std = size if kind == "normal" else size / 3**0.5
            assert w.std() == pytest.approx(std, rel=0.02), name
            assert abs(w.mean()) < 0.02 * std, name
        if kind == "uniform":
            assert 0.99 * size < np.abs(w).max() <= size, name


def test_seed_decides_the_initial_values() -> None:
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    drawn = []
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        model.initialise()
        drawn.append(np.array(model.embedding.weight))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


# --- forward ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [T, 11])
def test_logits(length: int, model: train.GPT, weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    tokens = rows[:, :length]
    assert apart(mlx_logits(model, tokens), numpy_gpt.logits(weights, SPEC, tokens)) < 1e-5


def test_logits_in_chunks(model, weights, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "CHUNK", 8)
    monkeypatch.setattr(attention.chunked, "__defaults__", (8,))
    assert apart(mlx_logits(model, rows[:, :-1]), numpy_gpt.logits(weights, SPEC, rows[:, :-1])) < 1e-5


REAL_ATTENTION, REAL_ROTARY, REAL_LOGITS = numpy_gpt.attention, numpy_gpt.rotary, numpy_gpt.logits
LEFT_OUT = {
    "rotary": ("rotary", lambda x: x),
    "the sense of the rotary step": ("rotary", lambda x: np.flip(REAL_ROTARY(np.flip(x, axis=3)), axis=3)),
    "windows": ("attention", lambda q, k, v, window: REAL_ATTENTION(q, k, v, q.shape[1])),
    "a window of W keys": ("attention", lambda q, k, v, window: REAL_ATTENTION(q, k, v, window - 1)),
    "the root in the norm": ("rms_norm", lambda x: x / np.abs(x).mean(axis=-1, keepdims=True)),
}
OTHER_WEIGHTS = {
    "value embeddings": lambda w: {name: 0 * x if name.startswith("value_emb") else x for name, x in w.items()},
    "their gates": lambda w: {name: 0 * x if "gate" in name else x for name, x in w.items()},
    "λ": lambda w: {**w, "lambda_resid": np.ones(DEPTH), "lambda_x0": np.zeros(DEPTH)},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_comparison_notices_what_is_left_out(name, model, weights, rows, monkeypatch) -> None:
    tokens = rows[:, :-1]
    monkeypatch.setattr(numpy_gpt, *LEFT_OUT[name])
    assert apart(mlx_logits(model, tokens), numpy_gpt.logits(weights, SPEC, tokens)) > 1e-2


@pytest.mark.parametrize("name", OTHER_WEIGHTS)
def test_comparison_notices_other_weights(name, model, weights, rows) -> None:
    tokens = rows[:, :-1]
    assert apart(mlx_logits(model, tokens), numpy_gpt.logits(OTHER_WEIGHTS[name](weights), SPEC, tokens)) > 1e-2


def test_softcap(weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    tokens = rows[:, :-1]
    loud = {**weights, "unembedding.weight": 30 * weights["unembedding.weight"]}  # raw logits of about ±45
    found = mlx_logits(mlx_model(loud), tokens)
    assert apart(found, numpy_gpt.logits(loud, SPEC, tokens)) < 1e-5
    assert 14 < np.abs(found).max() <= 15


def test_a_prediction_sees_its_prefix_only(model: train.GPT, rows: np.ndarray) -> None:
    tokens = rows[:, :-1].copy()
    before = mlx_logits(model, tokens)[:, :20]
    tokens[:, 20:] = (tokens[:, 20:] + 1) % V
    np.testing.assert_array_equal(mlx_logits(model, tokens)[:, :20], before)


def test_a_bf16_stream_stays_bf16_and_near(weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    """What a GPU computes: bf16 embeddings make the stream; float32 scalars would promote it, and halve the speed."""
    model = train.GPT(train.Config(T, V, DEPTH), mx.bfloat16)
    model.load_weights([(name, mx.array(w.astype(np.float32))) for name, w in weights.items()])
    for table in (model.embedding, model.value_embeddings[0], model.value_embeddings[2]):
        table.weight = table.weight.astype(mx.bfloat16)
    dtypes = []
    block = train.Block.__call__

    def spied(self, x, *rest):
        out = block(self, x, *rest)
        dtypes.append(out.dtype)
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Block, "__call__", spied)
        found = mlx_logits(model, rows[:, :-1])
    assert dtypes == [mx.bfloat16] * DEPTH
    assert apart(found, numpy_gpt.logits(weights, SPEC, rows[:, :-1])) < 5e-2


# --- checkpoint ------------------------------------------------------------------------------------------------------


def test_checkpoint_round_trip(model: train.GPT, rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors.part"  # the harness's name for an unfinished one
    train.save(model, path, {"sequence_length": str(T), "vocab_size": str(V)})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert {name: w.shape for name, w in load_file(path).items()} == spec.shapes(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Config.__init__, "__defaults__", (DEPTH,))
        loaded = train.load(path, "cpu")
    np.testing.assert_array_equal(mlx_logits(loaded, rows[:, :-1]), mlx_logits(model, rows[:, :-1]))


def test_a_checkpoint_with_a_tensor_missing_is_refused(model: train.GPT, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    short = {name: w for name, w in train.weights_of(model).items() if name != "lambda_x0"}
    mx.save_safetensors(str(path), short, {"sequence_length": str(T), "vocab_size": str(V)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Config.__init__, "__defaults__", (DEPTH,))
        with pytest.raises(ValueError, match="lambda_x0"):
            train.load(path, "cpu")


# --- training --------------------------------------------------------------------------------------------------------


def flat_model() -> tuple[train.GPT, train.MuonAdamW]:
    model = train.build(train.Config(T, V, 2), "cpu")
    return model, train.MuonAdamW(model, mx.float32)


def test_accumulated_batches_give_the_gradient_of_the_whole(rows: np.ndarray) -> None:
    ends = []
    for batches in ([mx.array(rows)], [mx.array(rows[:1]), mx.array(rows[1:])]):
        model, optimizer = flat_model()
        drawn = numpy_gpt.random_parameters(spec.Config(T, V, 2), seed=4)
        model.load_weights([(name, mx.array(w.astype(np.float32))) for name, w in drawn.items()])
        told: dict[str, mx.array] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(optimizer, "step", lambda gradients, _, told=told: told.update(gradients))
            loss = train.train_step(model, optimizer)(batches, 0.0)
        ends.append((loss.item(), {name: np.array(g) for name, g in told.items()}))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-6)
    for name, gradient in ends[0][1].items():
        assert apart(ends[1][1][name], gradient) < 1e-5, name


def test_reset_forgets_all_steps(rows: np.ndarray) -> None:
    model, optimizer = flat_model()
    step = train.train_step(model, optimizer)
    ends = []
    for _ in range(2):
        mx.random.seed(8)
        model.initialise()
        optimizer.reset()
        for _ in range(3):
            mx.eval(step([mx.array(rows)], 0.0), model.state, optimizer.state)
        ends.append(train.weights_of(model))
    assert all(np.array_equal(np.array(ends[0][name]), np.array(ends[1][name])) for name in ends[0])


def test_optimizer_state_has_the_dtype_of_what_it_belongs_to() -> None:
    model = train.GPT(train.Config(T, V, 2), mx.bfloat16)
    optimizer = train.MuonAdamW(model, mx.bfloat16)
    gradients = {name: mx.ones_like(w) for name, w in train.weights_of(model).items()}
    optimizer.step(gradients, optimizer.schedule(0.0))
    mx.eval(model.state, optimizer.state)
    tables = {"embedding.weight", "value_embeddings.1.weight"}
    for name, state in tree_map(lambda x: x.dtype, optimizer.state).items():
        assert state == [mx.bfloat16 if name in tables else mx.float32] * 2, name
    for name, w in train.weights_of(model).items():
        assert w.dtype == (mx.bfloat16 if name in tables else mx.float32), name


def test_what_is_compiled_is_told_its_numbers_as_arrays() -> None:
    _, optimizer = flat_model()
    told = [optimizer.schedule(progress) for progress in (0.0, 0.75)]
    assert [round(t["step"].item()) for t in told] == [1, 2]
    assert [t["scale"].item() for t in told] == [1.0, 0.5]
    assert all(isinstance(value, mx.array) for t in told for value in t.values())


OUT_OF_MEMORY = [
    "[metal::malloc] Attempting to allocate 42 bytes which is greater than the maximum allowed buffer size of 9 bytes.",
    "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOut…)",
    "cudaMallocAsync(&data, size, stream) failed: out of memory\nand a hint",
]


@pytest.mark.parametrize("said", [*OUT_OF_MEMORY, "[matmul] Last dimension of first input must match"])
def test_running_out_of_memory_names_the_setting_that_helps(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed(Exception):
        pass

    def failed(reason: str, detail: str) -> None:
        raise Failed(reason, detail)

    def fails(trial: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(train.harness, "connect", lambda: SimpleNamespace(failed=failed))
    monkeypatch.setattr(train, "train", fails)
    if said not in OUT_OF_MEMORY:
        with pytest.raises(RuntimeError, match="must match"):
            train.main()
        return
    with pytest.raises(Failed) as end:
        train.main()
    assert end.value.args == ("oom", f"{said.splitlines()[0]}; halve DEVICE_BATCH_SIZE (128) in train.py")


def test_batch_that_does_not_divide_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "TOTAL_BATCH_SIZE", 1000)
    monkeypatch.setattr(train, "DEVICE_BATCH_SIZE", 16)
    with pytest.raises(SystemExit, match=r"TOTAL_BATCH_SIZE \(1000\) must be a multiple of .* = 512\)"):
        train.accumulation(T)
    monkeypatch.setattr(train, "TOTAL_BATCH_SIZE", 1024)
    assert train.accumulation(T) == 2
