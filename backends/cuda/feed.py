"""Training rows on the device, batch after batch, in the order in which they are stored.

A CPU reads them where they lie. On CUDA they move into the card's memory once if they fit there, a slice ahead of the
reader; else every batch goes through a ring of pinned buffers, each refilled only after its last copy has left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from backends.reference.harness import spans

SLICE_BYTES = 32 << 20  # what is uploaded at a time: some milliseconds
RING = 3  # pinned buffers
_MOST_OF_FREE_MEMORY = 0.5  # rows may take this part of it

Place = Literal["host", "device", "ring"]


def place_for(rows: np.ndarray, device: str) -> Place:
    """Where rows uint16 [N, T+1] are kept for this device. Ask once everything else has its memory."""
    if not device.startswith("cuda"):
        return "host"
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return "device" if rows.nbytes <= _MOST_OF_FREE_MEMORY * free_bytes else "ring"


def batches(rows: np.ndarray, batch_rows: int, device: str, place: Place | None = None) -> Iterator[Tensor]:
    """Endless int64 [batch_rows, T+1] on the device: rows uint16 [N, T+1] as stored, after the last the first again.

    `place`: see place_for, which chooses. "device" and "ring" are untested: they need an NVIDIA card.
    """
    place = place or place_for(rows, device)
    if place == "device":
        return _resident(rows, batch_rows, device)
    return _through_ring(rows, batch_rows, device) if place == "ring" else _from_host(rows, batch_rows, device)


def _from_host(rows: np.ndarray, batch_rows: int, device: str) -> Iterator[Tensor]:
    for span in spans(len(rows), batch_rows):
        yield torch.from_numpy(rows[span].astype(np.int64)).to(device)


def _tokens(stored: Tensor) -> Tensor:
    """Torch does little with uint16: what is stored as int16 [b, T+1] becomes int64 tokens."""
    return stored.to(torch.int64) & 0xFFFF


@dataclass(frozen=True, slots=True)
class _Buffer:
    """Pinned host memory int16 [n, T+1], and the event after which its last copy has left."""

    memory: Tensor
    gone: torch.cuda.Event

    @classmethod
    def ring(cls, rows: int, columns: int) -> list[_Buffer]:
        pinned = (torch.empty(rows, columns, dtype=torch.int16, pin_memory=True) for _ in range(RING))
        return [cls(memory, torch.cuda.Event()) for memory in pinned]

    def upload(self, rows: np.ndarray, into: Tensor) -> None:
        """Queue a copy of uint16 rows on the current stream."""
        self.gone.synchronize()  # one that was never recorded is over already
        mine = self.memory[: len(rows)]
        np.copyto(mine.numpy(), rows.view(np.int16))
        into.copy_(mine, non_blocking=True)
        self.gone.record()


def _through_ring(rows: np.ndarray, batch_rows: int, device: str) -> Iterator[Tensor]:
    ring = _Buffer.ring(batch_rows, rows.shape[1])
    for number, span in enumerate(spans(len(rows), batch_rows)):
        batch = torch.empty(batch_rows, rows.shape[1], dtype=torch.int16, device=device)
        ring[number % RING].upload(rows[span], batch)
        yield _tokens(batch)


def _resident(rows: np.ndarray, batch_rows: int, device: str) -> Iterator[Tensor]:
    total, columns = rows.shape
    slice_rows = max(1, SLICE_BYTES // (2 * columns))
    ring = _Buffer.ring(min(slice_rows, total), columns)
    stored = torch.empty(total, columns, dtype=torch.int16, device=device)
    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))  # the memory may still be in use by what it held before
    arrived: list[torch.cuda.Event] = []  # one a slice
    waited_for = 0
    for span in spans(total, batch_rows):
        last_row = (span.stop if isinstance(span, slice) else total) - 1
        needed = last_row // slice_rows + 1  # slices
        while len(arrived) * slice_rows < total and len(arrived) <= needed:  # one more than this batch reads
            start = len(arrived) * slice_rows
            piece = slice(start, min(start + slice_rows, total))
            with torch.cuda.stream(beside):
                ring[len(arrived) % RING].upload(rows[piece], stored[piece])
                arrived.append(torch.cuda.Event())
                arrived[-1].record()
        for event in arrived[waited_for:needed]:
            torch.cuda.current_stream(device).wait_event(event)
        waited_for = max(waited_for, needed)
        yield _tokens(stored[span] if isinstance(span, slice) else stored[torch.from_numpy(span).to(device)])
