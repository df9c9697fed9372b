"""What the trial in flight reports of itself: a pure fold over the lines of its telemetry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from core.facts import fact
from tui import text
from tui.tail import as_float

CURVE_POINTS = 128  # when a curve is full, every second point goes


@fact
class Curve:
    """A figure over the whole trial, in few points."""

    points: tuple[float, ...] = ()
    stride: int = 1  # every how many reports a point was taken

    def after(self, value: float | None, reports: int) -> Curve:
        """With the figure of one more report; what is no finite number leaves a gap."""
        if value is None or not math.isfinite(value) or reports % self.stride:
            return self
        points = (*self.points, value)
        if len(points) <= CURVE_POINTS:
            return Curve(points, self.stride)
        return Curve(points[::2], self.stride * 2)


@fact
class Live:
    """What the trial in flight last reported. None: it did not say."""

    number: int
    trial: int
    step: int | None = None
    loss: float | None = None
    progress: float | None = None
    tokens_per_second: float | None = None
    memory_mb: float | None = None
    eta_seconds: float | None = None
    mfu: float | None = None
    seconds: float | None = None  # counted by the engine, since READY, without pauses
    loss_curve: Curve = field(default_factory=Curve)
    speed_curve: Curve = field(default_factory=Curve)
    reports: int = 0
    at: float | None = None  # Unix seconds of the last report, where the file's time tells

    @property
    def usual_gap(self) -> float | None:
        """Seconds from report to report, on average."""
        known = self.reports and self.seconds is not None and math.isfinite(self.seconds)
        return max(0.0, self.seconds) / self.reports if known and self.seconds is not None else None


def report(live: Live, record: Mapping[str, Any]) -> Live:
    """The trial after one more line of its telemetry. Pure; lines that are no report change nothing."""
    step = as_float(record.get("step"))
    if step is None:
        return live
    loss, speed = as_float(record.get("loss")), as_float(record.get("tokens_per_second"))
    memory, mfu = as_float(record.get("memory_mb")), as_float(record.get("mfu"))
    return Live(
        number=live.number,
        trial=live.trial,
        step=int(step) if math.isfinite(step) else None,
        loss=loss,
        progress=as_float(record.get("progress")),
        tokens_per_second=live.tokens_per_second if speed is None else speed,  # not every report has these three
        memory_mb=live.memory_mb if memory is None else memory,
        eta_seconds=as_float(record.get("eta_seconds")),
        mfu=live.mfu if mfu is None else mfu,
        seconds=as_float(record.get("seconds")),
        loss_curve=live.loss_curve.after(loss, live.reports),
        speed_curve=live.speed_curve.after(speed, live.reports),
        reports=live.reports + 1,
        at=live.at,
    )


def step_words(record: Mapping[str, Any] | None) -> str:
    """A line of telemetry as a line of a log; empty if it is no report."""
    step = as_float(record.get("step")) if record else None
    if record is None or step is None or not math.isfinite(step):
        return ""
    loss, speed = as_float(record.get("loss")), as_float(record.get("tokens_per_second"))
    told = f"step {step:5.0f}  {text.clock(as_float(record.get('seconds')) or 0.0):>5}"
    told += f"  loss {loss:.4f}" if loss is not None else ""
    return told + (f"  {text.quantity(speed)} tok/s" if speed is not None else "")
