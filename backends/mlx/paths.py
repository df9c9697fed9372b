"""How attention is computed for rows of a length. No MLX in here: `check` asks where it is not installed."""

from __future__ import annotations

CHUNK = 256  # queries; shorter rows are one chunk, and that is the dense statement


def attention_name(sequence_length: int) -> str:
    """Which of the two rows of this length get."""
    return "dense" if sequence_length <= CHUNK else f"chunks of {CHUNK}"
