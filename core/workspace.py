"""The git repository that remembers everything, without ever touching the user's checkout, index or HEAD.

Blobs, trees and commits are written straight into the object store; one branch, `autoresearch/<tag>`, points at the
incumbent and is moved by compare-and-set; every experiment is pinned at `refs/autoresearch/<tag>/<number>`.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pygit2
from pygit2.enums import CheckoutStrategy, DiffOption, FileMode

from core.errors import BranchLocked, RunFailed, UsageError
from core.tags import branch_name

# pygit2 and git leave refs and objects to the page cache by default: a power cut then loses the branch.
pygit2.settings.enable_fsync_gitdir(True)

_ENGINE = ("autoresearch", "autoresearch@localhost")


class Workspace:
    """One repository. Commit ids are 40-character hex strings, paths are relative to its root with '/'."""

    def __init__(self, folder: Path) -> None:
        """Open the repository whose root is, or contains, `folder`. Raises UsageError."""
        self._repo = _open(folder)
        self.root = Path(self._repo.workdir).resolve()

    # --- reading ---------------------------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit that the user's HEAD stands at. Raises UsageError where there is none yet."""
        if self._repo.head_is_unborn:
            raise UsageError(f"{self.root}: the repository has no commit yet; commit the task's files first")
        return str(self._repo.head.peel(pygit2.Commit).id)

    def read(self, commit: str, path: str) -> str:
        """The text of a file at a commit. Raises UsageError where it is not there or not UTF-8."""
        try:
            entry = self._tree(commit)[path]
        except KeyError:
            raise UsageError(f"{path}: not in commit {commit[:7]}; commit it first (git add, git commit)") from None
        if not isinstance(entry, pygit2.Blob) or entry.filemode == FileMode.LINK:
            raise UsageError(f"{path}: in commit {commit[:7]} it is not a regular file")
        try:
            return bytes(entry.data).decode("utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{path}: not UTF-8 text; an artifact must be") from None

    def changed_files(self, commit: str, paths: Sequence[str]) -> list[str]:
        """Those of `paths` whose text in the checkout differs from the commit."""
        return [p for p in paths if _text(self.root / p) != self.read(commit, p)]

    def tip(self, tag: str) -> str | None:
        """Where the run's branch points; None where it does not exist."""
        reference = self._repo.references.get(f"refs/heads/{branch_name(tag)}")
        return str(reference.peel(pygit2.Commit).id) if reference else None

    def checked_out(self, tag: str) -> bool:
        """Whether some worktree has the run's branch checked out (also one whose branch has no commit yet)."""
        git = self._common_folder()
        heads = [git / "HEAD", *(git / "worktrees").glob("*/HEAD")]
        return any(_text(head) == f"ref: refs/heads/{branch_name(tag)}\n" for head in heads)

    def holds(self, tag: str) -> bool:
        """Whether a run of this tag has left a branch or a pinned experiment."""
        pins = f"refs/autoresearch/{tag}/"
        return self.tip(tag) is not None or any(name.startswith(pins) for name in self._repo.references)

    def below(self, tag: str) -> str | None:
        """A branch `autoresearch/<tag>/…`: git cannot have the run's branch beside it. None where there is none."""
        folder = f"refs/heads/{branch_name(tag)}/"
        found = (name for name in self._repo.references if name.startswith(folder))
        return next((name.removeprefix("refs/heads/") for name in found), None)

    def check_branches_fit(self) -> None:
        """Refuse a repository with a branch `autoresearch`: git cannot have branches below the name of another."""
        if self._repo.references.get("refs/heads/autoresearch") is not None:
            mend = "rename it with: git branch -m autoresearch another-name"
            raise UsageError(f"{self.root}: its branch `autoresearch` is where branches autoresearch/TAG go; {mend}")

    def resolve(self, name: str) -> tuple[str, str] | None:
        """The full id of a commit, and of its first parent ("" for a root); None if it is not here."""
        if not re.fullmatch(r"[0-9a-f]{4,40}", name):
            return None
        try:
            found = self._repo.revparse_single(name)
        except (KeyError, ValueError, pygit2.GitError):
            return None
        if not isinstance(found, pygit2.Commit):
            return None
        return str(found.id), str(found.parent_ids[0]) if found.parent_ids else ""

    def diff(self, old: str, new: str, paths: Sequence[str]) -> str:
        """Unified diff of these files between two commits."""
        return "".join(unified_diff(p, self.read(old, p), self.read(new, p)) for p in paths)

    def preview(self, old: str, edits: Mapping[str, str], paths: Sequence[str]) -> str:
        """The same for texts that are not committed yet."""
        return "".join(unified_diff(p, self.read(old, p), edits[p]) for p in paths if p in edits)

    def patch(self, old: str, new: str) -> str:
        """Everything between two commits, as `git apply` takes it."""
        return str(self._tree(old).diff_to_tree(self._tree(new), flags=DiffOption.FORCE_TEXT).patch or "")

    def has(self, commit: str) -> bool:
        """Whether the commit and its files are here."""
        try:
            self._tree(commit)
        except RunFailed:
            return False
        return True

    # --- writing ---------------------------------------------------------------------------------------------------

    def commit(self, parent: str, edits: Mapping[str, str], message: str) -> str:
        """Write a commit with these files' new texts on top of `parent`; no ref moves. Returns its id."""
        tree = self._tree(parent).id
        for path, text in edits.items():
            blob = self._repo.create_blob(text.encode("utf-8"))
            tree = self._with(tree, PurePosixPath(path).parts, blob)
        who = self._signature()
        return str(self._repo.create_commit(None, who, who, message, tree, [pygit2.Oid(hex=parent)]))

    def pin(self, tag: str, number: int, commit: str, repair: int = 0) -> str:
        """Keep an experiment's commit, or that of a repair, from garbage collection. Returns the ref's name.

        Doing it twice is harmless.
        """
        name = f"refs/autoresearch/{tag}/{number}" + (f"-r{repair}" if repair else "")
        self._repo.references.create(name, pygit2.Oid(hex=commit), force=True)
        return name

    def move(self, tag: str, old: str | None, new: str) -> None:
        """Move the branch from `old` to `new`, creating it where `old` is None. Doing it twice is harmless.

        Raises RunFailed where the branch is at neither: then somebody else moved it, and it is not overwritten.
        Raises BranchLocked where another git holds it.
        """
        name = f"refs/heads/{branch_name(tag)}"
        reference = self._repo.references.get(name)
        at = str(reference.peel(pygit2.Commit).id) if reference else None
        if at == new:
            return
        if at != old:
            stands = f"stands at {at[:7]}" if at else "is gone"
            back = f"git branch -f {branch_name(tag)} {(old or new)[:12]}"
            mend = f"put it back with: {back}, then: autoresearch resume {tag}"
            raise RunFailed(f"branch {branch_name(tag)} {stands}, which this run did not do; {mend}")
        try:
            if reference is None:
                self._repo.create_reference_direct(name, pygit2.Oid(hex=new), False, "autoresearch: baseline")
            else:
                reference.set_target(pygit2.Oid(hex=new), "autoresearch: keep")
        except (pygit2.GitError, ValueError, OSError) as error:
            raise BranchLocked(f"branch {branch_name(tag)} cannot be moved just now: {error}") from None

    def remove_stale_locks(self, tag: str) -> None:
        """Remove ref locks that a killed engine of this run left. Only for the holder of the run's lock."""
        git = self._common_folder()
        (git / f"refs/heads/{branch_name(tag)}.lock").unlink(missing_ok=True)
        for lock in (git / f"refs/autoresearch/{tag}").glob("*.lock"):
            lock.unlink(missing_ok=True)

    def checkout(self, commit: str, folder: Path) -> None:
        """Write the commit's files into a folder outside the workspace. The user's index is not rewritten."""
        folder.mkdir(parents=True, exist_ok=True)
        strategy = (
            CheckoutStrategy.FORCE | CheckoutStrategy.DONT_UPDATE_INDEX | CheckoutStrategy.DONT_WRITE_INDEX
            | CheckoutStrategy.RECREATE_MISSING | CheckoutStrategy.NO_REFRESH
        )  # fmt: skip
        self._repo.checkout_tree(self._tree(commit), directory=str(folder), strategy=strategy)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _tree(self, commit: str) -> pygit2.Tree:
        try:
            found: Any = self._repo[commit]
        except (KeyError, ValueError):
            raise RunFailed(f"commit {commit[:12]} is not in {self.root}; fetch it or start a new run") from None
        return found.peel(pygit2.Tree)

    def _with(self, tree: pygit2.Oid | None, parts: tuple[str, ...], blob: pygit2.Oid) -> pygit2.Oid:
        builder = self._repo.TreeBuilder(self._repo[tree]) if tree else self._repo.TreeBuilder()
        old = builder.get(parts[0])
        if len(parts) == 1:
            mode = FileMode.BLOB_EXECUTABLE if old and old.filemode == FileMode.BLOB_EXECUTABLE else FileMode.BLOB
            builder.insert(parts[0], blob, mode)
        else:
            inner = old.id if old and old.filemode == FileMode.TREE else None
            builder.insert(parts[0], self._with(inner, parts[1:], blob), FileMode.TREE)
        return builder.write()

    def _signature(self) -> pygit2.Signature:
        with contextlib.suppress(KeyError, pygit2.GitError, ValueError):
            return self._repo.default_signature
        return pygit2.Signature(*_ENGINE)

    def _common_folder(self) -> Path:
        """The .git folder. In a linked worktree refs live in the main one's, which the file `commondir` names."""
        git = Path(self._repo.path)
        file = git / "commondir"
        return Path(os.path.realpath(git / file.read_text().strip())) if file.exists() else git


