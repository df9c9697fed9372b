"""The reference GPT: the one file the agent edits. Everything in it is fair game: model, optimizer, sizes, schedules.

A trial runs it for a fixed time on rows of T+1 tokens and scores the checkpoint by val_bpb, lower is better. What may
not change: `load` and `logits` at the bottom answer for the trained model (they are called in another process), a
position's logits depend on its row's prefix alone, and training goes through the harness, whose clock is the budget.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backends.cuda import compiled, feed
from backends.cuda.attention import attention_name, choose_attention
from backends.cuda.loss import softcapped_cross_entropy
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


def norm(x: Tensor) -> Tensor:
    """RMSNorm over channels, without weights, in the dtype of x: autocast would make it, and all after it, float32."""
    return F.rms_norm(x, (x.size(-1),), eps=EPS).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position: turn channel pairs (i, i + D/2) of x [B, T, H, D] by the position's angle."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """No biases anywhere."""
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    """Causal attention within the layer's window; in every other layer the values also get the token's own vector."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        dim = config.dim
        self.window = config.window(layer)
        self.q, self.k, self.v, self.out = (linear(dim, dim) for _ in range(4))
        self.gate = linear(GATE_CHANNELS, config.heads) if config.has_value_embedding(layer) else None
        self.attend = choose_attention(self.q.weight.device)

    def forward(self, x: Tensor, value: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = (project(x).unflatten(-1, (-1, HEAD_DIM)) for project in (self.q, self.k, self.v))  # [B, T, H, D]
        if self.gate is not None and value is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :GATE_CHANNELS]))  # [B, T, H], 1 at the start
            v = v + gate.unsqueeze(-1) * value.view_as(v)
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))  # normed queries and keys keep the scores tame
        return self.out(self.attend(q, k, v, self.window).flatten(-2))  # [B, T, dim]


class MLP(nn.Module):
    """Two linear layers around ReLU²."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fc = linear(config.dim, 4 * config.dim)
        self.out = linear(4 * config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.fc(x)).square())


class Block(nn.Module):
    """Attention, then the MLP, each on the normed stream x [B, T, dim] and added to it. This is what gets compiled."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, x0: Tensor, resid: Tensor, again: Tensor, value: Tensor | None, cos: Tensor, sin: Tensor
    ) -> Tensor:
        x = resid * x + again * x0  # the embedding comes back in every layer
        x = x + self.attention(norm(x), value, cos, sin)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """Tokens [B, T] in, logits [B, T, V] out; with targets [B, T], their mean loss in nats."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        layers = range(config.depth)
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.value_embeddings = nn.ModuleDict(
            {str(i): nn.Embedding(config.vocab_size, config.dim) for i in layers if config.has_value_embedding(i)}
        )
        self.blocks = nn.ModuleList(Block(config, i) for i in layers)
        self.lambda_resid = nn.Parameter(torch.ones(config.depth))
        self.lambda_x0 = nn.Parameter(torch.zeros(config.depth))
        self.unembedding = linear(config.dim, config.vocab_size)
        frequency = ROTARY_BASE ** -(torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)  # [D/2]
        angle = torch.outer(torch.arange(config.sequence_length), frequency)[:, None, :]  # [T, 1, D/2]
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    @torch.no_grad()
    def initialise(self) -> None:
        """Fresh weights from torch's generator. Output projections start at 0, so every block starts as identity."""
        bound = math.sqrt(3 / self.config.dim)  # a uniform distribution of standard deviation dim^−½
        self.embedding.weight.normal_()
        self.unembedding.weight.normal_(std=0.001)
        for embedding in self.value_embeddings.values():
            embedding.weight.uniform_(-bound, bound)
        for block in self.blocks:
            for matrix in (block.attention.q, block.attention.k, block.attention.v, block.mlp.fc):
                matrix.weight.uniform_(-bound, bound)
            for matrix in (block.attention.out, block.mlp.out, block.attention.gate):
                if matrix is not None:
                    matrix.weight.zero_()
        self.lambda_resid.fill_(1.0)
        self.lambda_x0.fill_(0.1)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = x0 = norm(self.embedding(tokens))  # [B, T, dim]
        lambdas = zip(self.lambda_resid.unbind(), self.lambda_x0.unbind(), strict=True)
        for i, (block, (resid, again)) in enumerate(zip(self.blocks, lambdas, strict=True)):
            value = self.value_embeddings[str(i)](tokens) if str(i) in self.value_embeddings else None
            x = block(x, x0, resid, again, value, cos, sin)
        x = norm(x)
        if targets is not None:  # the plain statement would be F.cross_entropy of the logits below; this one is lean
            weight = self.unembedding.weight
            return softcapped_cross_entropy(x.flatten(0, 1), weight, targets.flatten(), SOFTCAP)
        logits = self.unembedding(x).float()  # [B, T, V]
        return SOFTCAP * torch.tanh(logits / SOFTCAP)

    def count_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def flops_per_token(self) -> int:
        """Training FLOPs a token: 6 for every weight that is multiplied, 12·dim·W for a layer's attention."""
        tables = [self.embedding, *self.value_embeddings.values()]
        unmultiplied = sum(t.weight.numel() for t in tables) + self.lambda_resid.numel() + self.lambda_x0.numel()
        windows = sum(self.config.window(i) for i in range(self.config.depth))
        return 6 * (self.count_parameters() - unmultiplied) + 12 * self.config.dim * windows


