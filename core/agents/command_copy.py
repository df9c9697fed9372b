"""The private copy that a command-line agent works in: the incumbent's files, a repository of their own.

Of all that is done there only the artifact is taken; everything else that changed is told, and dropped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath

from core.agents import Refused, Request
from core.facts import fact
from core.log import plain
from core.workspace import Workspace, create, private_copy

LARGEST_FILE = 4 * 2**20  # bytes: as many characters as an artifact file may have, each as long as UTF-8 makes them
TOLD = 20  # paths that are told one by one
_LONGEST_PATH = 200  # characters
_GIT = ".git"  # ours: nothing in it is part of the copy

Marks = Mapping[str, tuple[int, ...]]  # path relative to the copy -> kind, size, time; folders have only their kind


@fact
class Copy:
    """`root` is the copy, `folder` the task's folder in it; `marks` are all files as they were handed over."""

    root: Path
    folder: Path
    artifact: tuple[str, ...]
    marks: Marks = field(repr=False)

    @classmethod
    def of(cls, request: Request, root: Path) -> Copy:
        """Make the copy in `root`: what the incumbent's commit holds, with the sources of the request in it."""
        run, best = request.history.run, request.history.best
        folder = root
        if run is not None:
            folder = root / run.task_folder
            private_copy(Workspace(request.desk.workspace), best.commit if best else run.base, root)
        for name, text in request.sources.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode("utf-8"))
        if run is None:  # there is nothing to copy but the sources
            create(root, "The incumbent")
        return cls(root, folder, tuple(request.sources), _marks(root, None))

    def edits(self, sources: Mapping[str, str]) -> dict[str, str]:
        """The artifact's files that are not as in `sources` any more. Raises Refused for what is no such file."""
        texts = {name: self._text(name) for name in self.artifact}
        return {name: text for name, text in texts.items() if text != sources[name]}

    def changed(self) -> list[str]:
        """What else was made, changed or removed: paths relative to the copy; a new folder is one of them, with a /."""
        own = {(self.folder / name).relative_to(self.root).as_posix() for name in self.artifact}
        now = _marks(self.root, self.marks)
        new = {path for path, mark in now.items() if self.marks.get(path) != mark}
        gone = {path for path in self.marks.keys() - now.keys() if _is_folder(now, _parent(path))}
        told = (f"{path}/" if _is_folder(now, path) else path for path in (new | gone) - own)
        return sorted(plain(path).replace("\n", " ")[:_LONGEST_PATH] for path in told)

    def _text(self, name: str) -> str:
        for place in (self.root, *_between(self.root, self.folder / name)):
            if place.is_symlink() or not place.is_dir():
                raise Refused(f"the folder of {name} was removed, or replaced by something else")
        try:  # a FIFO would wait for a writer, a link lead elsewhere
            descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Refused(f"{name} was deleted") from None
        except OSError as error:
            was = (
                "was replaced by a symlink"
                if (self.folder / name).is_symlink()
                else f"cannot be read: {error.strerror}"
            )
            raise Refused(f"{name} {was}") from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise Refused(f"{name} was replaced by {_kind(found.st_mode)}")
        with open(descriptor, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise Refused(f"{name} would have {found.st_size / 1e6:,.1f} MB; the limit is 1 MiB")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(f"{name} is not UTF-8 any more (byte {error.start})") from None


def named(paths: list[str]) -> list[str]:
    """A list of paths that is bounded: the first ones, and how many more there are."""
    more = len(paths) - TOLD
    return [*paths[:TOLD], f"and {more:,} more"] if more > 0 else paths


def _between(root: Path, file: Path) -> Iterator[Path]:
    """The folders below `root` that lead to a file."""
    parts = file.parent.relative_to(root).parts
    return (root.joinpath(*parts[:n]) for n in range(1, len(parts) + 1))


def _marks(root: Path, known: Marks | None) -> dict[str, tuple[int, ...]]:
    """Everything below `root` but its .git; a folder that is not `known` is not looked into (None: all are)."""
    found: dict[str, tuple[int, ...]] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:  # it cannot be looked into: what was there counts as gone
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path == _GIT:
                continue
            try:
                as_is = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(as_is.st_mode):
                found[path] = (stat.S_IFMT(as_is.st_mode),)
                if known is None or known.get(path) == found[path]:
                    waiting.append(path)
            else:
                found[path] = (as_is.st_mode, as_is.st_size, as_is.st_mtime_ns, as_is.st_ino)
    return found


def _is_folder(marks: Marks, path: str) -> bool:
    return not path or (path in marks and stat.S_ISDIR(marks[path][0]))


def _parent(path: str) -> str:
    return "" if "/" not in path else str(PurePosixPath(path).parent)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "something that is no file")
