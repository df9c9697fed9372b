"""The trusted half of scoring: the `evaluate` verb. Numpy only; it never imports the artifact.

    with the trial:  start two `serve` processes, read the rows, wait for `go`
    after go:        a sane checkpoint? ─► both serves load it ─► serve 1 tries a batch of training rows, then answers
                     all validation rows ─► sums ─► serve 2, which has seen none, answers the audit ─► the answer file

Words of a serve are passed on only while no process of this trial has seen a validation row.
"""

from __future__ import annotations

import json
import math
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from backends.reference import bpb, wire
from backends.reference.checkpoint import BadCheckpoint, check_checkpoint, of_other_sizes
from core import sandbox

LEAST_AUDITED = 512  # positions; a tenth of the rows where that is more (bpb.suspicion says what these find)
_TOLD = ("experiment", "trial", "device", "seed", "budget", "settings", "checkpoint")


class Crashed(Exception):
    """The trial has no metric. reason: `nan`, `no checkpoint`, `bad checkpoint` or `serve failed`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def main(seed: int | None = None) -> None:
    """The `evaluate` verb: score the trial that the environment names. `seed` fixes the audit's draws: tests only."""
    trial = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text())
    rng = np.random.default_rng(int.from_bytes(os.urandom(16)) if seed is None else seed)
    serves: list[Serve] = []
    try:
        serves += [Serve(trial, 1), Serve(trial, 2)]
        rows = Rows.read(trial)
        if not wait_for_go(trial["control"]):
            return
        answer = score(trial, serves, rows, rng)
    except Crashed as crashed:
        answer = {"crash": crashed.reason, "detail": crashed.detail}
    except bpb.Rejected as rejected:
        answer = {"rejected": str(rejected)}
    finally:
        for serve in serves:
            serve.end()
    if "findings" in answer:
        answer["findings"]["serve_peak_memory_mb"] = _children_peak_mb()
    write(Path(trial["answer"]), answer)


def wait_for_go(control: int | None) -> bool:
    """True at `{"type":"go"}`, or at once without a socket; False if the engine closes it instead."""
    if control is None:
        return True
    with socket.socket(fileno=control) as connection, connection.makefile("rb") as lines:
        return any(json.loads(line).get("type") == "go" for line in iter(lambda: lines.readline(65536), b""))


