"""The reference GPT: the one file the agent edits. Everything in it is fair game: model, optimizer, sizes, schedules.

A trial runs it for a fixed time on rows of T+1 tokens and scores the checkpoint by val_bpb, lower is better. What may
not change: `load` and `logits` at the bottom answer for the trained model (they are called in another process), a
position's logits depend on its row's prefix alone, and training goes through the harness, whose clock is the budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from backends.mlx import feed, memory
from backends.mlx.activation import relu_squared_linear
from backends.mlx.attention import attend
from backends.mlx.loss import softcapped_cross_entropy
from backends.mlx.paths import attention_name
from backends.reference import harness

# --- hyperparameters -------------------------------------------------------------------------------------------------

# Model
DEPTH = 8  # layers
ASPECT_RATIO = 64  # width = DEPTH × ASPECT_RATIO, rounded up to whole heads
HEAD_DIM = 128  # channels a head
WINDOW_PATTERN = "SSSL"  # attention over layers: L sees the whole row, S half of it; the last layer is always L

# Batch
TOTAL_BATCH_SIZE = 524288  # tokens an optimizer step
DEVICE_BATCH_SIZE = 128  # rows a forward pass; lower it when memory runs out

# Optimizer
EMBEDDING_LR = 0.6  # token and value embeddings (AdamW)
UNEMBEDDING_LR = 0.004  # output layer (AdamW)
MATRIX_LR = 0.04  # the blocks' matrices (Muon)
SCALAR_LR = 0.5  # the residual scalars (AdamW)
WEIGHT_DECAY = 0.2  # cautious, on Muon's matrices only
ADAM_BETAS = (0.8, 0.95)

# Schedule, in parts of the time budget
WARMUP_RATIO = 0.0  # learning rates rise from 0
WARMDOWN_RATIO = 0.5  # and fall linearly at the end,
FINAL_LR_FRAC = 0.0  # to this part of their peak

# --- model -----------------------------------------------------------------------------------------------------------

EPS = 1.1920929e-07  # of RMSNorm, in every precision
GATE_CHANNELS = 32  # what the value gate reads of a block's input
SOFTCAP = 15.0  # logits stay within ±15
ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class Config:
    """Sizes. T and V come with the task, the rest from the constants above."""

    sequence_length: int
    vocab_size: int
    depth: int = DEPTH

    @property
    def heads(self) -> int:
        return math.ceil(self.depth * ASPECT_RATIO / HEAD_DIM)

    @property
    def dim(self) -> int:
        return self.heads * HEAD_DIM

    def window(self, layer: int) -> int:
        """How many tokens before its own a query of this layer sees."""
        last = layer == self.depth - 1
        long = last or WINDOW_PATTERN[layer % len(WINDOW_PATTERN)] == "L"
        return self.sequence_length if long else self.sequence_length // 2

    def has_value_embedding(self, layer: int) -> bool:
        """Every other layer, the last one always."""
        return (self.depth - 1 - layer) % 2 == 0


def norm(x: mx.array) -> mx.array:
    """RMSNorm over channels, without weights, in the dtype of x."""
    return mx.fast.rms_norm(x, None, EPS)


def rotate(x: mx.array) -> mx.array:
    """Rotary position: turn channel pairs (i, i + D/2) of x [B, H, T, D] by the position's angle."""
    return mx.fast.rope(x, HEAD_DIM, traditional=False, base=ROTARY_BASE, scale=-1.0, offset=0)


