"""A self-test for owners of a Mac, about three minutes; paste what it prints into an issue.

    python bench/mac_check.py [--seconds 60]

Numbers against stored ones, a training at this machine's sizes, its memory, a small run through the whole line, and
the cockpit's first paint. It has run on Linux only, with MLX's CPU build; there it says nothing about a Mac.
"""

from __future__ import annotations

import argparse
import os
import platform
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from backends.mlx import attention, devices, train
from backends.reference import rehearsal, scaffold, spec
from backends.reference.profiles import METAL, Device, profile_for

T, V, DEPTH = 64, 256, 3
# By PyTorch on a CPU in float32: the loss, and norms of gradients.
LOSS = 6.088856
GRADIENTS = {
    "embedding.weight": 1.300573,
    "value_embeddings.0.weight": 0.02493082,
    "lambda_x0": 0.05296749,
    "blocks.1.attention.q.weight": 0.3055254,
    "blocks.1.mlp.out.weight": 1.782149,
    "blocks.2.attention.gate.weight": 0.001162026,
    "unembedding.weight": 1.038580,
}
ALLOWED = {"cpu": 1e-4, "bf16": 3e-2}  # relative
LIMIT_SECONDS = 240.0
Check = Callable[[Device, float], str]


class Wrong(Exception):
    """A check failed; the message says how."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of training")
    seconds = parser.parse_args().seconds
    device = devices.find("auto")
    print(f"mac-check: {platform.platform()}, python {platform.python_version()}, mlx {mx.__version__}")
    print(f"{device.name}: {device.description}, {device.memory_mb:,} MB")
    if device.name != "metal":
        print("no Apple Silicon here: what follows says nothing about a Mac")
    failed = 0
    for name, check in CHECKS.items():
        began = time.monotonic()
        try:
            glyph, said = "ok", check(device, seconds)
        except (Wrong, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            failed, glyph, said = failed + 1, "FAILED", f"{type(error).__name__}: {error}"
        print(f"{glyph:<7}{name:<12}{said} ({time.monotonic() - began:.0f} s)", flush=True)
    print(last_line(device, failed))
    sys.exit(failed > 0 or device.name != METAL)  # what tested no Mac must not look like a pass


def last_line(device: Device, failed: int) -> str:
    if failed:
        return f"{failed} of {len(CHECKS)} failed"
    return "all well" if device.name == METAL else "NOT TESTED: all well, but this is not a Mac with Apple Silicon"


# --- numbers ---------------------------------------------------------------------------------------------------------


def drawn_weights() -> dict[str, np.ndarray]:
    """Every tensor of the reference GPT from one seed, none of them zero."""
    rng = np.random.default_rng(1)
    shapes = spec.shapes(spec.Config(T, V, DEPTH))
    return {
        name: (rng.normal(size=shape) * (shape[-1] ** -0.5 if len(shape) > 1 else 1.0)).astype(np.float32)
        for name, shape in sorted(shapes.items())
    }


def loss_and_gradients(device: str) -> tuple[float, dict[str, float]]:
    """The loss of that model on rows from a seed, and the norm of each gradient."""
    model = train.build(train.Config(T, V, DEPTH), device)
    dtypes = {name: w.dtype for name, w in train.weights_of(model).items()}
    model.load_weights([(name, mx.array(w).astype(dtypes[name])) for name, w in drawn_weights().items()])
    rows = mx.array(np.random.default_rng(2).integers(V, size=(4, T + 1)).astype(np.uint16))
    loss, tree = nn.value_and_grad(model, lambda tokens, targets: model(tokens, targets))(rows[:, :-1], rows[:, 1:])
    gradients = ((name, np.array(g.astype(mx.float32)).astype(np.float64)) for name, g in tree_flatten(tree))
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients}
    return loss.item(), norms


def numbers(device: Device, seconds: float) -> str:
    said = []
    for name in dict.fromkeys(("cpu", device.name)):
        allowed = ALLOWED["cpu" if name == "cpu" else "bf16"]
        loss, norms = loss_and_gradients(name)
        apart = {"loss": loss / LOSS - 1, **{key: norms[key] / norm - 1 for key, norm in GRADIENTS.items()}}
        worst = max(apart, key=lambda key: abs(apart[key]))
        if not abs(apart[worst]) <= allowed:  # NaN fails too
            raise Wrong(f"on {name} {worst} is {apart[worst]:+.1e} off, {allowed:.0e} is allowed")
        said.append(f"{name} within {abs(apart[worst]):.0e}")
    return ", ".join(said)


def compiled(device: Device, seconds: float) -> str:
    """Three steps compiled and as written, from the same start. A CPU does not compile."""
    if device.name == "cpu":
        return "nothing is compiled on a CPU"
    ends = []
    rows = np.random.default_rng(3).integers(V, size=(3, 4, T + 1)).astype(np.uint16)
    for compile_step in (False, True):
        model = train.build(train.Config(T, V, DEPTH), device.name)
        optimizer = train.MuonAdamW(model, train.precision(device.name))
        mx.random.seed(4)
        model.initialise()
        step = train.train_step(model, optimizer, compile_step)
        for batch in rows:
            loss = step([mx.array(batch)], 0.2)
            mx.eval(loss, model.state, optimizer.state)
        ends.append(loss.item())
    if not abs(ends[0] - ends[1]) <= 0.05:
        raise Wrong(f"loss {ends[1]:.4f} compiled, {ends[0]:.4f} as written")
    return f"loss {ends[1]:.4f} after three steps, {ends[0]:.4f} as written"


def chunks(device: Device, seconds: float) -> str:
    """Chunked attention against the dense statement, at the reference's row length, and their memory."""
    length = 2048
    mx.set_default_device(mx.cpu if device.name == "cpu" else mx.gpu)
    shape = (1, 2, length, train.HEAD_DIM)
    q, k, v, wanted = (mx.random.normal(shape).astype(train.precision(device.name)) for _ in range(4))
    mx.eval(q, k, v, wanted)
    found, peaks = [], []
    for attend in (attention.dense, attention.chunked):
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        out, gradients = mx.vjp(lambda q, k, v, attend=attend: attend(q, k, v, length // 2), [q, k, v], [wanted])
        mx.eval(out, gradients)
        peaks.append((mx.get_peak_memory() - before) / 2**20)
        found.append([np.array(x.astype(mx.float32)) for x in (*out, *gradients)])
    apart = max(float(np.linalg.norm(b - a) / np.linalg.norm(a)) for a, b in zip(*found, strict=True))
    if not apart <= (1e-5 if device.name == "cpu" else 3e-2):
        raise Wrong(f"{apart:.1e} apart")
    return f"within {apart:.0e} of the dense statement, {peaks[1]:,.0f} MB instead of {peaks[0]:,.0f}"


# --- the whole line --------------------------------------------------------------------------------------------------


def training(device: Device, seconds: float) -> str:
    """One trial of the packaged train.py on random tokens with this machine's profile."""
    profile = profile_for(device, "auto")
    sizes = {"sequence_length": profile.sequence_length, "vocab_size": profile.vocab_size}
    with tempfile.TemporaryDirectory(prefix="autoresearch-mac-check-") as scratch:
        task = Path(scratch) / "task"
        scaffold.write(Path(train.__file__).parent, task, profile)
        source = (task / "train.py").read_text(encoding="utf-8")
        deadline = time.monotonic() + seconds + LIMIT_SECONDS
        order = rehearsal.Order(task, source, device.name, sizes, profile.device_batch_size, seconds, deadline)
        (Path(scratch) / "trial").mkdir()
        report = rehearsal.rehearse(order, Path(scratch) / "trial")
    if report.trouble or len(report.steps) < 3:
        raise Wrong(report.trouble or "too few steps: give it more with --seconds")
    (began, first), (ended, last) = report.steps[1], report.steps[-1]
    rate = profile.total_batch_size * (last - first) / (ended - began)
    return f"profile {profile.name}: {rate:,.0f} tokens/s over {last} steps, {report.memory_mb:,.0f} MB at most"


def run(device: Device, seconds: float) -> str:
    """A baseline and one experiment through engine, trials and scoring, at the sizes of the demo."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-mac-check-") as scratch:
        options = ["--backend", "mlx", "--profile", "demo", "--dataset", "stdlib"]
        _autoresearch(Path(scratch), "init", "work", *options)
        words = ("run", "--backend", "mlx", "--plain", "--budget", "5", "--experiments", "1", "--tag", "check")
        said = _autoresearch(Path(scratch) / "work", *words)
    best = [line for line in said.splitlines() if line.startswith("best: ")]
    if not best:
        raise Wrong(said.strip().splitlines()[-1])
    return best[0]


def _autoresearch(folder: Path, *words: str) -> str:
    argv = [sys.executable, "-P", "-c", "from tui.cli import main; main()", *words]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS
    )
    if done.returncode:
        raise Wrong((done.stderr.strip().splitlines() or [f"{words[0]} ended with {done.returncode}"])[-1])
    return done.stdout


def first_paint(device: Device, seconds: float) -> str:
    """From the command to the first words on a terminal of 80 × 24."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-mac-check-") as scratch:
        began = time.monotonic()
        pid, terminal = pty.fork()
        if pid == 0:  # nothing but exec may come here
            os.chdir(scratch)
            env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
            os.execve(sys.executable, [sys.executable, "-P", "-c", "from tui.cli import main; main()"], env)
        try:
            seen = b""
            while b"autoresearch" not in seen:
                if not select.select([terminal], [], [], 20.0)[0]:
                    raise Wrong("nothing was painted within 20 s")
                seen += os.read(terminal, 65_536)
            return f"{time.monotonic() - began:.2f} s"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)


CHECKS: dict[str, Check] = {
    "numbers": numbers,
    "chunks": chunks,
    "compiled": compiled,
    "training": training,
    "run": run,
    "first paint": first_paint,
}

if __name__ == "__main__":
    main()
