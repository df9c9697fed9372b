"""The user's own text, from files to rows: held out, found again, refused where it changed, and on a full disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.reference import cache, corpus, digests, prepare
from backends.reference.corpus import BadInput
from backends.reference.profiles import Device
from backends.reference.tokenizer import Tokenizer
from core import sandbox

LIMIT_SECONDS = 120
SMALL = {"sequence_length": 64, "vocab_size": 512, "eval_tokens": 4096, "eval_batch_rows": 4}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of own text: some of the library's sources in three files."""
    folder = tmp_path / "own"
    folder.mkdir()
    sources = corpus.stdlib()[:80]
    for i, name in enumerate(("a.txt", "b.txt")):
        (folder / name).write_text("\n\n".join(source.text for source in sources[i * 20 : i * 20 + 20]))
    (folder / "c.jsonl").write_text("".join(json.dumps({"text": source.text}) + "\n" for source in sources[40:]))
    return folder


def find_cpu(name: str) -> Device:
    return Device("cpu", "a processor", 24_000)


def request(**changes: Any) -> dict[str, Any]:
    return {"device": "cpu", "fingerprint": None} | changes


def pieces(rows: np.ndarray, bos: int) -> list[bytes]:
    """The documents of rows, without their BOS, but for each row's last, which may be cropped."""
    parts = [np.split(row, np.flatnonzero(row == bos)[1:])[:-1] for row in rows]
    return [piece[1:].tobytes() for of_row in parts for piece in of_row]


def prepare_own(own: Path, **changes: Any) -> dict[str, Any]:
    return prepare.prepare(
        "cuda", request(settings={"profile": "cpu", **SMALL, "dataset": str(own)}, **changes), find_cpu
    )


def test_own_text_named_relative_to_the_task_gives_rows_and_a_second_start_reads_none_of_it(
    own: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    settings = {"profile": "cpu", **SMALL, "dataset": "./own"}
    first = prepare.prepare("cuda", request(settings=settings), find_cpu)
    assert first["settings"]["dataset"] == str(own)
    assert "tokenising 3 files" in capfd.readouterr().out
    assert np.load(first["validation_rows"]).shape == (64, 65)
    training = np.load(first["train_rows"])
    assert len(training) > 1000
    bos = Tokenizer.loads(Path(first["tokenizer"]).read_text()).bos
    held_out = {*pieces(np.load(first["validation_rows"]), bos)}
    assert len(held_out) > 50
    assert not held_out & {*pieces(training, bos)}
    assert prepare.prepare("cuda", request(settings=settings), find_cpu) == first
    assert capfd.readouterr().out.startswith("data ready in")


def test_changed_text_gives_other_rows_and_a_resumed_run_keeps_its_own(own: Path) -> None:
    first = prepare_own(own)
    (own / "a.txt").write_text((own / "b.txt").read_text()[::-1])
    other = prepare_own(own)
    assert other["fingerprint"] != first["fingerprint"]
    assert prepare_own(own, fingerprint=first["fingerprint"])["train_rows"] == first["train_rows"]
    shutil.rmtree(own)
    assert prepare_own(own, fingerprint=first["fingerprint"])["train_rows"] == first["train_rows"]


def test_a_resumed_run_is_refused_when_its_rows_are_gone_and_the_text_has_changed(own: Path) -> None:
    first = prepare_own(own)
    shutil.rmtree(Path(first["train_rows"]).parent)
    assert prepare_own(own, fingerprint=first["fingerprint"])["fingerprint"] == first["fingerprint"]  # made again
    shutil.rmtree(Path(first["train_rows"]).parent)
    (own / "a.txt").write_text((own / "b.txt").read_text()[::-1])
    with pytest.raises(BadInput, match=rf"are gone from .*, and {own} gives other ones now; start a new run"):
        prepare_own(own, fingerprint=first["fingerprint"])


def test_a_large_row_file_is_not_hashed_at_every_start_but_is_when_it_changed(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "ALWAYS_HASHED_BYTES", 200_000)
    rows_file = Path(prepare_own(own)["train_rows"])
    good = rows_file.read_bytes()
    assert len(good) > 200_000
    with monkeypatch.context() as context:
        context.setattr(digests, "sha256", None)  # whoever hashes a large file now, fails
        assert prepare_own(own)["train_rows"] == str(rows_file)
    for harm in (good[:-2], good[:5000] + bytes(4) + good[5004:]):
        rows_file.write_bytes(harm)
        capfd.readouterr()
        prepare_own(own)
        assert "packing" in capfd.readouterr().out
        assert rows_file.read_bytes() == good


LIMITED = """
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv[1:] = ["prepare"]
import runpy
runpy.run_module("backends.cuda", run_name="__main__")
"""


def prepare_with_room(room_bytes: int, place: Path, own: Path, answer: Path) -> subprocess.CompletedProcess[str]:
    """A prepare process whose files cannot grow beyond so many bytes, as on a disk that fills up."""
    settings = {"profile": "cpu", **SMALL, "dataset": str(own)}
    trial_file = answer.with_suffix(".request")
    trial_file.write_text(json.dumps(request(settings=settings, role="prepare", answer=str(answer))))
    environment = {**os.environ, "XDG_CACHE_HOME": str(place), sandbox.VARIABLE: str(trial_file)}
    argv = [sys.executable, "-P", "-c", LIMITED, str(room_bytes)]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=answer.parent
    )


def test_a_disk_that_fills_up_is_said_with_the_room_needed_and_work_goes_on_when_there_is_some(
    own: Path, tmp_path: Path
) -> None:
    undisturbed = prepare_own(own)
    place, answer = tmp_path / "small disk", tmp_path / "answer.json"
    for room_bytes, what in ((2_000, "tokenizer"), (100_000, "tokens"), (None, "rows"), (2**40, None)):
        if room_bytes is None:  # all is tokenised, as it would be had the disk filled up now
            shutil.copytree(tmp_path / "cache", place, dirs_exist_ok=True)
            shutil.rmtree(place / "autoresearch" / "rows")
            room_bytes = 100_000
        done = prepare_with_room(room_bytes, place, own, answer)
        assert not [*place.rglob("*.partial")]
        if what is None:
            break
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert f"no room for the {what} (File too large): about" in line
        assert "MB needed" in line
        assert "MB free" in line
        assert not [*place.rglob("rows.json")]
    assert done.returncode == 0, done.stderr
    made = json.loads(answer.read_text())
    assert made["fingerprint"] == undisturbed["fingerprint"]
    assert Path(made["train_rows"]).read_bytes() == Path(undisturbed["train_rows"]).read_bytes()


def test_own_text_too_small_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a few words\n" * 40)
    settings = {"profile": "cpu", "dataset": str(tmp_path / "a.txt")}
    with pytest.raises(
        BadInput, match=r"a\.txt: the text is too small or too uniform: 0\.000 million.*lower vocab_size"
    ):
        prepare.prepare("cuda", request(settings=settings), find_cpu)
