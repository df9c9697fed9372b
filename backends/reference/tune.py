"""The `tune` verb: the DEVICE_BATCH_SIZE with which the workspace's own train.py is fastest on this device.

Each size is a short trial on random tokens in a process of its own (rehearsal.py), so that running out of memory costs
nothing. TOTAL_BATCH_SIZE stays, unless it is no multiple of a pass. Untested on a GPU.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.reference import profiles
from backends.reference.corpus import BadInput
from backends.reference.profiles import Device
from backends.reference.rehearsal import Order, Report, rehearse
from backends.reference.scaffold import with_value

ROWS, TOTAL = "DEVICE_BATCH_SIZE", "TOTAL_BATCH_SIZE"
FASTER = 1.02  # times as fast: less is noise, and fewer rows leave more memory


@dataclass(frozen=True, slots=True)
class Sizes:
    """What train.py's constants say: rows a pass and tokens a step, for rows of T tokens."""

    rows: int
    total: int
    sequence_length: int

    def allows(self, rows: int) -> bool:
        """Whether so many rows a pass make whole steps."""
        return rows >= 1 and self.total % (rows * self.sequence_length) == 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One size. `tokens_per_second` is 0 where there is `trouble`."""

    rows: int
    tokens_per_second: float = 0.0
    peak_memory_mb: float = 0.0
    mfu: float | None = None
    trouble: str = ""


def tune(
    folder: Path,
    device: Device,
    seconds: float,
    say: Callable[[str], None],
    *,
    dry_run: bool = False,
    train_seconds: float = 10.0,
) -> None:
    """Measure a few sizes of the task in `folder` within about `seconds`, each for at most `train_seconds` of training,
    and write the best into its train.py.

    Raises BadInput with the mend; then nothing was changed.
    """
    settings = _settings(folder)
    profile = profiles.profile_for(device, str(settings.get("profile", "auto")))
    profiles.require_room(device, profile)
    told = {name: settings.get(name, getattr(profile, name)) for name in ("sequence_length", "vocab_size")}
    told["profile"] = profile.name
    path = folder / "train.py"
    source = _source(path)
    sizes = whole_steps(_sizes(path, source, told["sequence_length"]))
    say(f"profile {profile.name} on {device.name}: {device.description}; steps of {sizes.total:,} tokens")
    say(f"{'rows':>6}{'tokens/s':>12}{'memory MB':>12}{'MFU':>10}")
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="autoresearch-tune-") as scratch:

        def measure(rows: int) -> Measured:
            trained = min(train_seconds, seconds / 8)
            order = Order(folder, _with(source, rows, sizes.total), device.name, told, rows, trained, deadline)
            measured = judged(rehearse(order, Path(tempfile.mkdtemp(dir=scratch))), rows, sizes.total, device)
            say(_line(measured, device))
            return measured

        best = search(sizes, measure, deadline)
    _conclude(path, source, sizes, best, say, dry_run)


def search(sizes: Sizes, measure: Callable[[int], Measured], deadline: float) -> Measured:
    """The fastest size: from the present one upwards while that is faster, else downwards. A winner has to beat the
    present one's second measurement too. Raises BadInput if none works, or if the first fails for anything but memory.
    """
    began = time.monotonic()
    best = first = measure(sizes.rows)
    longest = time.monotonic() - began
    if first.trouble and not first.trouble.startswith("out of memory"):
        raise BadInput(f"train.py cannot be measured as it is: {first.trouble}")
    for up in (True, False) if not first.trouble else (False,):
        rows = first.rows
        while sizes.allows(rows := rows * 2 if up else rows // 2) and time.monotonic() + 0.8 * longest < deadline:
            began = time.monotonic()
            measured = measure(rows)
            longest = max(longest, time.monotonic() - began)
            if measured.tokens_per_second > FASTER * best.tokens_per_second:
                best = measured
            elif not best.trouble:  # else it goes on down to where memory suffices
                break
        if best is not first:
            break
    if best is not first and not first.trouble and time.monotonic() + 0.8 * longest < deadline:
        again = measure(first.rows)  # a busy machine makes one measurement slow, hardly two
        best = again if best.tokens_per_second <= FASTER * again.tokens_per_second else best
    if best.trouble:
        raise BadInput(f"no size fits: {best.trouble}; lower DEPTH in train.py, or take more time with --seconds")
    return best


def whole_steps(sizes: Sizes) -> Sizes:
    """The sizes, with TOTAL_BATCH_SIZE rounded to whole passes, at least one, where it has to be."""
    if sizes.allows(sizes.rows):
        return sizes
    a_pass = sizes.rows * sizes.sequence_length
    return Sizes(sizes.rows, max(1, round(sizes.total / a_pass)) * a_pass, sizes.sequence_length)


def judged(report: Report, rows: int, total: int, device: Device) -> Measured:
    """What a trial's report amounts to: steps after the first one, and whether its memory leaves room."""
    if report.trouble:
        return Measured(rows, trouble=report.trouble)
    if len(report.steps) < 2:
        return Measured(rows, trouble="no step in the time there was; give it more with --seconds")
    since = report.steps[1] if len(report.steps) > 2 else report.steps[0]
    until = report.steps[-1]
    if device.memory_mb and report.memory_mb + profiles.CONTEXT_MB > profiles.FITS * device.memory_mb:
        return Measured(rows, trouble=f"out of memory but for a little: {report.memory_mb:,.0f} MB", mfu=report.mfu)
    rate = total * (until[1] - since[1]) / (until[0] - since[0])
    return Measured(rows, rate, report.memory_mb, report.mfu)