def create(folder: Path, message: str, paths: Sequence[str] | None = None, others: Sequence[str] = ()) -> str:
    """Make a repository of this folder and commit everything in it, or these paths, and others if not ignored.

    Returns the commit's id. Raises OSError.
    """
    try:
        repo = pygit2.init_repository(str(folder), initial_head="main")
        if paths is None:
            repo.index.add_all()
        for path in (*(paths or ()), *(o for o in others if not repo.path_is_ignored(o))):
            repo.index.add(path)
        repo.index.write()
        return _first_commit(repo, message)
    except pygit2.GitError as error:
        raise OSError(errno.EIO, str(error), str(folder)) from None


def private_copy(workspace: Workspace, commit: str, folder: Path) -> None:
    """Write a commit's files into a folder and make it a repository of its own: one commit, no past, no remote.

    It borrows the workspace's objects; whatever git does there is written there alone. Raises OSError.
    """
    try:
        workspace.checkout(commit, folder)
        git = Path(pygit2.init_repository(str(folder), initial_head="main").path)
        (git / "objects" / "info").mkdir(parents=True, exist_ok=True)
        borrowed = os.fsencode(workspace._common_folder() / "objects")
        (git / "objects" / "info" / "alternates").write_bytes(borrowed + b"\n")
        repo = pygit2.Repository(str(folder))
        repo.index.read_tree(workspace._tree(commit).id)
        repo.index.write()
        _first_commit(repo, f"The incumbent, {commit[:12]}")
    except pygit2.GitError as error:  # a full disk
        raise OSError(errno.EIO, str(error), str(folder)) from None


