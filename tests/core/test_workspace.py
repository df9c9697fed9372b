"""Git without a checkout: commits, pins, a branch that is moved by compare-and-set, and nothing else touched."""

from __future__ import annotations

import os
import re

import pytest
from conftest import commit_all, git

from core.errors import RunFailed, UsageError
from core.outlook import free_tag
from core.tags import check_tag
from core.workspace import Workspace, create, unified_diff


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "train.py").write_text("A = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    commit_all(folder)
    return folder


def test_a_commit_changes_its_file_only_and_keeps_modes(repo):
    ws = Workspace(repo / "deep")
    base = ws.head()
    one = ws.commit(base, {"deep/er/train.py": "A = 2\n", "run.sh": "#!/bin/sh\nls\n"}, "one")
    assert git(repo, "diff", "--name-status", base, one).split() == ["M", "deep/er/train.py", "M", "run.sh"]
    assert git(repo, "ls-tree", one, "run.sh").startswith("100755")
    assert git(repo, "ls-tree", one, "link").startswith("120000")
    assert git(repo, "rev-parse", f"{one}^").strip() == base
    assert git(repo, "status", "--porcelain") == ""
    assert ws.diff(base, one, ["deep/er/train.py"]) == unified_diff("deep/er/train.py", "A = 1\n", "A = 2\n")


def test_commits_work_without_a_git_identity(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "train.py").write_text("A = 1\n")
    base = create(folder, "first")
    one = Workspace(folder).commit(base, {"train.py": "A = 2\n"}, "one")
    assert git(folder, "show", "-s", "--format=%an", one).strip()


def test_the_branch_moves_only_from_where_it_is_expected(repo):
    ws = Workspace(repo)
    base = ws.head()
    one = ws.commit(base, {"deep/er/train.py": "A = 2\n"}, "one")
    two = ws.commit(one, {"deep/er/train.py": "A = 3\n"}, "two")
    ws.move("t", None, base)
    ws.move("t", base, one)
    ws.move("t", base, one)  # a second time, as after a crash, is harmless
    assert ws.tip("t") == one
    git(repo, "branch", "-f", "autoresearch/t", base)
    with pytest.raises(RunFailed, match="did not do"):
        ws.move("t", one, two)
    assert ws.tip("t") == base
    git(repo, "branch", "-D", "autoresearch/t")
    with pytest.raises(RunFailed, match="is gone"):
        ws.move("t", one, two)


def test_discards_survive_garbage_collection(repo):
    ws = Workspace(repo)
    one = ws.commit(ws.head(), {"deep/er/train.py": "A = 2\n"}, "discarded")
    ref = ws.pin("t", 7, one)
    git(repo, "gc", "-q", "--prune=now")
    assert ref == "refs/autoresearch/t/7"
    assert Workspace(repo).read(one, "deep/er/train.py") == "A = 2\n"


def test_a_checkout_elsewhere_leaves_index_and_files_alone(repo, tmp_path):
    ws = Workspace(repo)
    one = ws.commit(ws.head(), {"deep/er/train.py": "A = 2\n"}, "one")
    (repo / "deep/er/train.py").write_text("dirty\n")
    git(repo, "add", "-A")
    before = (repo / ".git/index").read_bytes()
    ws.checkout(one, tmp_path / "out")
    assert (tmp_path / "out/deep/er/train.py").read_text() == "A = 2\n"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert (tmp_path / "out/link").is_symlink()
    assert not (tmp_path / "out/.git").exists()
    assert (repo / ".git/index").read_bytes() == before
    assert (repo / "deep/er/train.py").read_text() == "dirty\n"


def test_stale_locks_of_ours_are_removed_and_no_others(repo):
    ws = Workspace(repo)
    ws.move("t", None, ws.head())
    ws.pin("t", 1, ws.head())
    ours = [repo / ".git/refs/heads/autoresearch/t.lock", repo / ".git/refs/autoresearch/t/1.lock"]
    theirs = repo / ".git/refs/heads/main.lock"
    for lock in (*ours, theirs):
        lock.touch()
    ws.remove_stale_locks("t")
    assert not any(lock.exists() for lock in ours)
    assert theirs.exists()


def test_a_linked_worktree_is_a_workspace_too(repo, tmp_path):
    git(repo, "worktree", "add", "-q", "-b", "work", str(tmp_path / "linked"))
    ws = Workspace(tmp_path / "linked")
    ws.move("t", None, ws.head())
    (repo / ".git/refs/heads/autoresearch/t.lock").touch()
    ws.remove_stale_locks("t")
    assert not (repo / ".git/refs/heads/autoresearch/t.lock").exists()
    assert git(repo, "rev-parse", "autoresearch/t").strip() == ws.head()


@pytest.mark.parametrize("tag", ["nov20", "wide-mlp", "a.b_c", "x" * 80])
def test_tags_that_can_be_branches(tag, repo):
    check_tag(tag)
    ws = Workspace(repo)
    ws.move(tag, None, ws.head())
    assert git(repo, "rev-parse", f"autoresearch/{tag}").strip() == ws.head()


@pytest.mark.parametrize("tag", ["", "a/b", "..", ".a", "a.lock", "a b", "-x", "ä", "a..b", "a\n"])
def test_tags_that_cannot(tag):
    with pytest.raises(UsageError, match="--tag"):
        check_tag(tag)


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("a.lock", "it ends in '.lock'"), ("a.", "it ends in '.'"), (".a", "it begins with '.'"),
        ("-x", "it begins with '-'"), ("a..b", "it has '..' in it"), ("a b", "use up to 100 letters"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_tag_is_said(tag, why):
    with pytest.raises(UsageError, match=re.escape(f"--tag {tag!r}: {why}")) as refused:
        check_tag(tag)
    assert "as in nov20" in str(refused.value)


def test_a_branch_below_the_name_of_the_runs_is_found_before_anything_is_changed(repo):
    git(repo, "branch", "autoresearch/t/mine")
    ws = Workspace(repo)
    assert ws.below("t") == "autoresearch/t/mine"
    assert ws.below("other") is None
    with pytest.raises(UsageError, match="branch autoresearch/t/mine exists, and git has no autoresearch/t beside it"):
        free_tag(ws, "t")
    assert free_tag(ws, "other") == "other"
