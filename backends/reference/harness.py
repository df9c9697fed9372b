"""What an artifact's train.py talks to: rows, budget clock, seed, pause, telemetry and checkpoint of one trial.

    trial = harness.connect()            # device, seed, settings, train_seconds; what the engine wrote for this trial
    …                                    # import, build, compile, initialise: not counted
    trial.ready()                        # asks for the rows; the clock starts when they come
    batches = trial.batches(rows=16)     # [rows, T+1] uint16, the order stored by `prepare`
    while not trial.over:
        …                                # one optimizer step at trial.progress in [0, 1]
        trial.step(loss, tokens)         # NaN ends the trial here; so does a pause hold here
    trial.done(save, …)                  # checkpoint complete, then DONE: the engine ends the process

Locked: an edit never reaches this file. It runs inside the trial, so nothing it says is trusted; the engine keeps its
own time and the evaluator its own numbers. The socket's messages are in docs/architecture.md. numpy only: no torch.
"""

from __future__ import annotations

import gc
import io
import json
import math
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.lib import format as npy

from backends.reference import profiles
from backends.reference.allocator import keep_freed_memory
from backends.reference.control import Control, leave

VARIABLE = "AUTORESEARCH_TRIAL"
REPORT_SECONDS = 0.1  # telemetry at most this often
UNTIMED_STEPS = 10  # left out of the MFU figure, as the original does
LARGEST_LOSS = 100.0


def connect() -> Trial:
    """The trial this process was started for. Exits with one line where there is none (code 2)."""
    path = os.environ.get(VARIABLE)
    if not path:
        leave(f"{Path(sys.argv[0]).name} is started by the engine: use `autoresearch run` (or `autoresearch demo`)", 2)
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    if told.get("control") is None:
        leave(f"{path}: no control socket; the reference task needs an engine that hands over rows", 2)
    keep_freed_memory()
    return Trial(told, socket.socket(fileno=int(told["control"])))


class Trial:
    """One trial, seen from inside. Attributes are read only; `steps` counts finished steps."""

    def __init__(self, told: Mapping[str, Any], control: socket.socket) -> None:
        self.device: str = told["device"]
        self.seed: int = told["seed"]
        self.settings: Mapping[str, Any] = told["settings"]
        self.train_seconds: float = told["budget"]["train_seconds"]
        self.checkpoint = Path(told["checkpoint"])
        self.steps = 0
        self._control = Control(control)
        self._clock = Clock()
        self._rows = np.zeros((0, 0), np.uint16)  # [N, T+1] once ready
        self._meter = _Meter()
        self._memory_mb: Callable[[], float] | None = None
        self._settle: Callable[[], object] = lambda: None

    def ready(
        self,
        flops_per_token: float = 0.0,
        accelerator: str = "",
        memory_mb: Callable[[], float] | None = None,
        settle: Callable[[], object] = lambda: None,
    ) -> None:
        """Everything is built: get the training rows and start the clock.

        flops_per_token and accelerator (the card's name) make the MFU figure. memory_mb reads the device's peak memory;
        without it telemetry shows the process's own. settle waits for work that a device has still queued: a pause must
        find it done, or it would go on uncounted.
        """
        self._memory_mb, self._settle = memory_mb, settle
        self._meter = _Meter(flops_per_token, profiles.peak_flops(accelerator))
        self._control.send({"type": "ready"})
        self._rows = map_rows(self._control.wait_for_go())
        self._clock.start()

    @property
    def rows(self) -> np.ndarray:
        """The training rows uint16 [N, T+1], mapped read only; none before `ready`."""
        return self._rows

    def batches(self, rows: int) -> Iterator[np.ndarray]:
        """Endless [rows, T+1] uint16: the rows as they are stored, from the first again after the last."""
        for span in spans(len(self._rows), rows):
            yield self._rows[span]

    @property
    def progress(self) -> float:
        """Counted time over the budget, in [0, 1]."""
        return min(self._clock.seconds / self.train_seconds, 1.0)

    @property
    def over(self) -> bool:
        """Whether the budget is spent. Ask between steps; a step that has begun is finished."""
        return self._clock.seconds >= self.train_seconds

    def step(self, loss: float, tokens: int) -> None:
        """Report a finished optimizer step of `tokens` tokens; hold here while the engine has paused the trial.

        Ends the process on a loss that is NaN, infinite or above 100.
        """
        self.steps += 1
        if not math.isfinite(loss) or loss > LARGEST_LOSS:
            self.failed("nan", f"loss {loss:g} at step {self.steps}")
        seconds = self._clock.seconds
        self._meter.count(self.steps, tokens, seconds)
        rate = self._meter.report(seconds)
        if rate is not None:
            self._control.send_or_drop(self._telemetry(loss, seconds, rate))
        if self.steps == 1:  # what start-up left behind is garbage now or never: spare later steps the search for it
            gc.collect()
            gc.freeze()
            gc.disable()
        self._hold_if_asked()

    def failed(self, reason: str, detail: str) -> NoReturn:
        """Give the trial up (`nan`, `oom`): the engine is told why, the process exits with 1."""
        self._control.send({"type": "failed", "reason": reason, "detail": detail[:2000]})
        leave(f"{reason}: {detail}", 1)

    def done(self, save: Callable[[Path, dict[str, str]], None], depth: int, num_params: int) -> None:
        """Write the checkpoint and say DONE; the engine ends the process from there.

        save(path, metadata) writes safetensors; it gets a temporary name beside the checkpoint, which takes its place
        once it is complete, and the metadata that `load` will need.
        """
        unfinished = self.checkpoint.with_name(self.checkpoint.name + ".part")
        save(unfinished, {key: str(self.settings[key]) for key in ("sequence_length", "vocab_size")})
        os.replace(unfinished, self.checkpoint)
        mfu = self._meter.mfu
        summary = {
            "num_steps": self.steps,
            "total_tokens_M": round(self._meter.tokens / 1e6, 3),
            "num_params_M": round(num_params / 1e6, 3),
            "depth": depth,
            "mfu_percent": None if mfu is None else round(100 * mfu, 2),
            "peak_memory_mb": round(self._memory_mb(), 1) if self._memory_mb else None,
        }
        self._control.send({"type": "done", "summary": summary})

    def _hold_if_asked(self) -> None:
        held_seconds = 0.0
        if self._control.pause_asked():
            self._settle()
            self._clock.stop()
            self._control.hold(self.steps)
            held_seconds = self._clock.start()
        frozen_seconds = self._control.take_frozen_seconds()
        if frozen_seconds > held_seconds:  # else the engine froze us within the hold, and nothing was counted
            self._clock.take_off(frozen_seconds)

    def _telemetry(self, loss: float, seconds: float, rate: float) -> dict[str, Any]:
        return {
            "type": "step",
            "step": self.steps,
            "loss": round(loss, 6),
            "progress": round(min(seconds / self.train_seconds, 1.0), 5),
            "tokens_per_second": round(rate, 1),
            "memory_mb": round(self._memory_mb() if self._memory_mb else _peak_resident_mb(), 1),
            "eta_seconds": round(max(self.train_seconds - seconds, 0.0), 2),
            "mfu": None if self._meter.mfu is None else round(self._meter.mfu, 4),
        }