def _line(measured: Measured, device: Device) -> str:
    if measured.trouble:
        return f"{measured.rows:>6}  {measured.trouble}"
    known = profiles.peak_flops(device.description) is not None
    mfu = f"{measured.mfu:.1%}" if measured.mfu is not None else ("too short" if known else "unknown")
    return f"{measured.rows:>6}{measured.tokens_per_second:>12,.0f}{measured.peak_memory_mb:>12,.0f}{mfu:>10}"


def _conclude(path: Path, source: str, sizes: Sizes, best: Measured, say: Callable[[str], None], dry_run: bool) -> None:
    text = _with(source, best.rows, sizes.total)
    if text == source:
        say(f"{ROWS} = {best.rows} stays: none of the others is faster and fits")
        return
    before = _sizes(path, source, sizes.sequence_length)
    changed = f"{ROWS} = {best.rows}" + (f", {TOTAL} = {sizes.total}" if sizes.total != before.total else "")
    if dry_run:
        say(f"{changed} is the fastest that fits; {path} is left as it is (--dry-run)")
        return
    if path.read_text(encoding="utf-8") != source:
        raise BadInput(f"{path} was edited in the meantime and is left as it is; the fastest that fits: {changed}")
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    shutil.copymode(path, new)
    os.replace(new, path)
    say(f"wrote {changed} into {path}; a run starts from what is committed:")
    say(f"  git -C {shlex.quote(str(path.parent))} commit -m '{changed}' train.py")


# --- what train.py says ----------------------------------------------------------------------------------------------


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "task.toml"
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("settings", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}; name the workspace with --workspace") from None
    return settings


def _source(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise BadInput(f"{path}: not a file; tune works on the train.py of the reference task")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None


def _sizes(path: Path, source: str, sequence_length: int) -> Sizes:
    try:
        constants = dict(_constants(ast.parse(source)))
    except SyntaxError as error:
        raise BadInput(f"{path}:{error.lineno}: {error.msg}; mend it first") from None
    for name in (ROWS, TOTAL):
        if constants.get(name, 0) < 1:
            raise BadInput(f"{path}: no line `{name} = NUMBER`, so there is nothing to tune")
    return Sizes(constants[ROWS], constants[TOTAL], sequence_length)


def _constants(module: ast.Module) -> Iterator[tuple[str, int]]:
    """The whole numbers of the module's level by their names, products and powers worked out."""
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = _number(statement.value)
            if value is not None:
                yield statement.targets[0].id, value


def _number(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=ast.Mult() | ast.Pow() as op, right=right):
            a, b = _number(left), _number(right)
            if a is None or b is None or (isinstance(op, ast.Pow) and not 0 <= b <= 64):
                return None
            return a * b if isinstance(op, ast.Mult) else a**b
    return None


def _with(source: str, rows: int, total: int) -> str:
    """The source with these sizes; a constant that has its value already stays as it is written."""
    constants = dict(_constants(ast.parse(source)))
    for name, value in ((ROWS, rows), (TOTAL, total)):
        if constants[name] != value:
            try:
                source = with_value(source, name, str(value))
            except ValueError:
                raise BadInput(f"train.py: needs exactly one line `{name} = NUMBER` to be tuned") from None
    return source