def build(config: Config, device: str, compile_blocks: bool = False) -> GPT:
    """A model on the device, its weights not yet initialised. CUDA keeps embeddings and rotary tables in bf16.

    Blocks are compiled one by one: those of equal shape share the result, which halves the wait for a whole model's.
    """
    with torch.device(device):
        model = GPT(config)
    if torch.device(device).type == "cuda":
        for module in (model.embedding, model.value_embeddings):
            module.bfloat16()
        model.cos, model.sin = model.cos.bfloat16(), model.sin.bfloat16()
    if compile_blocks:
        for block in model.blocks:
            block.compile(dynamic=False)
    return model


def precision(device: str) -> contextlib.AbstractContextManager[object]:
    """bf16 matrix products on CUDA, float32 everywhere else."""
    cuda = torch.device(device).type == "cuda"
    return torch.autocast("cuda", torch.bfloat16) if cuda else contextlib.nullcontext()


# --- optimizer -------------------------------------------------------------------------------------------------------

# Polar Express (arXiv 2505.16932): five polynomials that carry singular values to about 1.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def polar(g: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest (semi-)orthogonal matrix of each [.., rows, cols] in g, about, computed in dtype."""
    x = g.to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    tall = x.size(-2) > x.size(-1)
    for a, b, c in POLAR_EXPRESS:
        gram = x.mT @ x if tall else x @ x.mT  # over the smaller side
        poly = b * gram + c * (gram @ gram)
        x = a * x + (x @ poly if tall else poly @ x)
    return x


def muon_update(
    w: Tensor,
    g: Tensor,
    velocity: Tensor,
    variance: Tensor,
    lr: Tensor,
    decay: Tensor,
    momentum: Tensor,
    beta2: Tensor,
    dtype: torch.dtype,
) -> None:
    """One Muon step in place on matrices of one shape, all [N, rows, cols]; variance is [N, rows, 1] or [N, 1, cols].

    Nesterov momentum, orthogonalised; NorMuon's (arXiv 2510.05491) variance per row or column evens the update out
    without changing its norm; decay only where it agrees with the update's sign (cautious).
    """
    velocity += (1 - momentum) * (g - velocity)
    u = polar(g + momentum * (velocity - g), dtype)
    lr, decay, beta2 = lr.to(u.dtype), decay.to(u.dtype), beta2.to(u.dtype)
    per = -1 if variance.size(-1) == 1 else -2
    mean_square = u.float().square().mean(dim=per, keepdim=True)
    variance += (1 - beta2) * (mean_square - variance)
    scale = variance.clamp_min(1e-10).rsqrt()
    before = mean_square.sum(dim=(-2, -1), keepdim=True).sqrt()
    after = (mean_square * scale.square()).sum(dim=(-2, -1), keepdim=True).sqrt()
    u = u * (scale * before / after.clamp_min(1e-10)).to(u.dtype)
    w.sub_(lr * u + lr * decay * w * (u * w >= 0))


def adamw_update(
    w: Tensor, g: Tensor, mean: Tensor, variance: Tensor, lr: Tensor, beta1: Tensor, beta2: Tensor, step: Tensor
) -> None:
    """One Adam step in place, without decay; the state has the weights' dtype."""
    mean += (1 - beta1) * (g - mean)
    variance += (1 - beta2) * (g.square() - variance)
    denominator = (variance / (1 - beta2**step)).sqrt() + 1e-10
    w.sub_(lr / (1 - beta1**step) * (mean / denominator))


