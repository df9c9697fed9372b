"""Peak memory of MLX's training step with chunked attention and with T×T scores, and whether both say the same.

    python bench/mlx_memory.py [--rows 4] [--depth 2] [--vocab 1024]

Rows of T = 2,048 tokens on MLX's CPU build in float32 (a Mac's bf16 stream takes half of the activations). Memory is
what MLX's allocator had handed out at most, weights, gradients and optimizer included: "needed" is where MLX waits for
the work under way before it takes more, as it does where memory is short; "taken" is where it queues up to ten
operations, and takes their memory, ahead of the one at work. About three minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from backends.mlx import attention, train

T = 2048
Gradients = dict[str, mx.array]


@dataclass(frozen=True)
class Windowed(train.Config):
    """The reference GPT with one window in every layer; 0: its own windows."""

    every: int = 256

    def window(self, layer: int) -> int:
        return self.every or super().window(layer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4, help="rows a pass")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=1024)
    words = parser.parse_args()
    sizes = f"{words.depth} layers, {words.rows} rows of {T:,} tokens, V = {words.vocab:,}"
    print(f"MLX {mx.__version__} on a CPU, float32: {sizes}")
    print(f"{'windows':<14}{'memory':<9}{'attention':<12}{'peak MB':>9}{'step s':>8}")
    room = mx.set_memory_limit(1)
    for every, memory, limit in ((256, "needed", 1), (256, "taken", room), (0, "needed", 1)):
        config = Windowed(T, words.vocab, words.depth, every)
        mx.set_memory_limit(limit)
        results = [measure(config, words.rows, attend) for attend in (attention.dense, attention.attend)]
        label = f"{every}" if every else f"{T // 2:,}, {T:,}"
        for name, (peak, seconds, _, _) in zip(("T×T", "chunked"), results, strict=True):
            print(f"{label:<14}{memory:<9}{name:<12}{peak:>9,.0f}{seconds:>8.1f}", flush=True)
        (dense, _, loss, gradients), (chunked, _, other, others) = results
        worst = max(apart(others[name], g) for name, g in gradients.items())
        print(
            f"  {chunked / dense:.2f} of the memory; loss {other:.6f} against {loss:.6f}, gradients within {worst:.1e}"
        )


def measure(
    config: train.Config, rows: int, attend: Callable[[mx.array, mx.array, mx.array, int], mx.array]
) -> tuple[float, float, float, dict[str, np.ndarray]]:
    """One optimizer step: peak memory in MB, seconds, loss and gradients."""
    train.attend = attend
    model = train.build(config, "cpu")
    optimizer = train.MuonAdamW(model, mx.float32)
    mx.random.seed(1)
    model.initialise()
    for block in model.blocks:  # 0 at the start, and no gradient would pass through
        for matrix in (block.attention.out, block.mlp.out):
            matrix.weight = mx.random.normal(matrix.weight.shape, scale=0.02)
    mx.eval(model.state, optimizer.state)
    seen: Gradients = {}
    real = optimizer.step

    def step_and_keep(gradients: Gradients, told: dict[str, mx.array]) -> None:
        seen.update(gradients)
        real(gradients, told)

    optimizer.step = step_and_keep  # type: ignore[method-assign]
    batch = mx.array(np.random.default_rng(2).integers(config.vocab_size, size=(rows, T + 1)).astype(np.uint16))
    mx.clear_cache()
    mx.reset_peak_memory()
    began = time.perf_counter()
    loss = train.train_step(model, optimizer)([batch], 0.0)
    mx.eval(loss, model.state, optimizer.state, seen)
    seconds = time.perf_counter() - began
    peak = mx.get_peak_memory() / 2**20
    return peak, seconds, loss.item(), {name: np.array(g) for name, g in seen.items()}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm of b; 0 where both are 0."""
    length = np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / length) if length else float(np.linalg.norm(a))


if __name__ == "__main__":
    main()
