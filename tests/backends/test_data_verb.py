"""The `data` verb in processes of its own: prepare, list, remove, several data sets side by side, and interrupts."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from literal_packing import pack_literally

from backends.reference import corpus, inventory
from backends.reference.corpus import BadInput
from backends.reference.tokenizer import Tokenizer

LIMIT_SECONDS = 120
TEXTS = [source.text[i : i + 900] for source in corpus.stdlib()[:120] for i in range(0, len(source.text), 900)]
SHARDS = ("shard_00000", "shard_00001", "shard_06542")


def verb(*words: str) -> subprocess.Popen[str]:
    """The verb at work, with no terminal; interrupts do not reach it until it listens."""
    argv = [sys.executable, "-P", "-m", "backends.cuda", "data", *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def done(*words: str, status: int = 0) -> str:
    """What it printed; on stderr, where it must fail."""
    process = verb(*words)
    out, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == status, errors
    return errors if status else out


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done("list", "--json"))
    return found


def kinds(found: list[dict[str, Any]], dataset: str) -> list[str]:
    return [one["kind"] for one in found if one["dataset"] == dataset]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache in which three data sets were prepared, and own text beside it."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "own").mkdir()
    (folder / "own" / "a.txt").write_text("\n\n".join(TEXTS))
    data = folder / "cache" / "autoresearch" / "data"
    data.mkdir(parents=True)
    for i, name in enumerate(SHARDS):
        texts = TEXTS[i * 700 : i * 700 + 700]
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), data / f"{name}.parquet", row_group_size=300)
    with pytest.MonkeyPatch.context() as context:
        context.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for words in (["stdlib"], ["climbmix", "--shards", "2"], [str(folder / "own")]):
            done("prepare", "--dataset", *words, "--profile", "cpu", "--device", "cpu")
    return folder


@pytest.fixture
def place(filled: Path, tmp_path: Path) -> Path:
    """This test's own copy of it, with the cache in use."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def own(filled: Path) -> str:
    return str(filled / "own")


# --- prepare ---------------------------------------------------------------------------------------------------------


def test_climbmix_gives_the_originals_rows(place: Path) -> None:
    (rows,) = [one for one in listed() if one["dataset"] == "climbmix" and one["kind"] == "rows"]
    folder = Path(rows["paths"][0])
    words = Tokenizer.loads((folder / "tokenizer.txt").read_text())
    sides = (("train", [TEXTS[:700], TEXTS[700:1400]], None), ("validation", [TEXTS[1400:2100]], 512))
    for side, shards, limit in sides:
        groups = [texts[i : i + 300] for texts in shards for i in range(0, 700, 300)]
        batches = [group[i : i + 128] for group in groups for i in range(0, len(group), 128)]
        encoded = [[[words.bos, *words.encoding.encode_ordinary(text)] for text in batch] for batch in batches]
        stored = np.load(folder / f"{side}.npy")
        assert len(stored) > 400
        assert stored.tobytes() == np.array(pack_literally(encoded, 257, limit), np.uint16).tobytes()


def test_it_ends_with_what_there_is_and_the_lines_for_the_task(place: Path) -> None:
    out = done("prepare", "--dataset", "climbmix", "--shards", "2", "--profile", "cpu", "--device", "cpu")
    assert re.search(r"[\d,]+ rows of 256 tokens to train on .* vocabulary 1,024; profile cpu", out)
    assert out.splitlines()[-2:] == ['  dataset = "climbmix"', "  shards = 2"]
    assert "tokenising" not in out  # it was there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "wikipedia"], "wikipedia.*use stdlib, climbmix, or the path of a folder or file"),
        (["--dataset", "./nowhere"], "nowhere is not there"),
        (["--dataset", "stdlib", "--shards", "2"], "only climbmix has shards"),
        (["--dataset", "stdlib", "--profile", "huge"], "profile huge"),
    ],
)
def test_what_cannot_be_prepared_is_one_line_and_status_2(words: list[str], said: str) -> None:
    (line,) = done("prepare", *words, "--device", "cpu", status=2).splitlines()
    assert line.startswith("autoresearch: ")
    assert re.search(said, line)


