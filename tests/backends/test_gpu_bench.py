"""bench/gpu.py cannot run on a card here; on a CPU it runs all but what only a card has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).parents[2] / "bench" / "gpu.py"


def bench(*words: str, limit: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=limit)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so() -> None:
    done = bench()
    assert done.returncode == 2
    assert done.stderr.startswith("bench/gpu.py needs an NVIDIA device: device cuda:")
    assert done.stderr.count("\n") == 1


def test_it_runs_through() -> None:
    done = bench("--device", "cpu", "--tiny", "--evaluations", "1", limit=300.0)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert [speed["attention"] for speed in figures["attention"]] == ["sdpa, cold", "sdpa"]
    for speed in figures["attention"]:
        assert speed["tokens_per_second"] > 0 or speed["trouble"] == "too few steps to tell"
    assert figures["baseline"]["train_seconds"] >= 3.0
    assert figures["audit"]["evaluations"] == 1
    assert figures["audit"]["not_scored"] == []
    assert figures["audit"]["largest_nats"] < 1e-4
