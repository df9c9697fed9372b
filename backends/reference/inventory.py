"""What the cache holds of each data set, and how to be rid of it.

holdings()          # downloaded text, tokenizers, tokens and rows; nothing is hashed
remove(chosen)      # refused for what a living run trains on

Whatever lies outside the cache folder, the user's own files above all, is never listed as removable and never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.reference import cache, prepare
from backends.reference.corpus import BadInput
from backends.reference.digests import cache_folder

KINDS = ("text", "tokenizer", "tokens", "rows")


@dataclass(frozen=True, slots=True)
class Holding:
    """One thing that can be removed. key: what names it; used: seconds since the epoch, when last; facts: its sizes."""

    kind: str
    dataset: str
    key: str
    size_bytes: int
    used: float
    facts: dict[str, Any] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()


def holdings() -> list[Holding]:
    """All that is there, by data set and kind."""
    found = [*_text(), *_tokenizers(), *_tokens(), *_rows()]
    return sorted(found, key=lambda one: (one.dataset, KINDS.index(one.kind), one.key))


def chosen(found: Sequence[Holding], name: str) -> list[Holding]:
    """What a name or key means: everything of a data set, or the one thing whose key begins so. Raises BadInput."""
    names = {name, str(Path(name).expanduser().absolute())}
    if of_dataset := [one for one in found if one.dataset in names]:
        return of_dataset
    keyed = [one for one in found if name and one.key.startswith(name)]
    if len(keyed) == 1:
        return keyed
    if keyed:
        raise BadInput(
            f"{name}: begins {len(keyed)} keys; type more of it, they are: {', '.join(k.key for k in keyed)}"
        )
    there = ", ".join(dict.fromkeys(one.dataset for one in found)) or "nothing"
    raise BadInput(
        f"{name}: neither a data set nor a key that is here; autoresearch data lists them; there is: {there}"
    )


def remove(some: Sequence[Holding]) -> int:
    """Delete these, and what interrupted preparations left; returns the bytes freed. Raises BadInput, OSError."""
    with cache.removing():
        for run, fingerprint in runs_at_work():
            for one in some:
                if one.kind == "rows" and fingerprint in (None, one.facts["fingerprint"]):
                    raise BadInput(f"{one.key}: rows that the run {run} may be reading; stop it first, or wait for it")
        for path in (path for one in some for path in one.paths):
            _delete(path)
        for kind in ("rows", "tokens", "tokenizers"):
            for path in cache.place(kind).glob("*.partial"):
                _delete(path)
    return sum(one.size_bytes for one in some)


def runs_at_work() -> Iterator[tuple[str, str | None]]:
    """The folder of each run whose engine holds a device, and its rows' fingerprint; None where that is not known."""
    for path in sorted((cache_folder() / "locks").glob("*.lock")):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                _, _, folder = file.read().strip().partition(" ")
                yield folder or path.stem, _fingerprint(Path(folder)) if folder else None


def _fingerprint(run_folder: Path) -> str | None:
    """What the first line of a run's journal says of its rows; "" for a task that has none."""
    try:
        with (run_folder / "journal.jsonl").open("rb") as file:
            fingerprint = json.loads(file.readline())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return fingerprint if isinstance(fingerprint, str) else None


# --- what there is ---------------------------------------------------------------------------------------------------


def _text() -> Iterator[Holding]:
    """Downloaded shards, with what a download or a mishap left of them. Digests go with them."""
    paths = [path for path in sorted(cache.place("data").glob("*shard_*")) if path.is_file()]
    if paths:
        whole = [path for path in paths if path.suffix == ".parquet"]
        yield Holding("text", "climbmix", "shards", _size(paths), _used(paths), {"files": len(whole)}, tuple(paths))


def _tokenizers() -> Iterator[Holding]:
    for path in sorted(cache.place("tokenizers").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_text(encoding="ascii"))
            facts = {"vocab_size": record["vocab_size"], "files": len(record["read"])}
            yield Holding("tokenizer", record["dataset"], path.stem, _size([path]), _used([path]), facts, (path,))


def _tokens() -> Iterator[Holding]:
    """The tokens of a data set's files, together where tokenizer and cut are the same."""
    groups: dict[tuple[str, int, int | None, str], list[tuple[Path, dict[str, Any]]]] = defaultdict(list)
    for index in sorted(cache.place("tokens").glob("*.npz")):
        if facts := _facts(index):
            groups[facts["dataset"], facts["vocab_size"], facts["longest"], facts.get("tokenizer", "")].append(
                (index, facts)
            )
    for (dataset, vocab_size, longest, words), members in groups.items():
        paths = [path for index, _ in members for path in (index, index.with_suffix(".tokens"))]
        key = cache.key([dataset, longest, words])
        facts = {
            "vocab_size": vocab_size,
            "sequence_length": longest,
            "files": sum(facts["files"] for _, facts in members),
            "tokens": sum(facts["tokens"] for _, facts in members),
        }
        yield Holding("tokens", dataset, key, _size(paths), _used(paths), facts, tuple(paths))


def _facts(index: Path) -> dict[str, Any] | None:
    from backends.reference import tokens  # only where there are any: its libraries take a moment

    return tokens.facts(index)


def _rows() -> Iterator[Holding]:
    for record, folder in prepare.finished():
        settings = record["settings"]
        facts = {
            "vocab_size": settings["vocab_size"],
            "sequence_length": settings["sequence_length"],
            "rows": record["train_row_count"],
            "validation_rows": record["validation_row_count"],
            "tokens": (record["train_row_count"] + record["validation_row_count"]) * (settings["sequence_length"] + 1),
            "fingerprint": record["fingerprint"],
            "shards": settings.get("shards"),
        }
        files = [*folder.iterdir()]
        yield Holding("rows", settings["dataset"], folder.name, _size(files), _used([folder]), facts, (folder,))


def _size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _used(paths: Sequence[Path]) -> float:
    """When these were last made or used, by the time of their locks."""
    times = [path.stat().st_mtime for one in paths for path in (one, cache.lock_of(one)) if path.exists()]
    return max(times, default=0.0)


def _delete(path: Path) -> None:
    """A file or folder, and its lock: nobody makes anything while something is removed."""
    if path.is_dir():
        doomed = path.with_name(f"{path.name}.removed.partial")  # first out of sight: half a set of rows is none
        os.replace(path, doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)
    if path.suffix != ".partial":
        cache.lock_of(path).unlink(missing_ok=True)