def _first_commit(repo: pygit2.Repository, message: str) -> str:
    who = pygit2.Signature(*_ENGINE)
    with contextlib.suppress(KeyError, pygit2.GitError, ValueError):
        who = repo.default_signature
    return str(repo.create_commit("HEAD", who, who, message, repo.index.write_tree(), []))


def unified_diff(path: str, old: str, new: str) -> str:
    """A unified diff of one file, as `git diff` would head it; empty where nothing differs."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}", n=3
    )
    body = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return f"diff --git a/{path} b/{path}\n{body}" if body else ""


def _open(folder: Path) -> pygit2.Repository:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make a workspace with: autoresearch init {folder}")
    found = pygit2.discover_repository(str(folder))
    if found is None:
        mend = f"make one with: autoresearch init {folder}, or for a task of your own: autoresearch init --own {folder}"
        raise UsageError(f"{folder}: not in a git repository; {mend}")
    try:
        repo = pygit2.Repository(found)
        partial = [c.name for c in repo.config if re.fullmatch(r"remote\..*\.promisor", c.name) and c.value == "true"]
        repo.references.get("HEAD")
    except (pygit2.GitError, ValueError) as error:
        what = "SHA-256 objects, reftable refs and other extensions cannot be opened"
        raise UsageError(f"{folder}: git opens this repository, pygit2 does not ({error}); {what}") from None
    if partial:
        mend = "make it whole with: git fetch --refetch --no-filter"
        raise UsageError(f"{folder}: a partial clone (its objects are elsewhere) cannot be used; {mend}")
    if repo.is_bare:
        raise UsageError(f"{folder}: a bare repository has no files to work on; clone it first")
    return repo


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
