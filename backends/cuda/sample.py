"""The `sample` verb of PyTorch: loads the artifact's trained model and predicts, one row at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backends.cuda.serve import import_artifact, take_device
from backends.reference import sample
from backends.reference.allocator import keep_freed_memory


def main() -> None:
    """Continue a text; see backends.reference.sample. On a GPU this is untested."""
    keep_freed_memory()
    sample.main(load)


def load(checkpoint: Path, device: str, settings: Mapping[str, Any]) -> sample.Predict:
    """The model of a checkpoint, by the artifact in the current folder. Raises whatever the artifact raises."""
    take_device(device, settings)
    train = import_artifact(Path.cwd())
    model = train.load(checkpoint, device)

    def predict(row: np.ndarray, position: int) -> np.ndarray:
        """The logits [V] after one position of an int64 row [T]."""
        with torch.inference_mode():
            logits = train.logits(model, torch.from_numpy(row)[None].to(device))  # [1, T, V]
        found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        if not isinstance(logits, torch.Tensor) or logits.dim() != 3 or list(logits.shape[:2]) != [1, len(row)]:
            raise ValueError(f"logits(model, tokens) returned {found}, not [B, T, V] = [1, {len(row)}, V]")
        answer: np.ndarray = logits[0, position].float().cpu().numpy()
        return answer

    return predict