class Linear(nn.Module):
    """No biases anywhere. The weight is float32, the product in the dtype of x."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = mx.zeros((outputs, inputs))

    def __call__(self, x: mx.array) -> mx.array:
        return x @ self.weight.astype(x.dtype).T


class Embedding(nn.Module):
    """A vector of `dtype` for every token."""

    def __init__(self, vocab_size: int, dim: int, dtype: mx.Dtype) -> None:
        super().__init__()
        self.weight = mx.zeros((vocab_size, dim), dtype)

    def __call__(self, tokens: mx.array) -> mx.array:
        # By way of float32, and so the way back: a frequent token's gradients would stop adding up in bf16.
        return self.weight.astype(mx.float32)[tokens].astype(self.weight.dtype)


class Attention(nn.Module):
    """Causal attention within the layer's window; in every other layer the values also get the token's own vector."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        dim = config.dim
        self.window = config.window(layer)
        self.q, self.k, self.v, self.out = (Linear(dim, dim) for _ in range(4))
        self.gate = Linear(GATE_CHANNELS, config.heads) if config.has_value_embedding(layer) else None

    def __call__(self, x: mx.array, value: mx.array | None) -> mx.array:
        q, k, v = (mx.unflatten(project(x), -1, (-1, HEAD_DIM)) for project in (self.q, self.k, self.v))  # [B, T, H, D]
        if self.gate is not None and value is not None:
            gate = 2 * mx.sigmoid(self.gate(x[..., :GATE_CHANNELS]))  # [B, T, H], 1 at the start
            v = v + gate[..., None] * value.reshape(v.shape)
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))  # [B, H, T, D]
        q, k = norm(rotate(q)), norm(rotate(k))  # normed queries and keys keep the scores tame
        return self.out(attend(q, k, v, self.window).swapaxes(1, 2).flatten(-2))  # [B, T, dim]


class MLP(nn.Module):
    """Two linear layers around ReLU²."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fc = Linear(config.dim, 4 * config.dim)
        self.out = Linear(4 * config.dim, config.dim)

    def __call__(self, x: mx.array) -> mx.array:
        # The plain statement would be self.out(nn.relu(self.fc(x)).square()); this one is lean.
        return relu_squared_linear(self.fc(x), self.out.weight)


class Block(nn.Module):
    """Attention, then the MLP, each on the normed stream x [B, T, dim] and added to it."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.mlp = MLP(config)

    def __call__(self, x: mx.array, x0: mx.array, resid: mx.array, again: mx.array, value: mx.array | None) -> mx.array:
        x = resid * x + again * x0  # the embedding comes back in every layer
        x = x + self.attention(norm(x), value)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """Tokens [B, T] in, logits [B, T, V] out; with targets [B, T], their mean loss in nats.

    The stream has the embeddings' dtype.
    """

    def __init__(self, config: Config, dtype: mx.Dtype) -> None:
        super().__init__()
        self.config = config
        layers = range(config.depth)
        self.embedding = Embedding(config.vocab_size, config.dim, dtype)
        self.value_embeddings = [  # a layer without one holds its place: MLX takes numbers for places in a list
            Embedding(config.vocab_size, config.dim, dtype) if config.has_value_embedding(i) else nn.Module()
            for i in layers
        ]
        self.blocks = [Block(config, i) for i in layers]
        self.lambda_resid = mx.ones(config.depth)
        self.lambda_x0 = mx.zeros(config.depth)
        self.unembedding = Linear(config.dim, config.vocab_size)

    def initialise(self) -> None:
        """Fresh weights from MLX's generator. Output projections start at 0, so every block starts as identity."""
        bound = math.sqrt(3 / self.config.dim)  # a uniform distribution of standard deviation dim^−½

        def uniform(module: Linear | Embedding) -> None:
            module.weight = mx.random.uniform(-bound, bound, module.weight.shape).astype(module.weight.dtype)

        self.embedding.weight = mx.random.normal(self.embedding.weight.shape).astype(self.embedding.weight.dtype)
        self.unembedding.weight = mx.random.normal(self.unembedding.weight.shape, scale=0.001)
        for embedding in self.value_embeddings:
            if isinstance(embedding, Embedding):
                uniform(embedding)
        for block in self.blocks:
            for matrix in (block.attention.q, block.attention.k, block.attention.v, block.mlp.fc):
                uniform(matrix)
            for matrix in (block.attention.out, block.mlp.out, block.attention.gate):
                if matrix is not None:
                    matrix.weight = mx.zeros_like(matrix.weight)
        self.lambda_resid = mx.ones(self.config.depth)
        self.lambda_x0 = mx.full(self.config.depth, 0.1)
        mx.eval(self.parameters())

    def __call__(self, tokens: mx.array, targets: mx.array | None = None) -> mx.array:
        x = x0 = norm(self.embedding(tokens))  # [B, T, dim]
        lambda_resid, lambda_x0 = (x.astype(x0.dtype) for x in (self.lambda_resid, self.lambda_x0))
        for i, block in enumerate(self.blocks):
            value = self.value_embeddings[i](tokens) if self.config.has_value_embedding(i) else None
            x = block(x, x0, lambda_resid[i], lambda_x0[i], value)
        x = norm(x)
        if targets is not None:  # the plain statement would be the cross-entropy of the logits below; this one is lean
            return softcapped_cross_entropy(x.flatten(0, 1), self.unembedding.weight, targets.flatten(), SOFTCAP)
        logits = self.unembedding(x).astype(mx.float32)  # [B, T, V]
        return SOFTCAP * mx.tanh(logits / SOFTCAP)

    def count_parameters(self) -> int:
        return sum(p.size for p in weights_of(self).values())

    def flops_per_token(self) -> int:
        """Training FLOPs a token: 6 for every weight that is multiplied, 12·dim·W for a layer's attention."""
        tables = ("embedding.", "value_embeddings.", "lambda_")
        multiplied = sum(w.size for name, w in weights_of(self).items() if not name.startswith(tables))
        windows = sum(self.config.window(i) for i in range(self.config.depth))
        return 6 * multiplied + 12 * self.config.dim * windows