def test_an_interrupt_is_one_line_and_the_next_start_goes_on(place: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text("\n\n".join(reversed(TEXTS)) * 3)
    words = ("prepare", "--dataset", str(tmp_path / "more"), "--profile", "cpu", "--device", "cpu")
    process = verb(*words)
    assert process.stdout
    assert any(line.startswith("tokenising") for line in process.stdout)  # reads until it comes
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130
    assert len(errors.splitlines()) == 1
    assert "the same command goes on" in errors
    assert not [*(tmp_path / "cache").rglob("*.partial")]
    assert "training the tokenizer" not in done(*words)


# --- list and remove -------------------------------------------------------------------------------------------------


def test_the_list_names_what_each_data_set_takes(place: Path, own: str) -> None:
    found = listed()
    assert kinds(found, "stdlib") == ["rows"]
    assert kinds(found, "climbmix") == ["text", "tokenizer", "tokens", "rows"]
    assert kinds(found, own) == ["tokenizer", "tokens", "rows"]
    files = [path for one in found for path in map(Path, one["paths"])]
    sizes = [file.stat().st_size for path in files for file in ([*path.iterdir()] if path.is_dir() else [path])]
    assert sum(one["size_bytes"] for one in found) == sum(sizes)
    text = done("list")
    assert re.search(r"^  rows .*T 256, V 1,024, [\d,]+ \+ 512 rows, .* 2 shards$", text, re.MULTILINE)
    at_home = text.replace(os.environ["XDG_CACHE_HOME"], "/home/ada/.cache").replace(own, "/home/ada/text")
    assert max(map(len, at_home.splitlines())) <= 110


def test_an_empty_cache_says_how_to_begin() -> None:
    assert "autoresearch prepare --dataset climbmix" in done("list")


def test_a_data_set_is_removed_whole_and_the_others_and_the_users_files_stay(place: Path, own: str) -> None:
    before = listed()
    assert "removed" in done("remove", own, "--yes")
    assert listed() == [one for one in before if one["dataset"] != own]
    assert (Path(own) / "a.txt").exists()
    done("remove", "climbmix", "--yes")
    assert {one["dataset"] for one in listed()} == {"stdlib"}
    assert not [*(place / "cache" / "autoresearch" / "data").glob("shard*")]


def test_a_key_removes_one_thing(place: Path) -> None:
    (rows,) = [one for one in listed() if one["dataset"] == "climbmix" and one["kind"] == "rows"]
    done("remove", rows["key"][:10], "--yes")
    assert kinds(listed(), "climbmix") == ["text", "tokenizer", "tokens"]
    out = done("prepare", "--dataset", "climbmix", "--shards", "2", "--profile", "cpu", "--device", "cpu")
    assert "packing" in out
    assert "tokenising" not in out


def test_nothing_is_removed_unasked_or_by_a_name_that_means_nothing(place: Path) -> None:
    before = listed()
    assert "add --yes" in done("remove", "climbmix", status=2)
    assert "neither a data set nor a key" in done("remove", "zzz", "--yes", status=2)
    assert listed() == before


def test_what_killed_preparations_left_goes_too(place: Path) -> None:
    left = [place / "cache" / "autoresearch" / name for name in ("tokens/x.tokens.partial", "rows/y.partial/train.npy")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    done("remove", "stdlib", "--yes")
    assert not [*(place / "cache").rglob("*.partial")]


@pytest.fixture
def run_folder(place: Path) -> Path:
    """A run whose journal says that it trains on the rows of climbmix."""
    (rows,) = [one for one in listed() if one["dataset"] == "climbmix" and one["kind"] == "rows"]
    folder = place / "run"
    folder.mkdir()
    started = {"type": "RunStarted", "fingerprint": rows["facts"]["fingerprint"]}
    (folder / "journal.jsonl").write_text(json.dumps(started) + '\n{"type": "EngineStarted"}\n')
    return folder


def test_rows_that_a_living_run_trains_on_stay(place: Path, run_folder: Path, own: str) -> None:
    lock = place / "cache" / "autoresearch" / "locks" / "cpu.lock"
    lock.parent.mkdir()
    lock.write_text(f"{os.getpid()} {run_folder}\n")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = listed()
        assert f"the run {run_folder} may be reading" in done("remove", "climbmix", "--yes", status=2)
        assert listed() == before
        done("remove", own, "--yes")  # the others are nobody's
        (run_folder / "journal.jsonl").unlink()
        assert "may be reading" in done("remove", "stdlib", "--yes", status=2)  # nobody knows what it reads
    done("remove", "climbmix", "--yes")  # it has ended


def test_nothing_is_removed_while_something_is_prepared(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (place / "cache" / "autoresearch" / "data.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(BadInput, match="being prepared by another process"):
            inventory.remove(inventory.chosen(inventory.holdings(), "stdlib"))