def write(path: Path, answer: Mapping[str, Any]) -> None:
    """The answer as JSON, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(answer))
    partial.replace(path)


# --- what is scored --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """validation: uint16 [N, T+1]; training: uint16 [·, T+1]; sizes: int32 [N, T], bytes of each target token.

    reference: [N, T], nats of the incumbent, or of a bigram before there is one.
    """

    validation: np.ndarray
    training: np.ndarray
    sizes: np.ndarray
    sizes_upstream: np.ndarray
    reference: np.ndarray
    vocab_size: int
    batch_rows: int

    @classmethod
    def read(cls, trial: Mapping[str, Any]) -> Rows:
        """The rows that `prepare` made, cut to `eval_tokens`."""
        prepared, settings = trial["prepared"], trial["settings"]
        validation = np.load(prepared["validation_rows"], mmap_mode="r")
        validation = np.ascontiguousarray(validation[: settings["eval_tokens"] // (validation.shape[1] - 1)])
        training = np.load(prepared["train_rows"], mmap_mode="r")
        token_bytes, upstream = np.load(prepared["token_bytes"]), np.load(prepared["token_bytes_upstream"])
        targets, vocab_size = validation[:, 1:], len(token_bytes)
        reference = _stored_nats(trial["incumbent_store"], targets.shape)
        if reference is None:
            reference = bpb.bigram_nats(training, validation, vocab_size)
        return cls(validation, training, token_bytes[targets], upstream[targets], reference, vocab_size,
                   settings["eval_batch_rows"])  # fmt: skip

    @property
    def counted(self) -> np.ndarray:
        """bool [N, T]: targets with bytes; special tokens have none."""
        return self.sizes > 0


def _stored_nats(store: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    path = Path(store) / "nats.npy" if store else None
    if path is None or not path.exists():
        return None
    nats = np.load(path, allow_pickle=False)
    return nats if nats.shape == shape else None


# --- the other side --------------------------------------------------------------------------------------------------


class Serve:
    """One `serve` process and the only questions it is ever asked. Raises Crashed when it fails to answer."""

    def __init__(self, trial: Mapping[str, Any], number: int) -> None:
        self.connection, theirs = socket.socketpair()
        self.trial_file = Path.cwd() / f"serve-{number}.json"
        told = {key: trial[key] for key in _TOLD}
        self.trial_file.write_text(json.dumps({"role": "serve", **told, "control": theirs.fileno()}))
        self.patience = wire.Patience(trial["budget"]["timeout_seconds"])
        self.seen_validation = False
        with theirs:
            self.process: subprocess.Popen[bytes] = sandbox.spawn(
                trial["serve"]["command"],
                cwd=Path(trial["serve"]["folders"][number - 1]),
                env=sandbox.environment(self.trial_file),
                pass_fds=[theirs.fileno()],
            )

    def ask(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a question. Its answer is fetched by `answer`; two may be under way."""
        try:
            wire.send(self.connection, head, body, self.patience)
        except OSError as error:
            raise self._failed(f"it takes no question: {error}") from error

    def answer(self, shape: tuple[int, ...]) -> np.ndarray:
        """The answer's numbers, float32 of this shape; they may be anything."""
        size = 4 * math.prod(shape)
        try:
            head, body = wire.receive(self.connection, size, self.patience)
        except (OSError, EOFError, wire.Malformed) as error:
            raise self._failed(str(error)) from error
        if "failed" in head:
            raise self._failed(str(head.get("detail", "")))
        if len(body) != size:
            raise self._failed(f"{len(body)} bytes where float32 {list(shape)} were expected")
        return np.frombuffer(body, np.float32).reshape(shape)

    def nats(self, rows: np.ndarray) -> np.ndarray:
        """rows: uint16 [B, T+1]; returns float32 [B, T], all finite."""
        self.ask_nats(rows)
        return self.nats_answer(rows.shape)

    def ask_nats(self, rows: np.ndarray) -> None:
        """rows: uint16 [B, T+1]."""
        self.ask({"do": "nats", "shape": rows.shape}, rows.tobytes())

    def nats_answer(self, shape: tuple[int, ...]) -> np.ndarray:
        """The answer about rows of this shape, [B, T+1]: float32 [B, T], all finite."""
        nats = self.answer((shape[0], shape[1] - 1))
        if not np.isfinite(nats).all():
            raise Crashed("nan", "the model's predictions are not finite")
        return nats

    def logits(self, inputs: np.ndarray, positions: np.ndarray, vocab_size: int) -> np.ndarray:
        """inputs: uint16 [B, T]; positions: [B]; returns float32 [B, V]."""
        body = inputs.tobytes() + positions.astype(np.int32).tobytes()
        self.ask({"do": "logits", "shape": inputs.shape}, body)
        return self.answer((len(inputs), vocab_size))

    def end(self) -> None:
        """End it and whatever it started."""
        self.connection.close()
        sandbox.kill_tree(self.process)
        self.process.wait()

    def _failed(self, detail: str) -> Crashed:
        return Crashed("serve failed", "" if self.seen_validation else detail[-4000:])


# --- the score -------------------------------------------------------------------------------------------------------


