"""The `prepare` verb: text to packed rows, once, into the user's cache folder; later starts find and verify them.

    <cache>/rows/<key>/   train.npy validation.npy tokenizer.txt token_bytes.npy token_bytes_upstream.npy rows.json

The key is a hash of the text and of everything that turns it into rows; the fingerprint is a hash of the finished
files. A folder appears by a rename when it is complete, so that a half-written one is never read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from backends.reference import corpus
from backends.reference.corpus import BadInput
from backends.reference.profiles import MEMORY_OF_GPU_PROFILE_MB, Device, profile_for
from core import sandbox

FORMAT = 1  # raise it when the same input would give other rows
FILES = ("train.npy", "validation.npy", "tokenizer.txt", "token_bytes.npy", "token_bytes_upstream.npy")
_SIZES = {  # setting -> (least, most)
    "sequence_length": (16, 65_536),
    "vocab_size": (512, 65_536),
    "eval_tokens": (1, 2**40),
    "eval_batch_rows": (1, 65_536),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified folder of rows; `record` is its rows.json."""

    folder: Path
    record: Mapping[str, Any]


def main(backend: str, find_device: Callable[[str], Device]) -> None:
    """Answer one prepare request. Bad input ends the process with status 2 and one line on stderr.

    find_device: the device of a name ("auto": the best one there is); raises BadInput.
    """
    try:
        if sandbox.VARIABLE not in os.environ:
            raise BadInput(f"{sandbox.VARIABLE} is not set: prepare is started by a run; type autoresearch run")
        request = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text(encoding="utf-8"))
        answer = prepare(backend, request, find_device)
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    _write(Path(request["answer"]), json.dumps(answer, indent=1).encode())


def prepare(backend: str, request: Mapping[str, Any], find_device: Callable[[str], Device]) -> dict[str, Any]:
    """The answer to one request (docs/architecture.md): device, rows and settings as they resolved. Raises BadInput."""
    device = find_device(request["device"])
    asked = resolve(request["settings"], device)
    started = time.perf_counter()
    prepared = stored(asked, request["fingerprint"]) if request["fingerprint"] else None
    if prepared is None:
        prepared = make(asked)
        if request["fingerprint"] not in (None, prepared.record["fingerprint"]):
            raise BadInput(
                f"the rows this run was made with (fingerprint {request['fingerprint'][:12]}) are gone from "
                f"{cache_folder()}, and this Python's library gives other ones; start a new run"
            )
    record, folder = prepared.record, prepared.folder
    print(f"data ready in {time.perf_counter() - started:.1f} s: {folder}", flush=True)
    settings = {**asked, **record["settings"]}
    return {
        "backend": backend,
        "device": device.name,
        "device_description": device.description,
        "fingerprint": record["fingerprint"],
        "handover": str(folder / "train.npy"),
        "settings": settings,
        "notes": [*_size_note(device, settings), *record["notes"]],
        "train_rows": str(folder / "train.npy"),
        "validation_rows": str(folder / "validation.npy"),
        "token_bytes": str(folder / "token_bytes.npy"),
        "token_bytes_upstream": str(folder / "token_bytes_upstream.npy"),
        "tokenizer": str(folder / "tokenizer.txt"),
        "train_row_count": record["train_row_count"],
        "validation_row_count": record["validation_row_count"],
    }


# --- settings --------------------------------------------------------------------------------------------------------


