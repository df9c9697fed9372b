"""ClimbMix: which shards there are, where they lie, whether they are whole, and how those that are missing come here.

A shard has its final name only when it is whole: its bytes were counted, compared with the server's sha256 where the
server gave one, and its footer opened. Its digest is recorded then, and a shard that later differs from it is named,
moved aside as `.corrupt`, and fetched again. A shard found without a record (the original's, or copied by hand) is
taken on trust if its footer opens.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backends.reference.corpus import BadInput
from backends.reference.datasets import CLIMBMIX, Dataset, Shard
from backends.reference.digests import Digests, cache_folder, sha256
from backends.reference.readers import check_parquet

if TYPE_CHECKING:  # they import an HTTP client, which is needed only where something is missing
    from backends.reference.hub import Patience, Remote, Repository
    from backends.reference.meter import Meter

REPOSITORY = "karpathy/climbmix-400b-shuffle"
SHARDS = 6542  # training shards that exist; the one after them is the pinned validation shard
DEFAULT_SHARDS = 10
STREAMS = 4  # how many shards are downloaded at once


def find(shards: int | None, progress: Callable[[str], None], patience: Patience | None = None) -> Dataset:
    """The first `shards` training shards and the validation shard, all of them there and checked. Raises BadInput.

    progress: gets lines for the user. patience: how long the server is tried, where not as usual.
    """
    count = DEFAULT_SHARDS if shards is None else shards
    if not 1 <= count <= SHARDS:
        raise BadInput(f"shards = {count}: must be from 1 to {SHARDS:,}")
    names = [shard_name(number) for number in (*range(count), SHARDS)]
    try:
        data_folder().mkdir(parents=True, exist_ok=True)
        found = _known(names)
        if len(found) < len(names):  # something is missing, or was never looked at
            with _lock(data_folder(), progress):
                found = _complete(names, progress, patience)
    except OSError as error:
        raise BadInput(
            f"{error.filename or data_folder()}: {error.strerror or error}; make it usable, or set XDG_CACHE_HOME"
        ) from None
    ordered = [found[name] for name in names]
    return Dataset(CLIMBMIX, tuple(ordered[:-1]), (ordered[-1],), False, ())


def shard_name(number: int) -> str:
    return f"shard_{number:05d}.parquet"


def data_folder() -> Path:
    """Where shards are downloaded to."""
    return cache_folder() / "data"


def _folders() -> list[Path]:
    """Where shards may lie: our folder, then the original's, which is another one on some machines."""
    original = Path.home() / ".cache" / "autoresearch" / "data"
    return [data_folder()] if original == data_folder() else [data_folder(), original]