def weights_of(model: nn.Module) -> dict[str, mx.array]:
    """Every weight by its name: blocks.0.attention.q.weight and so on."""
    return dict(tree_flatten(model.parameters()))


def build(config: Config, device: str) -> GPT:
    """A model on the device, its weights not yet initialised. A GPU keeps embeddings, and the stream, in bf16."""
    mx.set_default_device(mx.cpu if device == "cpu" else mx.gpu)
    return GPT(config, precision(device))


def precision(device: str) -> mx.Dtype:
    """bf16 matrix products on a GPU, float32 on a CPU."""
    return mx.float32 if device == "cpu" else mx.bfloat16


# --- optimizer -------------------------------------------------------------------------------------------------------

# Polar Express (arXiv 2505.16932): five polynomials that carry singular values to about 1.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def polar(g: mx.array, dtype: mx.Dtype) -> mx.array:
    """The nearest (semi-)orthogonal matrix of each [.., rows, cols] in g, about, computed in dtype."""
    x = g.astype(dtype)
    squares = x.astype(mx.float32).square().sum(axis=-1, keepdims=True)  # by rows first: one long sum is less exact
    length = squares.sum(axis=-2, keepdims=True).sqrt().astype(dtype)
    x = x / (length * 1.02 + 1e-6)
    tall = x.shape[-2] > x.shape[-1]
    for a, b, c in POLAR_EXPRESS:
        gram = x.swapaxes(-2, -1) @ x if tall else x @ x.swapaxes(-2, -1)  # over the smaller side
        poly = b * gram + c * (gram @ gram)
        x = a * x + (x @ poly if tall else poly @ x)
    return x


