"""What an artifact's train.py talks to: rows, budget clock, seed, pause, telemetry and checkpoint of one trial.

    trial = harness.connect()            # device, seed, settings, train_seconds; what the engine wrote for this trial
    …                                    # import, build, compile, initialise: not counted
    trial.ready()                        # asks for the rows; the clock starts when they come
    batches = trial.batches(rows=16)     # [rows, T+1] uint16, the order stored by `prepare`
    while not trial.over:
        …                                # one optimizer step at trial.progress in [0, 1]
        trial.step(loss, tokens)         # NaN ends the trial here; so does a pause hold here
    trial.done(save)                     # checkpoint complete, then DONE: the engine ends the process

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

from backends.reference import spec

VARIABLE = "AUTORESEARCH_TRIAL"
REPORT_SECONDS = 0.1  # telemetry at most this often
UNTIMED_STEPS = 10  # left out of the MFU figure, as the original does
LARGEST_LOSS = 100.0
_MESSAGE_BYTES = 65_536


def connect() -> Trial:
    """The trial this process was started for. Exits with one line where there is none (code 2)."""
    path = os.environ.get(VARIABLE)
    if not path:
        _quit(f"{Path(sys.argv[0]).name} is started by the engine: use `autoresearch run` (or `autoresearch demo`)", 2)
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    if told.get("control") is None:
        _quit(f"{path}: no control socket; the reference task needs an engine that hands over rows", 2)
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
        self._control = _Control(control)
        self._clock = Clock()
        self._rows = np.zeros((0, 0), np.uint16)  # [N, T+1] once ready
        self._meter = _Meter()
        self._memory_mb: Callable[[], float] | None = None

    def ready(
        self,
        *,
        flops_per_token: float = 0.0,
        accelerator: str = "",
        memory_mb: Callable[[], float] | None = None,
    ) -> None:
        """Everything is built: get the training rows and start the clock.

        flops_per_token and accelerator (the card's name) make the MFU figure. memory_mb reads the peak device memory
        so far; without it telemetry shows the process's own peak.
        """
        self._memory_mb = memory_mb
        self._meter = _Meter(flops_per_token, spec.peak_flops(accelerator))
        self._control.send({"type": "ready"})
        self._rows = map_rows(self._control.wait_for_go())
        self._clock.start()

    def batches(self, rows: int) -> Iterator[np.ndarray]:
        """Endless [rows, T+1] uint16: the rows as they are stored, from the first again after the last."""
        start, total = 0, len(self._rows)
        while True:
            if start + rows <= total:
                yield self._rows[start : start + rows]
            else:
                yield self._rows[np.arange(start, start + rows) % total]
            start = (start + rows) % total

    @property
    def progress(self) -> float:
        """Counted time over the budget, in [0, 1]."""
        return min(self._clock.seconds / self.train_seconds, 1.0)

    @property
    def over(self) -> bool:
        """Whether the budget is spent. Ask between steps; a step that has begun is finished."""
        return self._clock.seconds >= self.train_seconds

    def step(self, loss: float, tokens: int) -> None:
        """Report a finished optimizer step of `tokens` tokens. Ends the process on a loss that is NaN, infinite or
        above 100; holds while the engine has paused the trial."""
        self.steps += 1
        if not math.isfinite(loss) or loss > LARGEST_LOSS:
            self.failed("nan", f"loss {loss:g} at step {self.steps}")
        seconds = self._clock.seconds
        self._meter.count(self.steps, tokens, seconds)
        if self._meter.due(seconds):
            self._control.send_or_drop(self._telemetry(loss, seconds))
        if self.steps == 1:  # what start-up left behind is garbage now or never: spare later steps the search for it
            gc.collect()
            gc.freeze()
            gc.disable()
        if self._control.pause_asked():
            self._hold()

    def failed(self, reason: str, detail: str) -> NoReturn:
        """Give the trial up (`nan`, `oom`): the engine is told why, the process exits with 1."""
        self._control.send({"type": "failed", "reason": reason, "detail": detail[:2000]})
        _quit(f"{reason}: {detail}", 1)

    def done(self, save: Callable[[Path, dict[str, str]], None], *, depth: int, num_params: int) -> None:
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

    def _hold(self) -> None:
        self._clock.stop()
        self._control.send({"type": "held", "step": self.steps})
        frozen_seconds = self._control.wait_for_resume()
        self._clock.start()
        self._clock.take_off(frozen_seconds)

    def _telemetry(self, loss: float, seconds: float) -> dict[str, Any]:
        return {
            "type": "step",
            "step": self.steps,
            "loss": round(loss, 6),
            "progress": round(min(seconds / self.train_seconds, 1.0), 5),
            "tokens_per_second": round(self._meter.rate(seconds), 1),
            "memory_mb": round(self._memory_mb() if self._memory_mb else _peak_resident_mb(), 1),
            "eta_seconds": round(max(self.train_seconds - seconds, 0.0), 2),
            "mfu": None if self._meter.mfu is None else round(self._meter.mfu, 4),
        }


class Clock:
    """Counted seconds: monotonic time between start and stop, summed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counted = 0.0
        self._since: float | None = None

    def start(self) -> None:
        self._since = self._now()

    def stop(self) -> None:
        self._counted = self.seconds
        self._since = None

    def take_off(self, seconds: float) -> None:
        """These were spent frozen from outside and do not count."""
        self._counted -= max(seconds, 0.0)

    @property
    def seconds(self) -> float:
        running = 0.0 if self._since is None else self._now() - self._since
        return max(self._counted + running, 0.0)


class _Meter:
    """Tokens, their rate since the last report, and the model FLOPs utilisation."""

    def __init__(self, flops_per_token: float = 0.0, peak_flops: float | None = None) -> None:
        self.tokens = 0
        self.mfu: float | None = None
        self._flops = flops_per_token / peak_flops if peak_flops else 0.0
        self._warm: tuple[int, float] | None = None  # tokens and seconds when the untimed steps were over
        self._reported = (0, 0.0)
        self._due = 0.0

    def count(self, step: int, tokens: int, seconds: float) -> None:
        self.tokens += tokens
        if self._flops and step == UNTIMED_STEPS:
            self._warm = (self.tokens, seconds)
        elif self._warm and seconds > self._warm[1]:
            self.mfu = self._flops * (self.tokens - self._warm[0]) / (seconds - self._warm[1])

    def due(self, seconds: float) -> bool:
        return seconds >= self._due

    def rate(self, seconds: float) -> float:
        tokens, since = self._reported
        self._reported, self._due = (self.tokens, seconds), seconds + REPORT_SECONDS
        return (self.tokens - tokens) / max(seconds - since, 1e-9)


class _Control:
    """The child's end of the control socket: JSON lines. The engine's end going away ends this process."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""
        self._pause = False
        self._descriptor: int | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        try:
            self._socket.sendall(_line(message))
        except (BrokenPipeError, ConnectionResetError):
            _engine_gone()

    def send_or_drop(self, message: Mapping[str, Any]) -> None:
        """Telemetry never waits for a busy engine: what does not fit now is dropped, whole lines only."""
        line = _line(message)
        try:
            sent = self._socket.send(line, socket.MSG_DONTWAIT)
            self._socket.sendall(line[sent:])
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            _engine_gone()

    def pause_asked(self) -> bool:
        """Whether `pause` has come; does not wait."""
        for message in self._receive(wait=False):
            self._pause = {"pause": True, "resume": False}.get(message["type"], self._pause)
        return self._pause

    def wait_for_go(self) -> int:
        """The descriptor that comes with `go`."""
        while True:
            for message in self._receive(wait=True):
                self._pause = {"pause": True, "resume": False}.get(message["type"], self._pause)
                if message["type"] == "go":
                    if self._descriptor is None:
                        _quit("the engine's go brought no rows: `prepare` names no handover", 1)
                    return self._descriptor

    def wait_for_resume(self) -> float:
        """Seconds that were spent frozen before the trial held."""
        while True:
            for message in self._receive(wait=True):
                if message["type"] == "resume":
                    self._pause = False
                    return float(message.get("frozen_seconds", 0.0))

    def _receive(self, *, wait: bool) -> list[dict[str, Any]]:
        """The complete lines that are here; with `wait`, at least one read. A descriptor is kept aside."""
        try:
            flags = 0 if wait else socket.MSG_DONTWAIT
            data, descriptors, _, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, 1, flags)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            _engine_gone()
        if not data:
            _engine_gone()
        if descriptors:
            self._descriptor = descriptors[0]
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]


def map_rows(descriptor: int) -> np.ndarray:
    """The rows file behind a descriptor, [N, T+1] uint16, memory-mapped read only. Takes the descriptor over."""
    with os.fdopen(descriptor, "rb") as file:
        head = io.BytesIO(os.pread(descriptor, 4096, 0))  # pread: the offset may be shared with other processes
        read = npy.read_array_header_1_0 if npy.read_magic(head) == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(head)
        if len(shape) != 2 or not shape[0] or fortran_order or dtype != np.uint16:
            _quit(f"the rows file holds {dtype} {shape}; expected uint16 [rows, T+1]", 1)
        return np.memmap(file, dtype, mode="r", offset=head.tell(), shape=shape)


def _peak_resident_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB on Linux


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def _engine_gone() -> NoReturn:
    _quit("the engine is gone; this trial ends with it", 1)


def _quit(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    raise SystemExit(code)