@contextmanager
def _lock(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Held by whoever checks and downloads: a second process waits, and finds the shards."""
    with (folder / "download.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process downloads the same shards; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- what is there ---------------------------------------------------------------------------------------------------


def _known(names: list[str]) -> dict[str, Shard]:
    """Those that look as they did when their digest was recorded."""
    found: dict[str, Shard] = {}
    for folder in _folders():
        known = Digests(folder)
        for name in names:
            if name not in found and known.unchanged(name):
                found[name] = Shard(name, folder / name, known.of(name))
    return found


def _complete(names: list[str], progress: Callable[[str], None], patience: Patience | None) -> dict[str, Shard]:
    """All of them: each checked, or downloaded."""
    found: dict[str, Shard] = {}
    for folder in _folders():
        known = Digests(folder)
        for name in names:
            if name not in found and (folder / name).exists():
                if why := _fault(folder, name, known):
                    _put_aside(folder, name, known, why, progress)
                else:
                    found[name] = Shard(name, folder / name, known.of(name))
        known.save()
    if missing := [name for name in names if name not in found]:
        found |= {shard.name: shard for shard in _download(missing, progress, patience)}
    return found


def _fault(folder: Path, name: str, known: Digests) -> str:
    """What is wrong with a shard that is there; empty if nothing is, and then its digest is known."""
    if known.unchanged(name):
        return ""
    recorded = known.recorded(name)
    if why := _not_parquet(folder / name):
        return why
    digest = known.of(name)
    return "its bytes are not those that were here before" if recorded not in (None, digest) else ""


def _not_parquet(path: Path) -> str:
    try:
        check_parquet(path)
    except BadInput as error:
        return str(error).removeprefix(f"{path}: ").split(";")[0]
    return ""


def _put_aside(folder: Path, name: str, known: Digests, why: str, progress: Callable[[str], None]) -> None:
    """Out of the way, in our own folder; in the original's nothing is touched, it is only passed over."""
    known.forget(name)
    known.save()
    if folder == data_folder():
        (folder / name).replace(folder / f"{name}.corrupt")
        progress(f"{folder / name}: corrupt: {why}; moved to {name}.corrupt, fetching it again")
    else:
        progress(f"{folder / name}: corrupt: {why}; left there, fetching it to {data_folder()}")


# --- what is missing -------------------------------------------------------------------------------------------------


def _require_address() -> None:
    """Raises BadInput if HF_ENDPOINT is no address; with some of these the hub's own package cannot be imported."""
    if not (found := os.environ.get("HF_ENDPOINT")):
        return
    try:
        parts = urlsplit(found)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadInput(f"HF_ENDPOINT={found}: must be an address like https://host")


def _download(names: list[str], progress: Callable[[str], None], patience: Patience | None) -> list[Shard]:
    _require_address()
    from backends.reference.hub import Patience, Repository
    from backends.reference.meter import Meter, in_parallel

    folder = data_folder()
    known = Digests(folder)
    mend = f"copy the missing shards into {folder}, or use other text: dataset = a path, or stdlib"
    server = Repository(REPOSITORY, mend, patience or Patience())
    progress(f"downloading {len(names)} shards of {CLIMBMIX} from {server.endpoint}")
    asking = Meter(CLIMBMIX, 0, progress)
    remotes = in_parallel(lambda name: server.look_up(name, asking), names, asking, STREAMS)
    _require_space(folder, sum(server.missing_bytes(remote, folder) for remote in remotes), len(remotes))
    meter = Meter(CLIMBMIX, sum(remote.size_bytes or 0 for remote in remotes), progress)
    return in_parallel(lambda remote: _one(server, remote, known, meter), remotes, meter, STREAMS)


def _require_space(folder: Path, needed_bytes: int, count: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise BadInput(
            f"{folder}: {needed_bytes / 1e6:,.0f} MB needed for {count} shards, {free / 1e6:,.0f} MB free; "
            "free some, point XDG_CACHE_HOME to another disk, or ask for fewer with --shards"
        )


def _one(server: Repository, remote: Remote, known: Digests, meter: Meter) -> Shard:
    """Download a shard and verify it; a corrupt one is fetched once more. Raises BadInput, OSError, Stopped."""
    path = data_folder() / remote.name
    aside = path.with_name(path.name + ".corrupt")
    why = ""
    for _ in range(2):
        partial = server.fetch(remote, path.parent, meter)
        digest = sha256(partial)
        if remote.sha256 not in (None, digest):
            why = f"its sha256 is {digest[:12]}…, the server's {remote.sha256 or '':.12}…"
        else:
            why = _not_parquet(partial)
        if not why:
            _finish(partial, path, digest, known)
            return Shard(remote.name, path, digest)
        meter.received(-partial.stat().st_size)
        meter.say(f"{path}: came corrupt: {why}; moved to {aside.name}, fetching it again")
        partial.replace(aside)
    raise BadInput(
        f"{remote.name} came corrupt twice from {server.endpoint}: {why} (the last one is {aside}); "
        f"try later or another HF_ENDPOINT, or {server.mend}"
    )


def _finish(partial: Path, path: Path, digest: str, known: Digests) -> None:
    """Give a verified shard its name, on the disk before the record says so."""
    _sync(partial)
    known.record(path.name, digest, found_at=partial)
    known.save()
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