@dataclass
class AdamGroup:
    """Tensors that share a peak learning rate and betas."""

    params: list[Tensor]
    lr: float
    betas: tuple[float, float]


class MuonAdamW:
    """Muon for the blocks' matrices, batched by shape; AdamW for embeddings, unembedding and residual scalars."""

    def __init__(self, model: GPT, polar_dtype: torch.dtype, compile_updates: bool = False) -> None:
        by_width = (model.config.dim / 768) ** -0.5  # AdamW's rates were tuned at width 768
        tables = [model.embedding.weight, *(e.weight for e in model.value_embeddings.values())]
        self.adam = [
            AdamGroup([model.unembedding.weight], UNEMBEDDING_LR * by_width, ADAM_BETAS),
            AdamGroup(tables, EMBEDDING_LR * by_width, ADAM_BETAS),
            AdamGroup([model.lambda_resid], SCALAR_LR * 0.01, ADAM_BETAS),
            AdamGroup([model.lambda_x0], SCALAR_LR, (0.96, 0.95)),
        ]
        self.muon: dict[tuple[int, int], list[Tensor]] = {}
        for matrix in model.blocks.parameters():
            self.muon.setdefault((matrix.size(0), matrix.size(1)), []).append(matrix)
        self.polar_dtype = polar_dtype
        maybe: Callable = (lambda f: torch.compile(f, dynamic=False)) if compile_updates else (lambda f: f)
        self.muon_update = maybe(muon_update)
        self.adamw_update = maybe(adamw_update)
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self.steps = 0
        self.adam_state = {p: (torch.zeros_like(p), torch.zeros_like(p)) for group in self.adam for p in group.params}
        self.muon_state = {}
        for (rows, cols), matrices in self.muon.items():
            velocity = torch.zeros(len(matrices), rows, cols, device=matrices[0].device)
            one_per = velocity[:, :, :1] if rows >= cols else velocity[:, :1, :]  # per row or per column
            self.muon_state[rows, cols] = velocity, torch.zeros_like(one_per)

    @torch.no_grad()
    def step(self, progress: float) -> None:
        """Update every weight from its gradient and clear the gradients."""
        scale = learning_rate_scale(progress)
        for group in self.adam:
            # Tensors, not numbers: a number that changes would be compiled anew.
            lr, beta1, beta2, step = map(torch.tensor, (group.lr * scale, *group.betas, float(self.steps + 1)))
            for p in group.params:
                self.adamw_update(p, p.grad, *self.adam_state[p], lr, beta1, beta2, step)
                p.grad = None
        for (rows, cols), matrices in self.muon.items():
            shape_scale = max(1.0, rows / cols) ** 0.5
            lr, decay = torch.tensor(MATRIX_LR * scale * shape_scale), torch.tensor(weight_decay(progress))
            momentum, beta2 = torch.tensor(muon_momentum(self.steps)), torch.tensor(0.95)
            w = torch.stack([p.data for p in matrices])
            g = torch.stack([p.grad for p in matrices])
            state = self.muon_state[rows, cols]
            self.muon_update(w, g, *state, lr, decay, momentum, beta2, self.polar_dtype)
            torch._foreach_copy_([p.data for p in matrices], list(w.unbind()))
            for p in matrices:
                p.grad = None
        self.steps += 1


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


def train_step(model: GPT, optimizer: MuonAdamW, batches: list[Tensor], progress: float) -> Tensor:
    """One optimizer step over batches of tokens, int64 [b, T+1]. Returns their mean loss in nats, a scalar."""
    total = torch.zeros((), device=batches[0].device)
    for tokens in batches:
        with precision(str(tokens.device)):
            loss = model(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()) / len(batches)
        loss.backward()
        total += loss.detach()
    optimizer.step(progress)
    return total


def accumulation(sequence_length: int) -> int:
    """How many forward passes make one optimizer step."""
    passes, rest = divmod(TOTAL_BATCH_SIZE, DEVICE_BATCH_SIZE * sequence_length)
    if rest or not passes:
        raise SystemExit(
            f"TOTAL_BATCH_SIZE ({TOTAL_BATCH_SIZE}) must be a multiple of DEVICE_BATCH_SIZE × T "
            f"({DEVICE_BATCH_SIZE} × {sequence_length} = {DEVICE_BATCH_SIZE * sequence_length})"
        )
    return passes