def muon_update(
    w: mx.array,
    g: mx.array,
    velocity: mx.array,
    variance: mx.array,
    lr: mx.array,
    decay: mx.array,
    momentum: mx.array,
    beta2: float,
    dtype: mx.Dtype,
) -> tuple[mx.array, mx.array, mx.array]:
    """One Muon step on matrices of one shape, all [N, rows, cols]; variance is [N, rows, 1] or [N, 1, cols].

    Returns w, velocity and variance. Nesterov momentum, orthogonalised; NorMuon's (arXiv 2510.05491) variance per row
    or column evens the update out without changing its norm; decay only where it agrees with the update's sign
    (cautious).
    """
    velocity = velocity + (1 - momentum) * (g - velocity)
    u = polar(g + momentum * (velocity - g), dtype)
    lr, decay, beta = lr.astype(dtype), decay.astype(dtype), mx.array(beta2, dtype)
    per = -1 if variance.shape[-1] == 1 else -2
    mean_square = u.astype(mx.float32).square().mean(axis=per, keepdims=True)
    variance = variance + (1 - beta) * (mean_square - variance)
    scale = mx.maximum(variance, 1e-10).rsqrt()
    before = mean_square.sum(axis=(-2, -1), keepdims=True).sqrt()
    after = (mean_square * scale.square()).sum(axis=(-2, -1), keepdims=True).sqrt()
    u = u * (scale * before / mx.maximum(after, 1e-10)).astype(dtype)
    return w - (lr * u + lr * decay * w * (u * w >= 0)), velocity, variance


def adamw_update(
    w: mx.array,
    g: mx.array,
    mean: mx.array,
    variance: mx.array,
    lr: mx.array,
    beta1: float,
    beta2: float,
    step: mx.array,
) -> tuple[mx.array, mx.array, mx.array]:
    """One Adam step, without decay; returns w, mean and variance. The state has w's dtype, sums are float32."""
    dtype = w.dtype
    w, g, mean, variance = (x.astype(mx.float32) for x in (w, g, mean, variance))
    mean = mean + (1 - beta1) * (g - mean)
    variance = variance + (1 - beta2) * (g.square() - variance)
    denominator = (variance / (1 - beta2**step)).sqrt() + 1e-10
    w = w - lr / (1 - beta1**step) * (mean / denominator)
    return w.astype(dtype), mean.astype(dtype), variance.astype(dtype)


@dataclass
class AdamGroup:
    """Tensors, by their names, that share a peak learning rate and betas."""

    names: list[str]
    lr: float
    betas: tuple[float, float]


