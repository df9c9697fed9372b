"""The artifact's model against the float64 reference: sizes, initial values, logits, loss, gradients."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy_gpt
import pytest
import torch
from safetensors.numpy import load_file
from torch._subclasses.fake_tensor import FakeTensorMode

from backends.cuda import train
from backends.cuda.attention import attention_name, choose_attention
from backends.reference import spec
from backends.reference.profiles import PROFILES

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
T, V, DEPTH = 32, 64, 3  # width 256, two heads, windows 16, 16, 32, value embeddings on layers 0 and 2
SPEC = spec.Config(T, V, DEPTH)


@pytest.fixture(scope="module")
def weights() -> numpy_gpt.Parameters:
    return numpy_gpt.random_parameters(SPEC, seed=1)


@pytest.fixture(scope="module")
def model(weights: numpy_gpt.Parameters) -> train.GPT:
    return torch_model(weights)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(2).integers(V, size=(2, T + 1))


def torch_model(weights: numpy_gpt.Parameters) -> train.GPT:
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    return model


def torch_logits(model: train.GPT, tokens: np.ndarray) -> np.ndarray:
    out = train.logits(model, torch.from_numpy(tokens))
    assert out.dtype == torch.float32
    return out.numpy()


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm of b."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_reference_size() -> None:
    profile = PROFILES["gpu-80gb"]
    config = spec.Config(profile.sequence_length, profile.vocab_size, profile.depth)
    with torch.device("meta"):
        model = train.GPT(train.Config(profile.sequence_length, profile.vocab_size))
    assert (config.dim, config.heads) == (512, 4)
    assert config.windows == (1024, 1024, 1024, 2048, 1024, 1024, 1024, 2048)
    assert config.value_layers == (1, 3, 5, 7)
    assert round(spec.parameter_count(config) / 1e6, 3) == 50.332
    assert model.count_parameters() == spec.parameter_count(config)
    assert float(f"{spec.flops_per_token(config):.4e}") == 2.3908e8
    assert model.flops_per_token() == spec.flops_per_token(config)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_checkpoint_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        model = train.GPT(train.Config(T, V, depth))
    assert {name: tuple(w.shape) for name, w in model.state_dict().items()} == spec.shapes(spec.Config(T, V, depth))
    assert [model.config.window(i) for i in range(depth)] == list(spec.Config(T, V, depth).windows)


def test_template_starts_at_the_gpu_profile() -> None:
    profile = PROFILES["gpu-80gb"]
    constants = (train.DEPTH, train.TOTAL_BATCH_SIZE, train.DEVICE_BATCH_SIZE)
    assert constants == (profile.depth, profile.total_batch_size, profile.device_batch_size)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_profiles_are_consistent(profile: spec.Profile) -> None:
    assert profile.total_batch_size % (profile.device_batch_size * profile.sequence_length) == 0
    assert profile.eval_tokens % (profile.eval_batch_rows * profile.sequence_length) == 0


def test_initial_values() -> None:
    config = spec.Config(T, 512, 4)
    model = train.build(train.Config(T, 512, 4), "cpu")
    torch.manual_seed(3)
    model.initialise()
    for name, w in model.state_dict().items():
        kind, size = spec.initial(name, config)
        if kind == "constant":
            assert (w == size).all(), name
        else:
            std = size if kind == "normal" else size / 3**0.5
            assert w.std().item() == pytest.approx(std, rel=0.02), name
            assert abs(w.mean().item()) < 0.02 * std, name
        if kind == "uniform":
            assert 0.99 * size < w.abs().max() <= size, name


def test_seed_decides_the_initial_values() -> None:
    model = train.build(train.Config(T, V, DEPTH), "cpu")
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model.initialise()
        drawn.append(model.embedding.weight.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


# --- forward ---------------------------------------------------------------------------------------------------------


def test_logits(model: train.GPT, weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    tokens = rows[:, :-1]
    assert apart(torch_logits(model, tokens), numpy_gpt.logits(weights, SPEC, tokens)) < 1e-5


def test_logits_of_shorter_rows(model: train.GPT, weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    tokens = rows[:, :11]
    assert apart(torch_logits(model, tokens), numpy_gpt.logits(weights, SPEC, tokens)) < 1e-5


def without_value_embeddings(w: numpy_gpt.Parameters) -> numpy_gpt.Parameters:
    return {name: 0 * x if name.startswith("value_embeddings") else x for name, x in w.items()}


def without_lambda(w: numpy_gpt.Parameters) -> numpy_gpt.Parameters:
    return {**w, "lambda_resid": np.ones(DEPTH), "lambda_x0": np.zeros(DEPTH)}


def without_gate(w: numpy_gpt.Parameters) -> numpy_gpt.Parameters:
    return {name: 0 * x if "gate" in name else x for name, x in w.items()}


@pytest.mark.parametrize("change", [without_value_embeddings, without_lambda, without_gate], ids=lambda f: f.__name__)
def test_comparison_notices_other_weights(change, model, weights, rows) -> None:
    tokens = rows[:, :-1]
    assert apart(torch_logits(model, tokens), numpy_gpt.logits(change(weights), SPEC, tokens)) > 1e-2


REAL_ATTENTION, REAL_ROTARY = numpy_gpt.attention, numpy_gpt.rotary
LEFT_OUT = {
    "rotary": ("rotary", lambda x: x),
    "the sense of the rotary step": ("rotary", lambda x: np.flip(REAL_ROTARY(np.flip(x, axis=3)), axis=3)),
    "windows": ("attention", lambda q, k, v, window: REAL_ATTENTION(q, k, v, q.shape[1])),
    "a window of W keys": ("attention", lambda q, k, v, window: REAL_ATTENTION(q, k, v, window - 1)),
    "the root in the norm": ("rms_norm", lambda x: x / np.abs(x).mean(axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_comparison_notices_what_is_left_out(name, model, weights, rows, monkeypatch) -> None:
    tokens = rows[:, :-1]
    monkeypatch.setattr(numpy_gpt, *LEFT_OUT[name])
    assert apart(torch_logits(model, tokens), numpy_gpt.logits(weights, SPEC, tokens)) > 1e-2


def test_softcap(weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    tokens = rows[:, :-1]
    loud = {**weights, "unembedding.weight": 30 * weights["unembedding.weight"]}  # raw logits of about ±45
    found = torch_logits(torch_model(loud), tokens)
    assert apart(found, numpy_gpt.logits(loud, SPEC, tokens)) < 1e-5
    assert 14 < np.abs(found).max() <= 15


def test_a_prediction_sees_its_prefix_only(model: train.GPT, rows: np.ndarray) -> None:
    tokens = rows[:, :-1].copy()
    before = torch_logits(model, tokens)[:, :20]
    tokens[:, 20:] = (tokens[:, 20:] + 1) % V
    np.testing.assert_array_equal(torch_logits(model, tokens)[:, :20], before)


@pytest.mark.parametrize("window", [0, 1, 5, 30, 31, 32])
def test_attention_window(window: int) -> None:
    q, k, v = np.random.default_rng(window).normal(size=(3, 2, T, 2, 16))
    assert attention_name("cpu") == "sdpa"
    found = choose_attention("cpu")(*(torch.from_numpy(x) for x in (q, k, v)), window)
    assert apart(found.numpy(), numpy_gpt.attention(q, k, v, window)) < 1e-12


def test_norm_keeps_half_precision_under_cuda_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast's rules, asked on a device that need not be there: rms_norm alone would make everything float32."""
    for question in ("is_available", "is_bf16_supported"):
        monkeypatch.setattr(torch.cuda, question, lambda *_, **__: True)
    with FakeTensorMode(), train.precision("cuda"):
        x = torch.empty(2, 8, device="cuda", dtype=torch.bfloat16)
        assert torch.nn.functional.rms_norm(x, (8,)).dtype == torch.float32
        assert train.norm(x).dtype == torch.bfloat16


