"""Prepare as the engine calls it: real processes, the real library, a cache folder of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.reference import corpus, prepare, rows, splits
from backends.reference.cache import require_space
from backends.reference.corpus import BadInput
from backends.reference.profiles import PROFILES, Device
from backends.reference.tokenizer import Tokenizer
from core import sandbox

SETTINGS = {"profile": "cpu", "dataset": "stdlib"}
CPU = Device("cpu", "a processor", 24_000)
LIMIT_SECONDS = 120


def start(cache: Path, answer: Path, **changes: Any) -> subprocess.Popen[str]:
    """A prepare process whose cache lies in `cache` and whose answer goes to `answer`."""
    request = {"role": "prepare", "device": "cpu", "settings": SETTINGS, "fingerprint": None, "answer": str(answer)}
    trial_file = answer.with_suffix(".request")
    trial_file.write_text(json.dumps(request | changes))
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        sandbox.VARIABLE: str(trial_file),
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "backends.cuda", "prepare"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=answer.parent,
    )


def finish(process: subprocess.Popen[str], answer: Path) -> dict[str, Any]:
    """The answer of a prepare that must succeed."""
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, errors
    return json.loads(answer.read_text())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def both(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The answers of two prepares started at the same time on an empty cache."""
    answers = [tmp_path_factory.mktemp("answer") / f"{i}.json" for i in range(2)]
    processes = [start(cache, answer) for answer in answers]
    return [finish(process, answer) for process, answer in zip(processes, answers, strict=True)]


@pytest.fixture(scope="module")
def prepared(both: list[dict[str, Any]]) -> dict[str, Any]:
    return both[0]


