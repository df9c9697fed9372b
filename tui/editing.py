"""Copies of an experiment's files for the user's editor: to look at, or of a waiting proposal to change."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from core.errors import UsageError
from core.facts import fact
from tui import text
from tui.diffs import FILE, each_line, tally


@fact
class Copy:
    """A folder of files, and what was in them when they were written."""

    folder: Path
    written: Mapping[str, str]  # path -> text

    @property
    def paths(self) -> list[str]:
        return sorted(self.written)

    def place(self, path: str) -> Path:
        """Where the copy of this file lies. Never outside of the folder, whatever a foreign journal calls its files."""
        return self.folder.joinpath(*(part for part in PurePosixPath(path).parts if part not in ("/", "//", "..")))

    @property
    def places(self) -> list[str]:
        """All of them, absolute: a name that begins with a sign is then no option of an editor's."""
        return [str(self.place(path)) for path in self.paths]

    def changed(self) -> dict[str, str]:
        """What the user made of the files that were changed. Raises UsageError for one that cannot be read."""
        found: dict[str, str] = {}
        for path, before in self.written.items():
            try:
                after = self.place(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{self.place(path)}: cannot be read ({error}); put it right in the editor") from None
            if after != before:
                found[path] = after
        return found

    def told(self) -> str:
        """What the user changed, in words: `+1 −1 (train.py)`. Raises UsageError as `changed` does."""
        told = []
        for path, after in self.changed().items():
            lines = difflib.unified_diff(self.written[path].split("\n"), after.split("\n"), "a", "b", lineterm="")
            told.append(f"{tally(chr(10).join(lines))} ({text.one_line(path)})")
        return ", ".join(told)


def first_change(diff: str, paths: Sequence[str]) -> tuple[str, int] | None:
    """The first file of these that a diff changes, and its first line that is new or comes after a deleted one. The
    diff's paths begin at the workspace, `paths` at the task folder."""
    path, last = None, 0
    for line in each_line(diff):
        if line.kind == "@":
            last = 0
            if line.text.startswith(FILE):
                name = line.text.removeprefix(FILE)
                path = next((p for p in paths if name == p or name.endswith(f"/{p}")), None)
        elif path is not None and line.kind in ("+", "-") and line.number is not None:
            return path, line.number if line.kind == "+" or not last else last + 1
        elif line.kind == " " and line.number is not None:
            last = line.number
    return None


class Copies:
    """One for each experiment, kept while the window is open: a version that an engine refused can be mended."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, bool], Copy] = {}

    def of(self, number: int, files: Mapping[str, str], to_edit: bool) -> Copy:
        """The copy of these files; one that exists is left as the user left it, one of a proposal that had the number
        before is not taken for it. Raises UsageError."""
        if kept := self._kept.get((number, to_edit)):
            if kept.written == files:
                return kept
            self._drop(self._kept.pop((number, to_edit)), to_edit)
        try:
            copy = Copy(Path(tempfile.mkdtemp(prefix=f"autoresearch-{number}-")), dict(files))
            if len(set(copy.places)) != len(files):
                raise UsageError("two of its files have one name; no copy of them can be made")
            for path, text in files.items():
                place = copy.place(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
                if not to_edit:
                    place.chmod(0o444)
        except OSError as error:
            raise UsageError(
                f"no copy for the editor can be written: {error}; set TMPDIR to a folder with room"
            ) from None
        self._kept[number, to_edit] = copy
        return copy

    def settled(self, number: int) -> None:
        """The engine took it: nothing of the user's is lost with the copy any more."""
        copy = self._kept.pop((number, True), None)
        if copy is not None:
            shutil.rmtree(copy.folder, ignore_errors=True)

    def close(self) -> None:
        """Remove them all but those that the user changed and no engine took."""
        for (_, to_edit), copy in self._kept.items():
            self._drop(copy, to_edit)

    def _drop(self, copy: Copy, to_edit: bool) -> None:
        if not (to_edit and _touched(copy)):
            shutil.rmtree(copy.folder, ignore_errors=True)


def _touched(copy: Copy) -> bool:
    try:
        return bool(copy.changed())
    except UsageError:
        return True