class MuonAdamW:
    """Muon for the blocks' matrices, batched by shape; AdamW for embeddings, unembedding and residual scalars."""

    def __init__(self, model: GPT, polar_dtype: mx.Dtype) -> None:
        by_width = (model.config.dim / 768) ** -0.5  # AdamW's rates were tuned at width 768
        self.model = model
        weights = weights_of(model)
        tables = ["embedding.weight", *(name for name in weights if name.startswith("value_embeddings."))]
        self.adam = [
            AdamGroup(["unembedding.weight"], UNEMBEDDING_LR * by_width, ADAM_BETAS),
            AdamGroup(tables, EMBEDDING_LR * by_width, ADAM_BETAS),
            AdamGroup(["lambda_resid"], SCALAR_LR * 0.01, ADAM_BETAS),
            AdamGroup(["lambda_x0"], SCALAR_LR, (0.96, 0.95)),
        ]
        self.muon: dict[tuple[int, int], list[str]] = {}
        for name, matrix in weights.items():
            if name.startswith("blocks."):
                self.muon.setdefault((matrix.shape[0], matrix.shape[1]), []).append(name)
        self.polar_dtype = polar_dtype
        self.state: dict[str, list[mx.array]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self.steps = 0
        weights = weights_of(self.model)
        for group in self.adam:
            for name in group.names:
                self.state[name] = [mx.zeros_like(weights[name]), mx.zeros_like(weights[name])]
        for (rows, cols), names in self.muon.items():
            one_per = (len(names), rows, 1) if rows >= cols else (len(names), 1, cols)  # per row or per column
            self.state[f"{rows} x {cols}"] = [mx.zeros((len(names), rows, cols)), mx.zeros(one_per)]

    def schedule(self, progress: float) -> dict[str, mx.array]:
        """What the next step is told, as arrays: a number that changes would be compiled anew. Counts the step."""
        told = {
            "scale": learning_rate_scale(progress),
            "decay": weight_decay(progress),
            "momentum": muon_momentum(self.steps),
            "step": float(self.steps + 1),
        }
        self.steps += 1
        return {name: mx.array(value) for name, value in told.items()}

    def step(self, gradients: dict[str, mx.array], told: dict[str, mx.array]) -> None:
        """Update every weight from its gradient; nothing is computed before somebody asks for it."""
        weights = weights_of(self.model)
        for group in self.adam:
            for name in group.names:
                weights[name], *self.state[name] = adamw_update(
                    weights[name], gradients[name], *self.state[name], group.lr * told["scale"], *group.betas,
                    told["step"],
                )  # fmt: skip
        for (rows, cols), names in self.muon.items():
            lr = MATRIX_LR * max(1.0, rows / cols) ** 0.5 * told["scale"]
            w, g = (mx.stack([tensors[name] for name in names]) for tensors in (weights, gradients))
            state = self.state[f"{rows} x {cols}"]
            w, *self.state[f"{rows} x {cols}"] = muon_update(
                w, g, *state, lr, told["decay"], told["momentum"], 0.95, self.polar_dtype
            )
            weights |= dict(zip(names, w, strict=True))
        self.model.update(tree_unflatten(list(weights.items())))


# --- schedules -------------------------------------------------------------------------------------------------------


def learning_rate_scale(progress: float) -> float:
    """What every learning rate is multiplied by; progress in [0, 1] is counted time over the budget."""
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress <= 1 - WARMDOWN_RATIO:
        return 1.0
    return FINAL_LR_FRAC + (1 - FINAL_LR_FRAC) * (1 - progress) / WARMDOWN_RATIO


def muon_momentum(step: int) -> float:
    """Low while gradients still turn quickly."""
    return 0.85 + 0.1 * min(step / 300, 1.0)


def weight_decay(progress: float) -> float:
    """Strong early, gone at the end."""
    return WEIGHT_DECAY * (1 - progress)


# --- training --------------------------------------------------------------------------------------------------------

Step = Callable[[list[mx.array], float], mx.array]


def train_step(model: GPT, optimizer: MuonAdamW, compile_step: bool = False) -> Step:
    """One optimizer step over batches of tokens, integers [b, T+1], at a progress: (batches, progress) -> mean loss.

    Nothing has been computed when it returns: evaluate the loss and the state together.
    """
    loss_and_gradients = nn.value_and_grad(model, lambda tokens, targets: model(tokens, targets))

    def step(batches: list[mx.array], told: dict[str, mx.array]) -> mx.array:
        total, summed = mx.zeros(()), None
        for tokens in batches:
            if summed is not None:  # one pass after the other: what is lazy would else hold all of them
                tokens = mx.depends([tokens], [total, *summed.values()])[0]
            loss, tree = loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
            gradients = {name: g / len(batches) for name, g in tree_flatten(tree)}
            summed = gradients if summed is None else {name: g + gradients[name] for name, g in summed.items()}
            total = total + loss / len(batches)
        assert summed is not None
        optimizer.step(summed, told)
        return total

    state = [model.state, optimizer.state]
    compiled = mx.compile(step, inputs=state, outputs=state) if compile_step else step
    return lambda batches, progress: compiled(batches, optimizer.schedule(progress))


def accumulation(sequence_length: int) -> int:
    """How many forward passes make one optimizer step."""
    passes, rest = divmod(TOTAL_BATCH_SIZE, DEVICE_BATCH_SIZE * sequence_length)
    if rest or not passes:
        raise SystemExit(
            f"TOTAL_BATCH_SIZE ({TOTAL_BATCH_SIZE}) must be a multiple of DEVICE_BATCH_SIZE × T "
            f"({DEVICE_BATCH_SIZE} × {sequence_length} = {DEVICE_BATCH_SIZE * sequence_length})"
        )
    return passes


def prepared(config: Config, device: str, compile_all: bool) -> tuple[GPT, MuonAdamW, Step]:
    """The model, its optimizer and its step as a trial starts with them, weights apart: those are anything.

    Compiling takes a step, on random tokens: the budget pays for every step that teaches, and for no other.
    """
    memory.use(device)
    model = build(config, device)
    optimizer = MuonAdamW(model, precision(device))
    step = train_step(model, optimizer, compile_all)
    if compile_all:
        shape = (DEVICE_BATCH_SIZE, config.sequence_length + 1)
        passes = range(accumulation(config.sequence_length))  # uint16, as rows are: another dtype would compile anew
        noise = [mx.random.randint(0, config.vocab_size, shape).astype(mx.uint16) for _ in passes]
        model.initialise()
        mx.eval(step(noise, 0.0), model.state, optimizer.state)
        memory.keep(device)
        optimizer.reset()
    return model, optimizer, step


def train(trial: harness.Trial) -> None:
    """One trial from start to checkpoint: build, compile and initialise; then train until the budget is spent."""
    device, gpu = trial.device, trial.device != "cpu"
    config = Config(trial.settings["sequence_length"], trial.settings["vocab_size"])
    passes = accumulation(config.sequence_length)
    model, optimizer, step = prepared(config, device, compile_all=gpu)
    mx.random.seed(trial.seed)
    model.initialise()
    said = f"attention {attention_name(config.sequence_length)}, {'compiled' if gpu else 'not compiled'}"
    print(f"{device}: {said}", flush=True)

    trial.ready(
        flops_per_token=model.flops_per_token(),
        accelerator=str(mx.device_info()["device_name"]) if gpu else "",
        memory_mb=(lambda: mx.get_peak_memory() / 2**20) if gpu else None,
        settle=mx.synchronize if gpu else lambda: None,
    )
    rows = feed.batches(trial.rows, DEVICE_BATCH_SIZE)
    before, began, longest = None, 0.0, 0.0  # the loss of the step before; when it began; the longest step so far
    while not trial.over:
        began, longest = trial.progress, max(longest, trial.progress - began)
        loss = step([next(rows) for _ in range(passes)], trial.progress)
        mx.async_eval(loss, model.state, optimizer.state)
        # Reading a loss waits for it. A GPU goes on meanwhile if the one read is the step's before; not where the
        # budget may end within two steps, or one that is queued already would run beyond it.
        late = gpu and before is not None and trial.progress + 2 * longest < 1
        trial.step((before if late else loss).item(), TOTAL_BATCH_SIZE)
        before = loss
    trial.done(lambda path, metadata: save(model, path, metadata), config.depth, model.count_parameters())


# --- the trained model -----------------------------------------------------------------------------------------------


def save(model: GPT, path: Path, metadata: dict[str, str]) -> None:
    """The checkpoint: every weight under its name, and in the metadata the two sizes that come with the task."""
    with path.open("wb") as file:  # to a path MLX would add an ending
        mx.save_safetensors(file, weights_of(model), metadata)


def load(checkpoint: Path, device: str) -> GPT:
    """The model of a checkpoint, ready to answer."""
    weights, metadata = mx.load(str(checkpoint), format="safetensors", return_metadata=True)
    model = build(Config(int(metadata["sequence_length"]), int(metadata["vocab_size"])), device)
    dtypes = {name: w.dtype for name, w in weights_of(model).items()}
    model.load_weights([(name, w.astype(dtypes.get(name, w.dtype))) for name, w in weights.items()])
    mx.eval(model.parameters())
    return model.eval()


def logits(model: GPT, tokens: mx.array) -> mx.array:
    """tokens [B, T], integers -> [B, T, V] float32."""
    return model(tokens)


def main() -> None:
    """Train for the engine. Running out of memory is told as such, everything else as the traceback it is."""
    trial = harness.connect()
    try:
        train(trial)
    except (RuntimeError, MemoryError) as error:
        why = (str(error).splitlines() or ["out of memory"])[0]
        if not isinstance(error, MemoryError) and not re.search("(?i)out of memory|allocate|insufficient memory", why):
            raise
        trial.failed("oom", f"{why}; halve DEVICE_BATCH_SIZE ({DEVICE_BATCH_SIZE}) in train.py")


if __name__ == "__main__":
    main()