@pytest.fixture
def here(cache: Path, prepared: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """This process uses the module's cache too; the answer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return prepared


def request(**changes: Any) -> dict[str, Any]:
    return {"device": "cpu", "settings": SETTINGS, "fingerprint": None} | changes


def find_cpu(name: str) -> Device:
    return CPU


def pieces(row: np.ndarray, bos: int) -> list[bytes]:
    """A row's documents, without their BOS; the last one may be cropped."""
    starts = np.flatnonzero(row == bos)
    assert starts[0] == 0
    return [part[1:].tobytes() for part in np.split(row, starts[1:])]


# --- what is made ----------------------------------------------------------------------------------------------------


def test_two_prepares_at_once_make_the_same_rows_and_leave_nothing_else(
    both: list[dict[str, Any]], cache: Path
) -> None:
    assert both[0]["fingerprint"] == both[1]["fingerprint"]
    folders = [path for path in (cache / "autoresearch" / "rows").iterdir() if path.is_dir()]
    assert [path.name for path in folders] == [Path(both[0]["train_rows"]).parent.name]
    assert {path.name for path in folders[0].iterdir()} == {*prepare.FILES, "rows.json"}


def test_the_answer_names_rows_of_the_profile(prepared: dict[str, Any]) -> None:
    training = np.load(prepared["train_rows"], mmap_mode="r")
    validation = np.load(prepared["validation_rows"], mmap_mode="r")
    settings = prepared["settings"]
    assert prepared["handover"] == prepared["train_rows"]
    assert training.dtype == validation.dtype == np.uint16
    assert training.shape == (prepared["train_row_count"], 257)
    assert validation.shape == (prepared["validation_row_count"], 257)
    assert validation.shape[0] * 256 == settings["eval_tokens"]
    assert validation.shape[0] % settings["eval_batch_rows"] == 0
    assert max(int(training.max()), int(validation.max())) < settings["vocab_size"] == PROFILES["cpu"].vocab_size
    assert any("demonstration size" in note for note in prepared["notes"])
    for name in ("token_bytes", "token_bytes_upstream"):
        sizes = np.load(prepared[name])
        assert (sizes.dtype, sizes.shape) == (np.int32, (settings["vocab_size"],))


def test_over_90_percent_of_validation_tokens_are_distinct_positions_of_the_held_out_text(
    prepared: dict[str, Any],
) -> None:
    words = Tokenizer.loads(Path(prepared["tokenizer"]).read_text())
    _, validation = corpus.split(corpus.stdlib())
    documents = Counter(corpus.encode(validation, words, 256).contents())
    bos = np.array([words.bos], np.uint16).tobytes()
    stored = np.load(prepared["validation_rows"])
    distinct = 0
    for row in stored:
        *whole, last = pieces(row, words.bos)
        for piece in whole:
            if documents[bos + piece]:  # every document counts once
                documents[bos + piece] -= 1
                distinct += len(piece) // 2
        cropped = next(
            (document for document in documents if document.startswith(bos + last) and documents[document]), None
        )
        if cropped:
            documents[cropped] -= 1
            distinct += len(last) // 2
    assert distinct > 0.9 * stored.size


def test_no_training_document_comes_back_before_the_others_were_used(prepared: dict[str, Any]) -> None:
    words = Tokenizer.loads(Path(prepared["tokenizer"]).read_text())
    stored = np.load(prepared["train_rows"])
    whole = [piece for row in stored for piece in pieces(row, words.bos)[:-1]]
    assert len(set(whole)) == len(whole) > 10_000
    record = json.loads((Path(prepared["train_rows"]).parent / "rows.json").read_text())
    assert np.count_nonzero(stored == words.bos) > 0.99 * record["train_document_count"]
    assert stored.size > 0.93 * record["train_token_count"]  # and little of the text is cropped away


def test_no_validation_document_is_trained_on(prepared: dict[str, Any]) -> None:
    bos = Tokenizer.loads(Path(prepared["tokenizer"]).read_text()).bos
    training = {piece for row in np.load(prepared["train_rows"]) for piece in pieces(row, bos)}
    assert not training & {piece for row in np.load(prepared["validation_rows"]) for piece in pieces(row, bos)[:-1]}


# --- a second start --------------------------------------------------------------------------------------------------


def test_a_second_prepare_finds_the_rows_and_touches_none(
    prepared: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    folder = Path(prepared["train_rows"]).parent
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = finish(start(cache, tmp_path / "answer.json"), tmp_path / "answer.json")
    assert again == prepared
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_rows_damaged_or_half_written_are_made_again(prepared: dict[str, Any], cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    damaged = next(own.rglob("train.npy"))
    with damaged.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\xff")
    killed = start(own, tmp_path / "killed.json")
    assert killed.stdout
    assert any(line.startswith("training") for line in killed.stdout)  # reads until it comes
    killed.kill()
    killed.communicate(timeout=LIMIT_SECONDS)
    assert not (tmp_path / "killed.json").exists()
    again = finish(start(own, tmp_path / "answer.json"), tmp_path / "answer.json")
    assert again["fingerprint"] == prepared["fingerprint"]
    assert not [*own.rglob("*.partial")]
    assert damaged.read_bytes() == Path(prepared["train_rows"]).read_bytes()


def test_a_resumed_run_gets_its_own_rows_even_if_the_library_changed(here: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(here["train_rows"]).parent
    elsewhere = folder.with_name("of-another-library")  # as if today's library had another key
    folder.rename(elsewhere)
    try:
        answer = prepare.prepare("cuda", request(fingerprint=here["fingerprint"]), find_cpu)
    finally:
        elsewhere.rename(folder)
    assert answer["fingerprint"] == here["fingerprint"]
    assert answer["train_rows"] == str(elsewhere / "train.npy")


def test_a_resumed_run_is_refused_when_its_rows_are_gone(here: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="are gone"):
        prepare.prepare("cuda", request(fingerprint="0" * 64), find_cpu)


def test_a_resumed_run_is_refused_with_other_settings(here: dict[str, Any]) -> None:
    changed = request(fingerprint=here["fingerprint"], settings=SETTINGS | {"sequence_length": 128})
    with pytest.raises(BadInput, match="sequence_length = 256, not 128"):
        prepare.prepare("cuda", changed, find_cpu)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dataset": "wikipedia"}, "wikipedia.*use stdlib, climbmix, or the path of a folder or file"),
        ({"dataset": 3}, "dataset = 3: no such data set"),
        ({"dataset": "/no/such/text"}, "/no/such/text is not there"),
        ({"dataset": "climbmix", "shards": 0}, "shards = 0: must be a whole number"),
        ({"dataset": "climbmix", "shards": "10"}, "shards = '10': must be a whole number"),
        ({"shards": 3}, "shards = 3: only climbmix has shards"),
        ({"profile": "laptop"}, "laptop.*gpu-80gb"),
        ({"sequence_lenght": 256}, "sequence_lenght.*knows.*sequence_length"),
        ({"sequence_length": "256"}, "sequence_length = '256'"),
        ({"vocab_size": True}, "vocab_size = True"),
        ({"vocab_size": 100_000}, "vocab_size = 100000"),
        ({"eval_tokens": 100}, "eval_tokens = 100.*one row"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        prepare.prepare("cuda", request(settings=settings), find_cpu)


def test_bad_input_is_one_line_and_status_2(tmp_path: Path) -> None:
    process = start(tmp_path / "cache", tmp_path / "answer.json", device="cuda:99")
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "cuda:99" in errors
    assert "use auto" in errors
    assert {path.name for path in tmp_path.iterdir()} == {"answer.request"}


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"MB needed.*MB free.*XDG_CACHE_HOME"):
        require_space(tmp_path, 10**18, "rows")


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "autoresearch").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="cannot be written"):
        prepare.prepare("cuda", request(), find_cpu)


def build(folder: Path, length: int, files: int) -> dict[str, Any]:
    """Rows of the library's first files; their record."""
    sizes = {"sequence_length": length, "vocab_size": 512, "eval_tokens": 2**20, "eval_batch_rows": 4}
    asked = {"dataset": "stdlib"} | sizes
    return rows.build(folder, asked, splits.of_library(asked, corpus.stdlib()[:files]))


@pytest.mark.parametrize(
    ("files", "length", "why"), [(3, 64, "too small"), (60, 65_536, "one validation row of 65,536")]
)
def test_a_corpus_too_small_is_refused(tmp_path: Path, files: int, length: int, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(tmp_path, length, files)
    assert not [*tmp_path.iterdir()]


def test_too_few_validation_rows_are_said_and_scored_in_whole_batches(tmp_path: Path) -> None:
    record = build(tmp_path, 64, 60)
    assert 0 < record["validation_row_count"] < 2**14
    assert record["validation_row_count"] % 4 == 0
    assert record["settings"]["eval_tokens"] == 64 * record["validation_row_count"]
    assert any("holds out no more" in note for note in record["notes"])
