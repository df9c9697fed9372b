"""The `prepare` verb: text to packed rows, once, into the user's cache folder; later starts find and verify them.

    <cache>/rows/<key>/   train.npy validation.npy tokenizer.txt token_bytes.npy token_bytes_upstream.npy rows.json

The key is a hash of the text and of everything that turns it into rows; the fingerprint is a hash of the finished
files. A folder appears by a rename when it is complete, so that a half-written one is never read. What is verified at
a start: that every file is there with its digest (`cache.unharmed` says when a large one is hashed again).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.reference import cache, corpus, progress
from backends.reference.corpus import BadInput
from backends.reference.profiles import PROFILES, Device, no_room, notes, profile_for
from core import sandbox

if TYPE_CHECKING:  # a warm prepare needs none of its libraries
    from backends.reference.splits import Split

FORMAT = 1  # raise it when the same input would give other rows
FILES = ("train.npy", "validation.npy", "tokenizer.txt", "token_bytes.npy", "token_bytes_upstream.npy")
_SIZES = {  # setting -> (least, most)
    "sequence_length": (16, 65_536),
    "vocab_size": (512, 65_536),
    "eval_tokens": (1, 2**40),
    "eval_batch_rows": (1, 65_536),
}
_DEFAULT_SHARDS = 10
DATASETS = "stdlib, climbmix, or the path of a folder or file (.parquet, .jsonl, .txt)"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified folder of rows; `record` is its rows.json."""

    folder: Path
    record: Mapping[str, Any]