def score(trial: Mapping[str, Any], serves: list[Serve], rows: Rows, rng: np.random.Generator) -> dict[str, Any]:
    """The measurement: value and findings. Raises Crashed and bpb.Rejected."""
    clock = [time.monotonic()]
    first, second = serves
    metadata = look_at(Path(trial["checkpoint"]))
    try:
        for serve in serves:
            serve.ask({"do": "load", "vocab_size": rows.vocab_size})
        for serve in serves:
            serve.answer((0,))
        clock.append(time.monotonic())
        first.nats(_batch(np.asarray(rows.training[: rows.batch_rows]), 0, rows.batch_rows))
    except Crashed as crashed:
        crashed.detail += of_other_sizes(metadata, rows.validation.shape[1] - 1, rows.vocab_size)
        raise
    clock.append(time.monotonic())
    for serve in serves:
        serve.seen_validation = True
    nats = full_pass(first, rows)
    value = bpb.bits_per_byte(nats, rows.sizes)
    bpb.check_possible(nats, value)
    clock.append(time.monotonic())
    found = audit(second, rows, nats, trial["device"], rng)
    clock.append(time.monotonic())
    np.save(Path(trial["store"]) / "nats.npy", np.minimum(nats, 6e4).astype(np.float16))
    spans = [round(end - begin, 3) for begin, end in pairwise(clock)]
    findings = {
        "val_bpb_upstream": bpb.bits_per_byte(nats, rows.sizes_upstream),
        "eval_tokens": nats.size,
        **found,
        "eval_seconds": dict(zip(("load", "try", "pass", "audit"), spans, strict=True)),
    }
    return {"value": value, "findings": findings}


def look_at(checkpoint: Path) -> dict[str, Any]:
    """The checkpoint's metadata. Raises Crashed unless a sane one is there."""
    try:
        return check_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise Crashed("no checkpoint", "training ended without one") from error
    except BadCheckpoint as error:
        raise Crashed("bad checkpoint", str(error)) from error


def full_pass(serve: Serve, rows: Rows) -> np.ndarray:
    """Claimed nats of every validation position, float32 [N, T].

    Each batch but the first is asked while the one before is being answered: the device need not wait for us.
    """
    count, size = len(rows.validation), rows.batch_rows
    shape = (size, rows.validation.shape[1])
    answers: list[np.ndarray] = []
    for start in range(0, count, size):
        serve.ask_nats(_batch(rows.validation, start, size))
        if start:
            answers.append(serve.nats_answer(shape))
    answers.append(serve.nats_answer(shape))
    return np.concatenate(answers)[:count]


def audit(serve: Serve, rows: Rows, nats: np.ndarray, device: str, rng: np.random.Generator) -> dict[str, Any]:
    """Ask a fresh process again, with the answers hidden from it. Raises bpb.Rejected; returns findings."""
    draws = bpb.draw(nats, rows.reference, rows.counted, max(LEAST_AUDITED, len(nats) // 10), rng)
    others = rows.training[np.sort(rng.integers(0, len(rows.training), len(draws.rows)))]  # [n, T+1]
    inputs = bpb.covered(rows.validation, draws, others)  # [n, T]
    waves = [_wave(serve, inputs[wave], draws.positions[wave], rows) for wave in draws.waves]
    logits = np.concatenate(waves)  # [n, V]
    answered = bpb.nats_of(logits, rows.validation[draws.rows, draws.positions + 1])
    half_margin = bpb.KEEP_MARGIN_BPB / 2 * float(np.log(2.0)) * rows.sizes.sum() / rows.counted.sum()
    claimed = nats[draws.rows, draws.positions]
    found = bpb.compare(claimed, answered, draws.weights, bpb.tolerance(device), half_margin)
    return {
        "audited_positions": len(inputs),
        "audit_largest_nats": float(f"{found.largest:.2e}"),  # rounded: no room for a message
        "audit_mean_nats": float(f"{found.mean:.2e}"),
    }


def _wave(serve: Serve, inputs: np.ndarray, positions: np.ndarray, rows: Rows) -> np.ndarray:
    """inputs: uint16 [n, T]; positions: [n]; the logits there, float32 [n, V]."""
    size = rows.batch_rows
    starts = range(0, len(inputs), size)
    asked = [(_batch(inputs, start, size), _batch(positions, start, size)) for start in starts]
    return np.concatenate([serve.logits(*batch, rows.vocab_size) for batch in asked])[: len(inputs)]


def _batch(rows: np.ndarray, start: int, size: int) -> np.ndarray:
    """`size` rows from `start`; the last batch is filled up from the beginning, so that all have one shape."""
    return rows[np.arange(start, start + size) % len(rows)]


def _children_peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB; bytes on macOS
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
