"""Is this file a checkpoint? The one thing of a trial that passes on, looked at before anything loads it.

The safetensors format: a little-endian u64 with the size of the head; the head, a JSON object of name -> {dtype,
shape, data_offsets}; the tensors' bytes. https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backends.reference.profiles import PROFILES

_HEAD_LIMIT = 100_000_000  # bytes; the format's own
_STEP = 1 << 24  # bytes looked at in one go
# dtype -> its bytes, and the bits that are all set in an infinity or a NaN (None: every pattern is a number)
_DTYPES: dict[str, tuple[int, int | None]] = {
    "F64": (8, 0x7FF0_0000_0000_0000),
    "F32": (4, 0x7F80_0000),
    "F16": (2, 0x7C00),
    "BF16": (2, 0x7F80),
    "F8_E5M2": (1, 0x7C),
    "F8_E4M3": (1, 0x7F),
    **{name: (size, None) for size in (1, 2, 4, 8) for name in (f"I{8 * size}", f"U{8 * size}")},
    "BOOL": (1, None),
}


class BadCheckpoint(Exception):
    """No safetensors file of finite numbers; the message says what is wrong with it."""


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Returns its metadata, which is the artifact's own words. Raises FileNotFoundError if nothing is there,
    BadCheckpoint if it is anything but a sane safetensors file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadCheckpoint(f"cannot be opened as a regular file: {os.strerror(error.errno or 0)}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise BadCheckpoint("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return _check_tensors(file, status.st_size)


def of_other_sizes(metadata: Mapping[str, Any], sequence_length: int, vocab_size: int) -> str:
    """One more line where a checkpoint says that it was trained with other sizes than a run's; else nothing."""
    theirs = tuple(str(metadata.get(name, ""))[:20] for name in ("sequence_length", "vocab_size"))
    if "" in theirs or theirs == (str(sequence_length), str(vocab_size)):
        return ""
    fitting = [p.name for p in PROFILES.values() if (str(p.sequence_length), str(p.vocab_size)) == theirs]
    which = f", those of profile {fitting[0]}: autoresearch init DIR --profile {fitting[0]}" if fitting else ""
    return (
        f"\nthe checkpoint was trained with rows of {theirs[0]} tokens and a vocabulary of {theirs[1]}, this run has "
        f"rows of {sequence_length} and {vocab_size}; score it in a run with its sizes{which}"
    )


def _check_tensors(file: BinaryIO, size: int) -> dict[str, Any]:
    head_bytes = int.from_bytes(file.read(8), "little")
    if not 2 <= head_bytes <= min(_HEAD_LIMIT, size - 8):
        raise BadCheckpoint(f"not a safetensors file, or not all of one ({size:,} bytes)")
    try:
        head = json.loads(file.read(head_bytes))
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint("not a safetensors file: its head is no JSON") from error
    if not isinstance(head, dict):
        raise BadCheckpoint("the head is no object")
    metadata = head.pop("__metadata__", None)
    if not head:
        raise BadCheckpoint("it holds no tensor")
    for name, entry in head.items():
        _check_tensor(file, 8 + head_bytes, size, str(name)[:80], entry)
    return metadata if isinstance(metadata, dict) else {}


def _check_tensor(file: BinaryIO, origin: int, size: int, name: str, entry: Any) -> None:
    try:
        item_bytes, mask = _DTYPES[entry["dtype"]]
        count = math.prod(_whole(n) for n in entry["shape"])
        begin, end = (_whole(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"tensor {name}: no dtype, shape and offsets that make sense") from error
    if end - begin != count * item_bytes or origin + end > size:
        raise BadCheckpoint(f"tensor {name}: its bytes and its shape disagree")
    if mask is None:
        return
    file.seek(origin + begin)
    for start in range(0, end - begin, _STEP):
        bits = np.frombuffer(file.read(min(_STEP, end - begin - start)), f"<u{item_bytes}")
        if np.any((bits & bits.dtype.type(mask)) == mask):
            raise BadCheckpoint(f"tensor {name} holds NaN or infinity")


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(number)
    return number
