"""The `sample` verb of MLX: loads the artifact's trained model and predicts, one row at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from backends.mlx.serve import checked_logits, import_artifact
from backends.reference import sample
from backends.reference.allocator import keep_freed_memory


def main() -> None:
    """Continue a text; see backends.reference.sample. On a GPU this is untested."""
    keep_freed_memory()
    sample.main(load)


def load(checkpoint: Path, device: str, settings: Mapping[str, Any]) -> sample.Predict:
    """The model of a checkpoint, by the artifact in the current folder. Raises whatever the artifact raises."""
    train = import_artifact(Path.cwd())
    model = train.load(checkpoint, device)

    def predict(row: np.ndarray, position: int) -> np.ndarray:
        """The logits [V] after one position of an int64 row [T]."""
        return np.array(checked_logits(train, model, mx.array(row.astype(np.int32))[None])[0, position])

    return predict
