"""The reference GPT, its loss and its optimizers in plain numpy float64: slow, literal, one matrix at a time.

Written from the description of the original, not from any train.py. Parameters are a dict of arrays under the
checkpoint's names.
"""

from __future__ import annotations

import numpy as np

from backends.reference import spec

Parameters = dict[str, np.ndarray]


def random_parameters(config: spec.Config, seed: int) -> Parameters:
    """Every tensor random and far from its initial value, so that nothing is multiplied by a convenient 0 or 1."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in spec.shapes(config).items():
        if name.startswith("lambda_"):
            out[name] = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("embedding.weight") or name.startswith("value_embeddings"):
            out[name] = rng.normal(0, 0.7, shape)
        else:
            out[name] = rng.normal(0, 1.5 * shape[1] ** -0.5, shape)
    return out


def rms_norm(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1.19e-7)


def rotary(x: np.ndarray) -> np.ndarray:
    """x [B, T, H, D]: pair i with i + D/2, turn by position × 10000^(−2i/D)."""
    length, dim = x.shape[1], x.shape[3]
    angle = np.arange(length)[:, None] * 10_000.0 ** (-2 * np.arange(dim // 2) / dim)  # [T, D/2]
    cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]  # [T, 1, D/2]
    x1, x2 = x[..., : dim // 2], x[..., dim // 2 :]
    return np.concatenate([x1 * cos + x2 * sin, -x1 * sin + x2 * cos], axis=-1)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int) -> np.ndarray:
    """All [B, T, H, D]. Query t sees keys t−window … t."""
    out = np.zeros_like(q)
    for t in range(q.shape[1]):
        first = max(0, t - window)
        keys, values = k[:, first : t + 1], v[:, first : t + 1]  # [B, K, H, D]
        scores = np.einsum("bhd,bkhd->bhk", q[:, t], keys) / np.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        out[:, t] = np.einsum("bhk,bkhd->bhd", weights, values)
    return out


def logits(w: Parameters, config: spec.Config, tokens: np.ndarray) -> np.ndarray:
    """tokens [B, T] -> [B, T, V]."""
    batch, length = tokens.shape
    heads = (batch, length, config.heads, config.head_dim)
    x0 = rms_norm(w["embedding.weight"][tokens])
    x = x0
    for i in range(config.depth):
        prefix = f"blocks.{i}."
        x = w["lambda_resid"][i] * x + w["lambda_x0"][i] * x0
        h = rms_norm(x)
        q, k, v = (np.reshape(h @ w[f"{prefix}attention.{name}.weight"].T, heads) for name in "qkv")
        if f"value_embeddings.{i}.weight" in w:
            gate = 2 / (1 + np.exp(-(h[..., :32] @ w[prefix + "attention.gate.weight"].T)))  # [B, T, H]
            v = v + gate[..., None] * w[f"value_embeddings.{i}.weight"][tokens].reshape(heads)
        q, k = rms_norm(rotary(q)), rms_norm(rotary(k))
        a = attention(q, k, v, config.windows[i]).reshape(batch, length, -1)
        x = x + a @ w[prefix + "attention.out.weight"].T
        hidden = np.maximum(rms_norm(x) @ w[prefix + "mlp.fc.weight"].T, 0) ** 2
        x = x + hidden @ w[prefix + "mlp.out.weight"].T
    raw = rms_norm(x) @ w["unembedding.weight"].T
    return 15 * np.tanh(raw / 15)


def loss(w: Parameters, config: spec.Config, tokens: np.ndarray, targets: np.ndarray) -> float:
    """Mean nats of targets [B, T]."""
    z = logits(w, config, tokens)
    top = z.max(axis=-1, keepdims=True)
    log_sum = top[..., 0] + np.log(np.exp(z - top).sum(axis=-1))
    return float(np.mean(log_sum - np.take_along_axis(z, targets[..., None], axis=-1)[..., 0]))


POLAR = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]


def polar(g: np.ndarray) -> np.ndarray:
    """Five Polar-Express iterations on one matrix."""
    x = g / (np.sqrt((g**2).sum()) * 1.02 + 1e-6)
    for a, b, c in POLAR:
        if g.shape[0] <= g.shape[1]:
            s = x @ x.T
            x = a * x + (b * s + c * s @ s) @ x
        else:
            s = x.T @ x
            x = a * x + x @ (b * s + c * s @ s)
    return x


class Muon:
    """Muon with NorMuon's second moment and cautious decay, for one matrix."""

    def __init__(self, w: np.ndarray, rounding: float = 1e-4) -> None:
        self.w, self.rounding = w.copy(), rounding
        self.buffer = np.zeros_like(w)
        self.rows_have_moments = w.shape[0] >= w.shape[1]
        self.moments = np.zeros(w.shape[0] if self.rows_have_moments else w.shape[1])
        self.decided = np.ones(w.shape, bool)  # where rounding cannot turn the sign that cautious decay asks for

    def step(self, g: np.ndarray, lr: float, decay: float, momentum: float) -> None:
        rows, cols = self.w.shape
        lr = lr * max(1, rows / cols) ** 0.5
        self.buffer = self.buffer + (1 - momentum) * (g - self.buffer)
        u = polar(g + momentum * (self.buffer - g))
        axis = 1 if self.rows_have_moments else 0
        self.moments = 0.95 * self.moments + 0.05 * (u**2).mean(axis=axis)
        divided = u / np.expand_dims(np.sqrt(np.maximum(self.moments, 1e-10)), axis)
        u = divided * np.linalg.norm(u) / np.linalg.norm(divided)
        self.decided &= np.abs(u) > self.rounding * np.sqrt((u**2).mean())
        self.w = self.w - lr * u - lr * decay * self.w * (u * self.w >= 0)


class Adam:
    """Adam for one tensor, eps 1e-10, no decay."""

    def __init__(self, w: np.ndarray, betas: tuple[float, float]) -> None:
        self.w, self.betas = w.copy(), betas
        self.m, self.v, self.steps = np.zeros_like(w), np.zeros_like(w), 0

    def step(self, g: np.ndarray, lr: float) -> None:
        b1, b2 = self.betas
        self.steps += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        corrected = np.sqrt(self.v / (1 - b2**self.steps)) + 1e-10
        self.w = self.w - lr * (self.m / (1 - b1**self.steps)) / corrected


def adam_rule(name: str, dim: int) -> tuple[float, tuple[float, float]] | None:
    """Peak learning rate and betas of a tensor; None for Muon's."""
    width = (dim / 768) ** -0.5
    if name == "unembedding.weight":
        return 0.004 * width, (0.8, 0.95)
    if name == "embedding.weight" or name.startswith("value_embeddings."):
        return 0.6 * width, (0.8, 0.95)
    return {"lambda_resid": (0.005, (0.8, 0.95)), "lambda_x0": (0.5, (0.96, 0.95))}.get(name)