def prepared(config: Config, device: str, compile_all: bool) -> tuple[GPT, MuonAdamW]:
    """The model and its optimizer as a trial starts with them, weights apart: those are anything.

    Compiling takes a step, on random tokens: the budget pays for every step that teaches, and for no other.
    """
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(torch.device(device).index or 0)
        torch.set_float32_matmul_precision("high")
    model = build(config, device, compile_all)
    optimizer = MuonAdamW(model, torch.bfloat16 if cuda else torch.float32, compile_all)
    if compile_all:
        shape = (DEVICE_BATCH_SIZE, config.sequence_length + 1)
        noise = [torch.randint(config.vocab_size, shape, device=device) for _ in range(accumulation(shape[1] - 1))]
        torch._dynamo.config.recompile_limit = 64  # more kinds of block than 8 would run uncompiled, without a word
        model.initialise()
        train_step(model, optimizer, noise, 0.0).item()
        optimizer.reset()
    return model, optimizer


def train(trial: harness.Trial) -> None:
    """One trial from start to checkpoint: build, compile and initialise; then train until the budget is spent."""
    device, cuda = trial.device, trial.device.startswith("cuda")
    config = Config(trial.settings["sequence_length"], trial.settings["vocab_size"])
    passes = accumulation(config.sequence_length)
    if cuda:
        compiled.use_private_cache(Path.cwd(), device, trial.settings)
    model, optimizer = prepared(config, device, compile_all=cuda)
    torch.manual_seed(trial.seed)
    model.initialise()
    print(f"{device}: attention {attention_name(device)}, {'compiled' if cuda else 'not compiled'}", flush=True)

    trial.ready(
        flops_per_token=model.flops_per_token(),
        accelerator=torch.cuda.get_device_name() if cuda else "",
        memory_mb=(lambda: torch.cuda.max_memory_allocated() / 2**20) if cuda else None,
        settle=torch.cuda.synchronize if cuda else lambda: None,
    )
    rows = feed.batches(trial.rows, DEVICE_BATCH_SIZE, device)
    before, began, longest = None, 0.0, 0.0  # the loss of the step before; when it began; the longest step so far
    while not trial.over:
        began, longest = trial.progress, max(longest, trial.progress - began)
        loss = train_step(model, optimizer, [next(rows) for _ in range(passes)], trial.progress)
        # Reading a loss waits for it. A GPU goes on meanwhile if the one read is the step's before; not where the
        # budget may end within two steps, or one that is queued already would run beyond it.
        late = cuda and before is not None and trial.progress + 2 * longest < 1
        trial.step((before if late else loss).item(), TOTAL_BATCH_SIZE)
        before = loss
    trial.done(lambda path, metadata: save(model, path, metadata), config.depth, model.count_parameters())


# --- the trained model -----------------------------------------------------------------------------------------------


def save(model: GPT, path: Path, metadata: dict[str, str]) -> None:
    """The checkpoint: every weight under its name, and in the metadata the two sizes that come with the task."""
    save_file(model.state_dict(), path, metadata)


def load(checkpoint: Path, device: str) -> GPT:
    """The model of a checkpoint, ready to answer."""
    with safe_open(checkpoint, framework="pt", device=device) as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    model = build(Config(int(metadata["sequence_length"]), int(metadata["vocab_size"])), device)
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def logits(model: GPT, tokens: Tensor) -> Tensor:
    """tokens [B, T] int64 -> [B, T, V] float32."""
    with precision(str(tokens.device)):
        return model(tokens)


def main() -> None:
    """Train for the engine. Running out of memory is told as such, everything else as the traceback it is."""
    trial = harness.connect()
    try:
        train(trial)
    except (RuntimeError, MemoryError) as error:
        why = (str(error).splitlines() or ["out of memory"])[0]
        if not isinstance(error, MemoryError) and not re.search("out of memory|allocate memory|ALLOC_FAILED", why):
            raise
        trial.failed("oom", f"{why}; halve DEVICE_BATCH_SIZE ({DEVICE_BATCH_SIZE}) in train.py")


if __name__ == "__main__":
    main()
