"""Data sets that are files: the original's ClimbMix shards, and the user's own parquet, JSON lines and text.

found = find("climbmix", 10, print)     # or a path; downloads what is missing
for shard in found.training:
    for batch in documents(shard.path):
        ...

The third kind, stdlib, needs no files of its own and lies in corpus.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backends.reference.corpus import BadInput
from backends.reference.digests import Digests
from backends.reference.readers import ENDINGS, check_parquet, documents, readable

__all__ = ["CLIMBMIX", "Dataset", "Shard", "documents", "find"]

CLIMBMIX = "climbmix"


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a data set; `name` is relative to the data set's folder, `digest` the sha256 of its bytes."""

    name: str
    path: Path
    digest: str

    @property
    def key(self) -> str:
        """What names its text: how a file is read follows from its ending, so equal bytes may be other text."""
        ending = next(ending for ending in ENDINGS if self.name.lower().endswith(ending))
        return f"{ending}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files of a data set in the order in which they are packed.

    name: "climbmix", or the absolute path that the user named. validation: the pinned shard; empty where documents are
    held out by their hash. cut: whether documents longer than a row are cut into pieces. notes: lines for the user.
    """

    name: str
    training: tuple[Shard, ...]
    validation: tuple[Shard, ...]
    cut: bool
    notes: tuple[str, ...]


def find(name: str, shards: int | None, progress: Callable[[str], None]) -> Dataset:
    """The data set of this name or path, complete on the disk: what is missing is downloaded. Raises BadInput.

    shards: how many training shards of climbmix (10 where it is None). progress: gets lines for the user, now and then.
    """
    if name == CLIMBMIX:
        from backends.reference import climbmix  # which needs the classes above

        return climbmix.find(shards, progress)
    if shards is not None:
        raise BadInput(f"shards = {shards}: only {CLIMBMIX} has numbered shards; leave it out for {name}")
    return own_files(name, progress)


def own_files(name: str, progress: Callable[[str], None]) -> Dataset:
    """The readable files at a path, which is a file or a folder. Raises BadInput.

    Folders are searched to any depth, in the order of names; hidden files and folders, and folders that are links, are
    passed over.
    """
    root = Path(os.path.abspath(os.path.expanduser(name)))
    if root.is_file():
        if not readable(root.name):
            raise BadInput(f"{root}: not a kind of file that can be read; use {_kinds()}")
        folder, names, others = root.parent, [root.name], 0
    elif root.is_dir():
        folder = root
        names, others = _names(root)
    else:
        raise BadInput(f"dataset {name}: no such data set, and no such file; use {CLIMBMIX}, stdlib or a path")
    if not names:
        what = f"nothing but {others:,} other files" if others else "an empty folder"
        raise BadInput(f"{root}: {what}; put {_kinds()} there")
    found = _shards(folder, names, progress)
    notes = [f"{root}: {others:,} files passed over that are not {_kinds()}"] if others else []
    return Dataset(str(root), found, (), True, tuple(notes))


def _kinds() -> str:
    return ", ".join(ENDINGS[:-1]) + " or " + ENDINGS[-1]


def _names(root: Path) -> tuple[list[str], int]:
    """The readable files below a folder, relative to it, sorted; and how many files are of other kinds."""
    names, others = [], 0
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for one in files:
            if not one.startswith("."):
                if readable(one):
                    names.append(Path(folder, one).relative_to(root).as_posix())
                else:
                    others += 1
    return sorted(names), others


def _refuse(error: OSError) -> None:
    raise BadInput(f"{error.filename}: cannot be read: {error.strerror or error}")


def _shards(folder: Path, names: list[str], progress: Callable[[str], None]) -> tuple[Shard, ...]:
    known = Digests(folder)
    for one in names:
        if not (folder / one).is_file():
            raise BadInput(f"{folder / one}: not a file, or a link to none; take it away")
    try:
        fresh = [one for one in names if not known.unchanged(one)]
        total_bytes = sum((folder / one).stat().st_size for one in fresh)
        if total_bytes > 2**28:
            progress(f"hashing {total_bytes / 1e9:,.1f} GB of {folder}")
        for one in fresh:
            if one.lower().endswith(".parquet"):
                check_parquet(folder / one)
        found = tuple(Shard(one, folder / one, known.of(one)) for one in names)
        known.save()
    except OSError as error:
        raise BadInput(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from None
    return found
