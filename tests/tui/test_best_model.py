"""What the night was for: the trained model, copied, sampled and scored again."""

from __future__ import annotations

import fcntl
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import parrot
import pytest
from conftest import autoresearch, commit_all, ended, until

from core.launch import Options


@pytest.fixture
def root(tmp_path):
    return parrot.workspace(tmp_path / "workspace")


@pytest.fixture
def night(root, engines):
    return parrot.night(root, engines)


def test_the_checkpoint(root, night, tmp_path):
    file = tmp_path / "model.safetensors"
    assert autoresearch("best", "--checkpoint", str(file), cwd=root).returncode == 0
    assert float(file.read_text()) == pytest.approx(0.0025)
    file.write_text("mine")
    refused = autoresearch("best", "--checkpoint", str(file), cwd=root)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert file.read_text() == "mine"
    assert autoresearch("best", "--checkpoint", str(file), "--force", "--experiment", "1", cwd=root).returncode == 0
    assert float(file.read_text()) == pytest.approx(0.01)
    own = autoresearch("best", "--checkpoint", str(night / "trials/3-1/checkpoint.safetensors"), "--force", cwd=root)
    assert own.returncode == 2
    (night / "trials/2-1/checkpoint.safetensors").unlink()
    gone = autoresearch("best", "--checkpoint", str(file), "--force", "--experiment", "2", cwd=root)
    assert gone.returncode == 2
    assert "it was discarded; only kept experiments and the last 3 keep theirs" in gone.stderr


def test_the_model_continues_a_text_and_harms_no_terminal(root, night):
    journal = (night / "journal.jsonl").read_bytes()
    done = autoresearch("best", "--sample", "", "--temperature", "0", cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "café[31mred\ufffd\nend\n"
    assert "the model ended its text" in done.stderr
    some = autoresearch("best", "--sample", "caf", "--tokens", "3", "--cpu", cwd=root)
    assert some.stdout == "café\n"  # both halves of é, and an escape that is not passed on
    long = autoresearch("best", "--sample", "x" * 100_000 + "y", "--tokens", "2", "--seed", "7", cwd=root)
    assert long.stdout == "x" * 100_000 + "y\n"
    assert (night / "journal.jsonl").read_bytes() == journal


def test_a_model_that_cannot_answer_is_one_line(root, engines):
    breaks = (("breaks", 'print("words that are not the model\'s")', "raise OSError('no such weights')"),
              ("better", "0.5", "0.4"), ("dies", "import torch", "os._exit(9)"))  # fmt: skip
    ended(engines(Options(str(root), task="gpt", agent=parrot.script_of(root, *breaks), tag="t")))
    failed = autoresearch("best", "--sample", "a", "--experiment", "1", cwd=root)
    assert failed.returncode == 1
    assert failed.stderr == "autoresearch: the model cannot continue a text: OSError: no such weights\n"
    died = autoresearch("best", "--sample", "a", "--experiment", "3", cwd=root)
    assert died.returncode == 1
    assert died.stderr == "autoresearch: the model stopped in the middle of its answer: exit status 9\n"


def test_a_score_is_taken_again(root, night, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = parrot.contents(root), (night / "journal.jsonl").read_bytes(), sorted(night.rglob("*"))
    done = autoresearch("evaluate", cwd=root)
    assert done.returncode == 0, done.stderr
    assert re.search(r"val_bpb +0\.0025 +recorded 0\.0025: equal within 1e-05, cuda on cpu", done.stdout)
    assert re.search(r"val_bpb_upstream +0\.25", done.stdout)
    assert "64 positions asked again: largest difference 1e-06 nats" in done.stdout
    file = tmp_path / "model.safetensors"
    file.write_text("0.125")
    other = autoresearch("evaluate", "--checkpoint", str(file), "--experiment", "1", cwd=root)
    assert "recorded 0.01: +0.115, cuda on cpu; another checkpoint than the recorded one" in other.stdout
    file.write_text("forged")
    rejected = autoresearch("evaluate", "night", "--checkpoint", str(file), cwd=root)
    assert rejected.returncode == 1
    assert rejected.stderr.endswith("\nautoresearch: no score: rejected: it looks ahead\n")
    missing = autoresearch("evaluate", "--checkpoint", str(tmp_path / "none"), cwd=root)
    assert missing.returncode == 2
    assert before == (parrot.contents(root), (night / "journal.jsonl").read_bytes(), sorted(night.rglob("*")))
    assert list(scratch.iterdir()) == []


def test_without_a_run_a_model_cannot_be_scored_and_it_says_so(tmp_path):
    for words in (("evaluate",), ("evaluate", "--checkpoint", "model.safetensors"), ("evaluate", "--workspace", ".")):
        refused = autoresearch(*words, cwd=tmp_path)
        assert refused.returncode == 2
        assert "scored by a run's source, on its rows; make one of the baseline alone" in refused.stderr


def test_a_run_at_work_is_not_disturbed(root, night, tmp_path):
    locks = tmp_path / "cache/autoresearch/locks"
    with open(locks / "cpu.lock", "w") as lock:
        lock.write("4711 /some/run\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (("evaluate",), ("best", "--sample", "a")):
            refused = autoresearch(*words, cwd=root)
            assert refused.returncode == 2
            assert "device cpu is in use by another run" in refused.stderr
            assert "4711 /some/run" in refused.stderr


def test_ctrl_c_ends_the_child_and_leaves_nothing(root, engines, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    (root / "gpt/train.py").write_text(parrot.TRAIN.replace("SAYS[i] if i < len(SAYS) else 256", parrot.ENDLESS))
    commit_all(root)
    ended(engines(Options(str(root), task="gpt", tag="t", experiments=0)))
    argv = [str(Path(sys.executable).parent / "autoresearch"), "best", "--sample", "a", "--tokens", "100000"]
    with subprocess.Popen(
        argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    ) as process:  # fmt: skip
        assert process.stdout.read(40)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    until(lambda: list(scratch.iterdir()) == [])


def test_the_reference_model_is_scored_and_sampled(reference):
    """The real backend: the same score again to within 1e-5, and the same text for the same seed."""
    words = ("run", "--plain", "--device", "cpu", "--budget", "2", "--experiments", "0", "--tag", "t")
    assert autoresearch(*words, cwd=reference, limit=120).returncode == 0
    done = autoresearch("evaluate", cwd=reference, limit=300)
    assert done.returncode == 0, done.stderr
    assert "equal within 1e-05, cuda on cpu" in done.stdout
    assert "128 positions asked again" in done.stdout
    words = ("best", "--sample", "def ", "--tokens", "30", "--seed", "1")
    texts = [autoresearch(*words, cwd=reference).stdout for _ in range(2)]
    assert texts[0].startswith("def ")
    assert texts[0] == texts[1]
    assert json.loads((reference / ".autoresearch/t/journal.jsonl").read_text().splitlines()[0])["backend"] == "cuda"
