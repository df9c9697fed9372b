"""Peak memory of a training step at the reference shapes, with the chunked loss and with all logits at once.

    python bench/memory.py [--rows 2] [--device cpu]

T 2048, V 8192, 8 layers, width 512. Each way has a process of its own; on a CPU its figure is what the process held
most after its model and one step's worth of optimizer state were there (VmHWM), so it includes PyTorch itself, and the
difference between two numbers of rows does not. The last line is JSON. What is projected is marked so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

T, V, DEPTH = 2048, 8192, 8
WAYS = ("chunked", "plain")
PROJECTED_ROWS = 128
STEP = """
import re, sys, time
import torch
import torch.nn.functional as F
from backends.cuda import train
way, device, rows, length, vocab, depth = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

def plain(x, weight, targets, softcap):
    logits = F.linear(x, weight).float()
    return F.cross_entropy(softcap * torch.tanh(logits / softcap), targets)

if way == "plain":
    train.softcapped_cross_entropy = plain
torch.manual_seed(0)
cuda = device == "cuda"
model = train.build(train.Config(length, vocab, depth), device)
optimizer = train.MuonAdamW(model, torch.bfloat16 if cuda else torch.float32)
model.initialise()
batch = torch.randint(vocab, (rows, length + 1), device=device)
started = time.perf_counter()
loss = train.train_step(model, optimizer, [batch], 0.0).item()
seconds = time.perf_counter() - started
if cuda:
    peak = torch.cuda.max_memory_allocated() / 2**20
else:
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(peak, seconds, loss)
"""


def main() -> None:
    """A table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2, help="rows of the larger batch; the smaller has half of them")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--tiny", action="store_true", help="small shapes: to see that this bench runs")
    arguments = parser.parse_args()
    shapes = (64, 256, 2) if arguments.tiny else (T, V, DEPTH)
    few, many = max(arguments.rows // 2, 1), max(arguments.rows, 2)
    print(f"{'loss':<10}{'rows':>6}{'peak MB':>10}{'seconds':>9}{'loss':>9}")
    peak: dict[tuple[str, int], float] = {}
    for rows in (few, many):
        for way in WAYS:
            peak[way, rows], seconds, loss = measure(way, arguments.device, rows, shapes)
            print(f"{way:<10}{rows:>6}{peak[way, rows]:>10,.0f}{seconds:>9.1f}{loss:>9.4f}", flush=True)
    projected = {}
    for way in WAYS:
        a_row = (peak[way, many] - peak[way, few]) / (many - few)
        projected[way] = peak[way, many] + a_row * (PROJECTED_ROWS - many)
        print(f"{way:<10}{PROJECTED_ROWS:>6}{projected[way]:>10,.0f}   projected from the two above, not measured")
    ratio = peak["plain", many] / peak["chunked", many]
    print(f"plain / chunked at {many} rows: {ratio:.2f}")
    figures = {f"{way}_{rows}_rows_peak_mb": round(mb) for (way, rows), mb in peak.items()}
    figures |= {f"{way}_{PROJECTED_ROWS}_rows_projected_mb": round(mb) for way, mb in projected.items()}
    print(json.dumps({"device": arguments.device, "dtype": "bf16 autocast" if arguments.device == "cuda" else "float32",
                      **figures, "plain_over_chunked": round(ratio, 3)}))  # fmt: skip


def measure(way: str, device: str, rows: int, shapes: tuple[int, int, int]) -> tuple[float, float, float]:
    """Peak MB, seconds and loss of one step, in a process of its own."""
    argv = [sys.executable, "-c", STEP, way, device, str(rows), *map(str, shapes)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=1200)
    peak, seconds, loss = map(float, done.stdout.split())
    return peak, seconds, loss


if __name__ == "__main__":
    main()
