"""What the night was for, as a user gets it: the page, the patch, the folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import parrot
import pytest
from conftest import autoresearch, commit_all, ended, git

from core.launch import Options


@pytest.fixture
def root(tmp_path):
    return parrot.workspace(tmp_path / "workspace")


@pytest.fixture
def night(root, engines):
    return parrot.night(root, engines)


def test_the_page(root, night):
    page = autoresearch("best", cwd=root).stdout
    assert page.startswith("best of night: experiment 3, better still\n")
    assert re.search(r"val_bpb +0\.0025 +baseline 0\.04, −93\.[78] %", page)
    assert re.search(r"val_bpb_upstream +0\.25", page)
    way = re.findall(r"^    (\d)  (\S+) .* (\S.*)$", page, re.MULTILINE)
    assert [(n, value) for n, value, _ in way] == [("0", "0.04"), ("1", "0.01"), ("3", "0.0025")]
    assert f"  model (cuda on cpu): {night / 'trials/3-1/checkpoint.safetensors'}" in page
    for option in ("--patch", "--checkout", "--checkpoint", "--sample"):
        assert f"autoresearch best night {option}" in page
    other = autoresearch("best", "night", "--experiment", "2", cwd=root).stdout
    assert other.startswith("discard of night: experiment 2, worse\n")
    assert "autoresearch best night --experiment 2 --patch" in other


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_patch_is_one_that_git_takes(root, engines, tmp_path, ending):
    odd = parrot.TRAIN.replace("import json", "# page\x0cbreak\u2028 \x1c\nimport json") + "# no newline at the end"
    whole = odd.replace("\n", ending)
    (root / "gpt/train.py").write_bytes(whole.encode())
    base = commit_all(root)
    won = whole.replace("0.5", "0.35").replace("the end", "THE END")
    step = json.dumps({"description": "better", "edits": {"train.py": won}})
    (tmp_path / "script.jsonl").write_text(step + "\n")
    ended(engines(Options(str(root), task="gpt", agent=f"scripted:{tmp_path / 'script.jsonl'}", tag="t")))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(root), str(clone))
    assert git(clone, "rev-parse", "HEAD").strip() == base
    argv = [str(Path(sys.executable).parent / "autoresearch"), "best", "--patch"]
    patch = subprocess.run(argv, cwd=root, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    subprocess.run(["git", "apply", "--check", "-"], cwd=clone, input=patch, check=True)
    subprocess.run(["git", "apply", "-"], cwd=clone, input=patch, check=True)
    assert (clone / "gpt/train.py").read_bytes() == won.encode()


def test_the_folder_is_a_workspace_of_its_own(root, night, tmp_path, engines):
    (root / "gpt/train.py").write_text("my own work\n")
    (root / "staged").write_text("staged")
    git(root, "add", "staged")
    before = parrot.contents(root)
    made = tmp_path / "deep" / "winner"
    done = autoresearch("best", "--checkout", str(made), cwd=root)
    assert done.returncode == 0, done.stderr
    assert f"autoresearch run --workspace {made} --task gpt" in done.stderr
    assert f"link it from {root / 'gpt/data'}" in done.stderr
    assert parrot.contents(root) == before
    assert git(made, "status", "--porcelain") == ""
    assert (made / "program.md").read_text() == "Say it better.\n"
    assert (made / "gpt/train.py").read_text() == parrot.TRAIN.replace("0.5", "0.35")
    shutil.copytree(root / "gpt/data", made / "gpt/data")
    again = ended(engines(Options(str(made), task="gpt", tag="next", experiments=0)))
    assert again.experiments[0].measurement.value == pytest.approx(0.0025)
    refused = autoresearch("best", "--checkout", str(made), cwd=root)
    assert refused.returncode == 2
    assert "not empty; name a new or empty folder" in refused.stderr


def test_a_task_file_that_was_never_committed_comes_along(toy, engines, tmp_path):
    git(toy, "rm", "-q", "--cached", "task.toml")
    git(toy, "commit", "-qm", "a task file of my own")
    ended(engines(Options(str(toy), agent=parrot.script_of(toy, ("better", "0.5", "0.4")), tag="t")))
    made = tmp_path / "made"
    made.mkdir()
    assert autoresearch("best", "--checkout", str(made), cwd=toy).returncode == 0
    assert (made / "task.toml").read_text() == (toy / "task.toml").read_text()
    assert git(made, "status", "--porcelain") == ""


def test_the_folder_has_the_settings_that_the_run_had(root, engines, tmp_path):
    file = root / "gpt" / "task.toml"
    file.write_text(file.read_text() + '\n[settings]  # ours\nprofile = "cpu"\ndataset = "stdlib"\n')
    commit_all(root)
    text = str(tmp_path / "my text")
    file.write_text(file.read_text().replace('"stdlib"', json.dumps(text)) + "shards = 3\n")
    agent = parrot.script_of(root, *parrot.STEPS)
    ended(engines(Options(str(root), task="gpt", agent=agent, tag="own")))
    done = autoresearch("best", "own", "--checkout", str(tmp_path / "won"), cwd=root)
    assert done.returncode == 0, done.stderr
    made = tomllib.loads((tmp_path / "won" / "gpt" / "task.toml").read_text())["settings"]
    assert made == {"profile": "cpu", "dataset": text, "shards": 3}
    assert git(tmp_path / "won", "status", "--porcelain") == ""


def test_what_is_not_there_is_said_with_the_mend(toy, engines, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    none = autoresearch("best", cwd=empty)
    assert none.returncode == 2
    assert "no run here yet; start one with" in none.stderr
    folder = engines(Options(str(toy), agent=parrot.script_of(toy, ("worse", "0.5", "0.9")), tag="t"))
    ended(folder)
    assert "nothing was better than the artifact as the run found it" in autoresearch("best", cwd=toy).stdout
    assert "self-reported" in autoresearch("best", cwd=toy).stdout
    expected = {
        ("best", "--patch"): "there is nothing to patch",
        ("best", "--experiment", "9"): "there are 0 to 1",
        ("best", "--patch", "--sample", "a"): "one of them at a time",
        ("best", "--tokens", "3"): "--tokens goes with --sample",
        ("best", "--sample", "a"): "has no sampler",
        ("best", "--checkpoint", "f"): "its train command left no checkpoint",
        ("evaluate",): "task toy has no evaluate command",
        ("best", "other"): "no such run",
    }
    for words, said in expected.items():
        refused = autoresearch(*words, cwd=toy)
        assert refused.returncode == 2, words
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    shutil.rmtree(toy / ".git")
    assert autoresearch("best", cwd=toy).returncode == 0
    gone = autoresearch("best", "--patch", "--experiment", "1", cwd=toy)
    assert gone.returncode == 1
    assert "autoresearch diff N t" in gone.stderr
    git(toy, "init", "-q")
    lost = autoresearch("best", "--patch", "--experiment", "1", cwd=toy)
    assert lost.returncode == 1
    assert "is no longer in" in lost.stderr
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    early = autoresearch("best", cwd=toy)
    assert early.returncode == 2
    assert "has no best experiment yet" in early.stderr


def test_commands_too_long_to_stand_beside_their_words_have_lines_of_their_own(root, night, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    page = autoresearch("best", "--workspace", str(root), cwd=elsewhere).stdout
    command = f"autoresearch best night --workspace {root}"
    assert f"its trained model, as safetensors:\n  {command} --checkpoint FILE\n" in page
    assert f"score it again:\n  autoresearch evaluate night --workspace {root}" in page
