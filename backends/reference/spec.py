"""What both backends agree on: profiles, and (below) the shapes, names and initial values of the reference GPT."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes for one kind of machine. The first block is locked (task settings); the second block is where the
    artifact's constants start, and the agent may change them."""

    name: str
    sequence_length: int  # T
    vocab_size: int  # special tokens included
    eval_tokens: int  # validation tokens scored: a multiple of eval_batch_rows * sequence_length
    eval_batch_rows: int

    depth: int
    total_batch_size: int  # tokens a step
    device_batch_size: int  # rows a forward pass


PROFILES = {
    p.name: p
    for p in (
        Profile("cpu", 256, 2048, 262_144, 32, 2, 8_192, 16),
        Profile("gpu-80gb", 2048, 8192, 40 * 524_288, 128, 8, 2**19, 128),
    )
}
