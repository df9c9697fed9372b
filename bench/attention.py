"""Every way of computing attention that this machine has: milliseconds forward and backward, and the FLOP rate.

    python bench/attention.py [--rows 16] [--device cuda]

Shapes of the reference size (T 2048, 4 heads of 128), full and half window. Ways take turns, so that the machine's
moods meet each of them. FLOPs count only the pairs that a query sees. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings

import torch

from backends.cuda import paths
from backends.cuda.attention import choose_attention

T, HEADS, HEAD_DIM = 2048, 4, 128


def main() -> None:
    """A table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, help="16; on a CPU 1")
    parser.add_argument("--length", type=int, default=T)
    parser.add_argument("--rounds", type=int, help="20; on a CPU 3")
    given = parser.parse_args()
    cuda = given.device.startswith("cuda")
    rows, rounds = given.rows or (16 if cuda else 1), given.rounds or (20 if cuda else 3)
    warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
    capability = torch.cuda.get_device_capability(given.device) if cuda else None
    usable = [path.name for path in paths.attention_paths(capability) if path.usable]
    print(f"{'attention':<10}{'window':>8}{'forward ms':>12}{'and backward':>14}{'TFLOP/s':>9}")
    figures = []
    for window in (given.length // 2, given.length):
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in usable}
        for turn in range(rounds + 1):  # the first warms up
            for name in usable:
                spans = step(given.device, name, rows, given.length, window)
                seconds[name] += [spans] if turn else []
        pairs = sum(min(position, window) + 1 for position in range(given.length))
        flops = 3 * 4 * rows * HEADS * HEAD_DIM * pairs  # two products forward, four backward
        for name, spans in seconds.items():
            forward, both = (statistics.median(column) for column in zip(*spans, strict=True))
            print(f"{name:<10}{window:>8}{1e3 * forward:>12.2f}{1e3 * both:>14.2f}{flops / both / 1e12:>9.1f}")
            figures.append({"attention": name, "window": window, "forward_ms": round(1e3 * forward, 3),
                            "both_ms": round(1e3 * both, 3)})  # fmt: skip
    print(json.dumps({"device": given.device, "rows": rows, "length": given.length, "ways": figures}))


def step(device: str, name: str, rows: int, length: int, window: int) -> tuple[float, float]:
    """Seconds of the forward pass, and of it with the backward pass."""
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    q, k, v = (
        torch.randn(rows, length, HEADS, HEAD_DIM, device=device, dtype=dtype).requires_grad_() for _ in range(3)
    )
    attend = choose_attention(device, name)
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    wait()
    started = time.perf_counter()
    out = attend(q, k, v, window)
    wait()
    forward = time.perf_counter() - started
    out.backward(torch.ones_like(out))
    wait()
    return forward, time.perf_counter() - started


if __name__ == "__main__":
    main()