def resolve(settings: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """The task's [settings] with everything left open taken from the profile. Raises BadInput."""
    known = ("profile", "dataset", *_SIZES)
    for name in settings:
        if name not in known:
            raise BadInput(f"[settings] {name}: no such setting; the reference task knows {', '.join(known)}")
    profile = profile_for(device, str(settings.get("profile", "auto")))
    dataset = settings.get("dataset", "stdlib")
    if dataset not in corpus.DATASETS:
        raise BadInput(f"[settings] dataset = {dataset!r}: no such dataset; use {' or '.join(corpus.DATASETS)}")
    resolved: dict[str, Any] = {"profile": profile.name, "dataset": dataset}
    for name, (least, most) in _SIZES.items():
        value = settings.get(name, getattr(profile, name))
        if type(value) is not int or not least <= value <= most:
            raise BadInput(f"[settings] {name} = {value!r}: must be a whole number from {least:,} to {most:,}")
        resolved[name] = value
    if resolved["eval_tokens"] < resolved["sequence_length"]:
        raise BadInput(
            f"[settings] eval_tokens = {resolved['eval_tokens']}: must be at least one row of sequence_length"
        )
    return resolved


def _size_note(device: Device, settings: Mapping[str, Any]) -> Iterator[str]:
    if device.name == "cpu":
        size = f"{settings['sequence_length']} tokens a row, vocabulary of {settings['vocab_size']:,}"
        yield f"on a CPU this is a demonstration size ({size}): scores compare with each other only"
    elif settings["profile"] == "cpu":
        yield f"profile cpu is a demonstration size; gpu-80gb needs {MEMORY_OF_GPU_PROFILE_MB:,} MB of GPU memory"


# --- the cache -------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where rows are kept, one folder a key."""
    return Path(platformdirs.user_cache_dir("autoresearch")) / "rows"


def stored(asked: Mapping[str, Any], fingerprint: str) -> Prepared | None:
    """The verified rows of this fingerprint, if they are still there. Raises BadInput if they do not fit `asked`."""
    for path in sorted(cache_folder().glob("*/rows.json")):
        prepared = _verified(path.parent)
        if prepared and prepared.record["fingerprint"] == fingerprint:
            for name in ("dataset", "sequence_length", "vocab_size"):
                if prepared.record["settings"][name] != asked[name]:
                    was = prepared.record["settings"][name]
                    raise BadInput(
                        f"this run was made with {name} = {was}, not {asked[name]}; start a new run for that"
                    )
            return prepared
    return None


def records() -> list[dict[str, Any]]:
    """The rows.json of every finished set of rows; their files are not verified."""
    found = [_record(path.parent) for path in sorted(cache_folder().glob("*/rows.json"))]
    return [record for record in found if record]


def make(asked: Mapping[str, Any]) -> Prepared:
    """The rows for these resolved settings: found in the cache, or made now. Raises BadInput."""
    print("reading the standard library", flush=True)
    sources = corpus.stdlib()
    folder = cache_folder() / _key(asked, corpus.fingerprint(sources))
    try:
        with _lock(folder.with_suffix(".lock")):
            return _verified(folder) or _build(folder, asked, sources)
    except OSError as error:
        raise BadInput(
            f"{folder}: cannot be written: {error.strerror or error}; free space there, or set XDG_CACHE_HOME"
        ) from None


def _key(asked: Mapping[str, Any], text: str) -> str:
    sizes = {name: asked[name] for name in ("dataset", *_SIZES)}
    return hashlib.sha256(json.dumps([FORMAT, text, sizes]).encode()).hexdigest()[:24]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by whoever makes these rows: a second prepare waits and finds them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run prepares the same data; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def _verified(folder: Path) -> Prepared | None:
    """What lies in a folder, if every file is there and has the hash it was written with."""
    record = _record(folder)
    if not record or not all((folder / name).is_file() for name in FILES):
        return None
    return Prepared(folder, record) if record["files"] == {n: _digest(folder / n) for n in FILES} else None


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raises BadInput if the disk that holds `folder` has less room."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise BadInput(
            f"{folder}: {needed_bytes / 1e6:,.0f} MB needed for the rows, {free / 1e6:,.0f} MB free; "
            "free some, or point XDG_CACHE_HOME to another disk"
        )


def _build(folder: Path, asked: Mapping[str, Any], sources: list[corpus.Source]) -> Prepared:
    from backends.reference import rows  # only here: a warm prepare does without the tokenizer's libraries

    # A token has at least a byte of text and takes two; a document of them has a BOS.
    require_space(folder.parent, 3 * sum(len(source.content) for source in sources))
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        record = rows.build(partial, asked, sources)
        files = {name: _digest(partial / name) for name in FILES}
        fingerprint = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        record = {"format": FORMAT, "fingerprint": fingerprint, **record, "files": files}
        _write(partial / "rows.json", json.dumps(record, indent=1).encode())
        shutil.rmtree(folder, ignore_errors=True)  # there only if it did not verify
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(folder.parent)
    return Prepared(folder, record)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Complete under its name or not at all; on the disk when this returns."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