def main(
    backend: str,
    find_device: Callable[[str], Device],
    warm: Callable[[Device, Mapping[str, Any]], list[str] | None] = lambda device, settings: None,
) -> None:
    """Answer one prepare request. Bad input ends the process with status 2 and one line on stderr.

    find_device: the device of a name ("auto": the best one there is); raises BadInput. warm: the command that gets this
    device ready for these settings, to be run once the device is the run's own; None where nothing is to be done.
    """
    try:
        if sandbox.VARIABLE not in os.environ:
            raise BadInput(f"{sandbox.VARIABLE} is not set: prepare is started by a run; type autoresearch run")
        request = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text(encoding="utf-8"))
        answer = prepare(backend, request, find_device)
        answer["warm"] = warm(find_device(answer["device"]), answer["settings"])
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    cache.write(Path(request["answer"]), json.dumps(answer, indent=1).encode())


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
                f"{cache_folder()}, and {_text(asked['dataset'])} gives other ones now; start a new run"
            )
    record, folder = prepared.record, prepared.folder
    progress.say(f"data ready in {time.perf_counter() - started:.1f} s: {folder}")
    settings = {**asked, **record["settings"]}
    return {
        "backend": backend,
        "device": device.name,
        "device_lock": device.lock,
        "refuse": no_room(device, PROFILES[asked["profile"]]),
        "device_description": device.description,
        "fingerprint": record["fingerprint"],
        "handover": str(folder / "train.npy"),
        "settings": settings,
        "notes": [*notes(device, asked), *record["notes"]],
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
    known = ("profile", "dataset", "shards", *_SIZES)
    for name in settings:
        if name not in known:
            raise BadInput(f"[settings] {name}: no such setting; the reference task knows {', '.join(known)}")
    profile = profile_for(device, str(settings.get("profile", "auto")))
    resolved: dict[str, Any] = {"profile": profile.name, **_dataset(settings)}
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


def _dataset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The data set by its name or absolute path, and its shards where it has them. Raises BadInput."""
    name, shards = settings.get("dataset", "stdlib"), settings.get("shards")
    where = f"[settings] dataset = {name!r}"
    if not isinstance(name, str) or not name:
        raise BadInput(f"{where}: no such data set; use {DATASETS}")
    if name == "climbmix":
        if shards is not None and (type(shards) is not int or shards < 1):
            raise BadInput(f"[settings] shards = {shards!r}: must be a whole number from 1; it is {_DEFAULT_SHARDS}")
        return {"dataset": name, "shards": shards or _DEFAULT_SHARDS}
    if shards is not None:
        raise BadInput(f"[settings] shards = {shards!r}: only climbmix has shards; leave it out for {name}")
    if name == "stdlib":
        return {"dataset": name}
    path = Path(os.path.abspath(Path(name).expanduser()))
    if not ("/" in name or name.startswith(("~", ".")) or path.exists()):
        raise BadInput(f"{where}: no such data set; use {DATASETS}")
    return {"dataset": str(path)}  # a resumed run may find its rows when the text is gone


# --- the cache -------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where rows are kept, one folder a key."""
    return cache.place("rows")


def stored(asked: Mapping[str, Any], fingerprint: str) -> Prepared | None:
    """The verified rows of this fingerprint, if they are still there. Raises BadInput if they do not fit `asked`."""
    for path in sorted(cache_folder().glob("*/rows.json")):
        record = _record(path.parent)
        if record and record["fingerprint"] == fingerprint and (prepared := _verified(path.parent)):
            for name in ("dataset", "sequence_length", "vocab_size"):
                if (was := record["settings"][name]) != asked[name]:
                    raise BadInput(
                        f"this run was made with {name} = {was}, not {asked[name]}; start a new run for that"
                    )
            return prepared
    return None


def finished() -> list[tuple[dict[str, Any], Path]]:
    """The rows.json of every finished set of rows, and its folder; the files are not verified."""
    folders = [path.parent for path in sorted(cache_folder().glob("*/rows.json"))]
    return [(record, folder) for folder in folders if (record := _record(folder))]


def records() -> list[dict[str, Any]]:
    """Their records alone."""
    return [record for record, _ in finished()]


def make(asked: Mapping[str, Any]) -> Prepared:
    """The rows for these resolved settings: found in the cache, or made now. Raises BadInput."""
    with cache.in_use():
        key, split = _of_library(asked) if asked["dataset"] == "stdlib" else _of_files(asked)
        folder = cache_folder() / key
        with cache.writing(folder.parent, 0, "rows"), cache.making(folder):
            return _verified(folder) or _build(folder, asked, split)


def _of_library(asked: Mapping[str, Any]) -> tuple[str, Callable[[], Split]]:
    """The key of the rows, and how to come by what they are packed from."""
    progress.say("reading the standard library")
    sources = corpus.stdlib()

    def split() -> Split:
        from backends.reference import splits

        # A token has at least a byte of text and takes two; a document of them has a BOS.
        cache.require_space(cache_folder(), 3 * sum(len(source.content) for source in sources), "rows")
        return splits.of_library(asked, sources)

    return _key(asked, corpus.fingerprint(sources)), split


def _of_files(asked: Mapping[str, Any]) -> tuple[str, Callable[[], Split]]:
    """The same for ClimbMix and the user's own files; downloads what is missing. Raises BadInput."""
    from backends.reference import datasets

    if asked["dataset"] != "climbmix" and not Path(asked["dataset"]).exists():
        raise BadInput(f"[settings] dataset: {asked['dataset']} is not there; name a folder or file that is")
    found = datasets.find(asked["dataset"], asked.get("shards"), progress.say)

    def split() -> Split:
        from backends.reference import splits

        return splits.of_files(asked, found)

    sides = ([shard.key for shard in side] for side in (found.training, found.validation))
    return _key(asked, json.dumps([*sides, found.cut])), split


def _key(asked: Mapping[str, Any], text: str) -> str:
    sizes = {name: asked[name] for name in ("dataset", *_SIZES)}
    return cache.key([FORMAT, text, sizes])


def _text(dataset: str) -> str:
    return "this Python's library" if dataset == "stdlib" else dataset


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def _verified(folder: Path) -> Prepared | None:
    """What lies in a folder, if every file is there and has the digest it was written with."""
    record = _record(folder)
    if not record or set(record["files"]) != set(FILES) or not cache.unharmed(folder, record["files"]):
        return None
    cache.used(folder)
    return Prepared(folder, record)


def _build(folder: Path, asked: Mapping[str, Any], split: Callable[[], Split]) -> Prepared:
    from backends.reference import rows

    made = split()
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        record = rows.build(partial, asked, made)
        files = {name: cache.digest(partial / name) for name in FILES}
        fingerprint = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        record = {"format": FORMAT, "fingerprint": fingerprint, **record, "files": files}
        cache.write(partial / "rows.json", json.dumps(record, indent=1).encode())
        shutil.rmtree(folder, ignore_errors=True)  # there only if it did not verify
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    cache.sync(folder.parent)
    cache.remember(folder, files)
    return Prepared(folder, record)