def test_checkpoint_round_trip(model: train.GPT, rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    train.save(model, path, {"sequence_length": str(T), "vocab_size": str(V)})
    tensors = load_file(path)
    assert {name: w.shape for name, w in tensors.items()} == spec.shapes(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Config.__init__, "__defaults__", (DEPTH,))
        loaded = train.load(path, "cpu")
    np.testing.assert_array_equal(torch_logits(loaded, rows[:, :-1]), torch_logits(model, rows[:, :-1]))


# --- loss and gradients ----------------------------------------------------------------------------------------------


def test_loss_and_gradients(model: train.GPT, weights: numpy_gpt.Parameters, rows: np.ndarray) -> None:
    """Each tensor's gradient along itself and along a random direction, against central differences."""
    tokens, targets = rows[:1, :-1], rows[:1, 1:]
    loss = model(torch.from_numpy(tokens), torch.from_numpy(targets))
    assert loss.item() == pytest.approx(numpy_gpt.loss(weights, SPEC, tokens, targets), rel=1e-6)

    names = list(weights)
    gradients = torch.autograd.grad(loss, [dict(model.named_parameters())[name] for name in names])
    rng = np.random.default_rng(4)
    for name, gradient in zip(names, gradients, strict=True):
        g = gradient.double().numpy()
        length = np.linalg.norm(g)
        random = rng.normal(size=g.shape)
        random /= np.linalg.norm(random)
        for direction, tolerance in ((g / length, 1e-4 * length), (random, 1e-2 * length / g.size**0.5)):
            step = 1e-4
            up, down = (
                numpy_gpt.loss({**weights, name: weights[name] + s * direction}, SPEC, tokens, targets)
                for s in (step, -step)
            )
            assert (up - down) / (2 * step) == pytest.approx((g * direction).sum(), abs=tolerance), name


def test_accumulated_batches_give_the_gradient_of_the_whole(model: train.GPT, rows: np.ndarray) -> None:
    tokens = torch.from_numpy(rows)
    whole = model(tokens[:, :-1], tokens[:, 1:])
    halves = [model(half[:, :-1], half[:, 1:]) / 2 for half in (tokens[:1], tokens[1:])]
    one = torch.autograd.grad(whole, model.blocks[1].mlp.fc.weight)[0].numpy()
    two = sum(torch.autograd.grad(half, model.blocks[1].mlp.fc.weight)[0] for half in halves).numpy()
    assert apart(two, one) < 1e-5


OUT_OF_MEMORY = [
    "CUDA out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of 23.6 GiB.\nand a hint",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
]


@pytest.mark.parametrize("said", [*OUT_OF_MEMORY, "the size of tensor a must match the size of tensor b"])
def test_running_out_of_memory_names_the_setting_that_helps(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed(Exception):
        pass

    def failed(reason: str, detail: str) -> None:
        raise Failed(reason, detail)

    def fails(trial: object) -> None:
        raise torch.OutOfMemoryError(said) if said.startswith("CUDA out") else RuntimeError(said)

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