def spans(total: int, batch_rows: int) -> Iterator[slice | np.ndarray]:
    """Which of `total` rows make each batch, without end: a slice, or indices where it begins again."""
    start = 0
    while True:
        end = start + batch_rows
        yield slice(start, end) if end <= total else np.arange(start, end) % total
        start = end % total


class Clock:
    """Counted seconds: monotonic time between start and stop, summed."""

    def __init__(self) -> None:
        self._counted = 0.0
        self._since: float | None = None  # None: it stands still
        self._stopped = time.monotonic()

    def start(self) -> float:
        """Returns the seconds since `stop`."""
        now = time.monotonic()
        stood_still, self._stopped, self._since = now - self._stopped, now, now
        return stood_still

    def stop(self) -> None:
        self._counted, self._since, self._stopped = self.seconds, None, time.monotonic()

    def take_off(self, seconds: float) -> None:
        """These were spent frozen from outside and do not count."""
        self._counted -= seconds

    @property
    def seconds(self) -> float:
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return max(self._counted + running, 0.0)


class _Meter:
    """Tokens, their rate since the last report, and the model FLOPs utilisation."""

    def __init__(self, flops_per_token: float = 0.0, peak_flops: float | None = None) -> None:
        self.tokens = 0
        self.mfu: float | None = None
        self._flops = flops_per_token / peak_flops if peak_flops else 0.0
        self._warm: tuple[int, float] | None = None  # tokens and seconds when the untimed steps were over
        self._reported = (0, 0.0)

    def count(self, step: int, tokens: int, seconds: float) -> None:
        self.tokens += tokens
        if self._flops and step == UNTIMED_STEPS:
            self._warm = (self.tokens, seconds)
        elif self._warm and seconds > self._warm[1]:
            self.mfu = self._flops * (self.tokens - self._warm[0]) / (seconds - self._warm[1])

    def report(self, seconds: float) -> float | None:
        """Tokens a second since the last report; None while that is too recent for another."""
        tokens, since = self._reported
        if tokens and seconds - since < REPORT_SECONDS:
            return None
        self._reported = self.tokens, seconds
        return (self.tokens - tokens) / max(seconds - since, 1e-9)


def map_rows(descriptor: int) -> np.ndarray:
    """The rows file behind a descriptor, [N, T+1] uint16, memory-mapped read only. Takes the descriptor over."""
    with os.fdopen(descriptor, "rb") as file:
        head = io.BytesIO(os.pread(descriptor, 4096, 0))  # pread: the offset may be shared with other processes
        read = npy.read_array_header_1_0 if npy.read_magic(head) == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(head)
        if len(shape) != 2 or not shape[0] or fortran_order or dtype != np.uint16:
            leave(f"the rows file holds {dtype} {shape}; expected uint16 [rows, T+1]", 1)
        return np.memmap(file, dtype, mode="r", offset=head.tell(), shape=shape)


def _peak_resident_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB on Linux
