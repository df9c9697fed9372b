"""Tokens in the cache: as the original encodes, whole or made again, kept across data sets; and what is held out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from backends.reference import cache, corpus, splits, tokenizer, tokens, vocabulary
from backends.reference.corpus import BadInput, Documents
from backends.reference.datasets import Dataset, Shard, find
from backends.reference.digests import sha256
from backends.reference.tokenizer import Tokenizer
from backends.reference.tokens import Tokens

TEXTS = [source.text[i : i + 900] for source in corpus.stdlib()[:60] for i in range(0, len(source.text), 900)]
LONGEST = 64


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer.train(TEXTS, 512)


def shard(path: Path, texts: list[str]) -> Shard:
    """Texts as a parquet file with row groups of 300."""
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=300)
    return Shard(path.name, path, sha256(path))


def jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def nothing(line: str) -> None:
    pass


def split_into(lengths: np.ndarray, array: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(array, np.cumsum(lengths)[:-1])]


# --- one file --------------------------------------------------------------------------------------------------------


def test_a_shard_gives_the_originals_tokens_in_the_originals_batches(tmp_path: Path, words: Tokenizer) -> None:
    texts = [*TEXTS[:500], "", "<|reserved_0|> is text", "é中\u2003"]
    made = tokens.tokenise("x", (shard(tmp_path / "a.parquet", texts),), words, None)
    expected = [[words.bos, *words.encoding.encode_ordinary(text)] for text in texts]
    assert split_into(made.lengths, made.tokens) == expected
    assert made.batches.tolist() == [128, 128, 44, 128, 75]  # none crosses a row group
    assert made.tokens.dtype == np.uint16
    assert isinstance(made.tokens.base, np.memmap)


def test_long_documents_are_cut_where_they_may_be_and_nothing_is_lost(tmp_path: Path, words: Tokenizer) -> None:
    texts = ["".join(TEXTS[i : i + 5]) for i in range(0, 60, 5)] + ["short\n", ""]
    path = jsonl(tmp_path / "a.jsonl", texts)
    made = tokens.tokenise("x", (Shard(path.name, path, sha256(path)),), words, LONGEST)
    assert made.lengths.max() <= LONGEST + 1
    pieces = [b"".join(words.tokens[i] for i in ids[1:]) for ids in split_into(made.lengths, made.tokens)]
    assert b"".join(pieces).decode() == "".join(texts)
    of_texts = dict.fromkeys(made.texts.tolist())
    whole = [b"".join(p for p, t in zip(pieces, made.texts.tolist(), strict=True) if t == text) for text in of_texts]
    assert [one.decode() for one in whole] == [text for text in texts if text]


def test_tokens_truncated_or_altered_are_made_again(tmp_path: Path, words: Tokenizer) -> None:
    group = (shard(tmp_path / "a.parquet", TEXTS[:300]),)
    good = tokens.tokenise("x", group, words, None).tokens.tobytes()
    path = tokens.tokens_path(group, words, None)
    for harm in (good[:-10], good[:100] + b"\xff" + good[101:], b""):
        path.unlink()
        path.write_bytes(harm)
        assert tokens.tokenise("x", group, words, None).tokens.tobytes() == good
    index = path.with_suffix(".npz")
    index.write_bytes(index.read_bytes()[:50])
    assert tokens.tokenise("x", group, words, None).tokens.tobytes() == good
    assert not [*cache.place("tokens").glob("*.partial")]


def test_small_files_are_tokenised_together_and_large_ones_alone(tmp_path: Path, words: Tokenizer) -> None:
    paths = []
    for i, size in enumerate((10, 10, 2**26 + 1, 10, 10)):
        paths.append(tmp_path / f"{i}.txt")
        with paths[-1].open("wb") as file:
            file.truncate(size)
    shards = [Shard(path.name, path, path.name) for path in paths]
    assert [len(group) for group in tokens.groups(shards, together=True)] == [2, 1, 2]
    assert [len(group) for group in tokens.groups(shards, together=False)] == [1] * 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_bounded_however_large_the_file(tmp_path: Path) -> None:
    text = "\n\n".join(TEXTS)
    (tmp_path / "a.txt").write_text((text + "\n\n") * (32_000_000 // len(text)))
    code = f"""
import re
from pathlib import Path
from backends.reference import tokenizer, tokens
from backends.reference.datasets import find
words = tokenizer.train([{text[:20_000]!r}], 300)
found = find({str(tmp_path)!r}, None, print)
made = tokens.tokenise("x", found.training, words, 256)
print(len(made.tokens), re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""  # not ru_maxrss, which begins with what the parent had
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120, check=True)
    count, peak_kb = map(int, done.stdout.split()[-2:])
    assert count > 10_000_000
    assert peak_kb < 200_000  # its tokens as a list of Python's integers alone: 180 MB more


# --- the tokenizer ---------------------------------------------------------------------------------------------------


def dataset(*shards: Shard, validation: tuple[Shard, ...] = ()) -> Dataset:
    return Dataset("x", shards, validation, not validation, ())


def test_the_tokenizer_reads_so_much_of_each_document_and_so_much_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "MOST_CHARACTERS", 100_000)
    monkeypatch.setattr(vocabulary, "MOST_CHARACTERS_OF_ONE", 400)
    one, two = shard(tmp_path / "a.parquet", TEXTS[:200]), shard(tmp_path / "b.parquet", TEXTS[200:400])
    read, count = [], 0
    for text in TEXTS[:400]:
        if count < 100_000:
            read.append(text[:400])
            count += len(text[:400])
    assert 200 < len(read) < 400
    assert vocabulary.tokenizer_for(dataset(one, two), 400) == tokenizer.train(read, 400)


def test_more_shards_keep_tokenizer_and_tokens_where_the_first_were_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"vocab_size": 400, "sequence_length": LONGEST, "eval_tokens": 1000}
    shards = [shard(tmp_path / f"{i}.parquet", TEXTS[i * 200 : (i + 1) * 200]) for i in range(4)]
    few, more = (dataset(*shards[1 : 1 + n], validation=(shards[0],)) for n in (2, 3))
    monkeypatch.setattr(vocabulary, "MOST_CHARACTERS", 100_000)  # not yet the first shard

    splits.of_files(asked, few)
    before = {path: path.stat().st_mtime_ns for path in cache.cache_folder().rglob("*.tokens")}
    assert "training the tokenizer" in capfd.readouterr().out
    split = splits.of_files(asked, more)
    assert "training the tokenizer" not in capfd.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in cache.cache_folder().rglob("*.tokens")}
    assert len(before) == 3
    assert before.items() < after.items()
    assert len(after) == 4
    assert len([*cache.place("tokenizers").glob("*.json")]) == 1
    assert split.words == splits.of_files(asked, few).words

    monkeypatch.setattr(vocabulary, "MOST_CHARACTERS", 10**9)
    other = splits.of_files(asked, dataset(*shards[2:4], validation=(shards[0],)))
    assert other.words != split.words  # other text, another tokenizer


def test_a_damaged_tokenizer_is_trained_again(tmp_path: Path) -> None:
    found = dataset(shard(tmp_path / "a.parquet", TEXTS[:200]))
    words = vocabulary.tokenizer_for(found, 400)
    (path,) = cache.place("tokenizers").glob("*.json")
    path.write_text(path.read_text().replace("a", "b", 40))
    assert vocabulary.tokenizer_for(found, 400) == words


def test_what_is_wrong_with_a_file_is_said_while_the_tokenizer_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nrubbish\n')
    with pytest.raises(BadInput, match=r"a\.jsonl: line 2: not JSON"):
        vocabulary.tokenizer_for(find(str(tmp_path), None, nothing), 400)


# --- what is held out ------------------------------------------------------------------------------------------------


@pytest.fixture
def sides(tmp_path: Path, words: Tokenizer) -> tuple[Documents, Documents]:
    texts = [*TEXTS, *TEXTS[::3]]  # a third of them twice
    return splits.by_hash("x", parts_of(tmp_path, words, [texts]), 20_000)[:2]


def parts_of(folder: Path, words: Tokenizer, files: list[list[str]]) -> list[Tokens]:
    """The tokens of these texts, in so many files."""
    parts = []
    for i, texts in enumerate(files):
        path = jsonl(folder / f"{len(files)}-{i}.jsonl", texts)
        parts.append(tokens.tokenise("x", (Shard(path.name, path, sha256(path)),), words, LONGEST))
    return parts


def test_no_document_is_on_both_sides_and_none_is_there_twice(sides: tuple[Documents, Documents]) -> None:
    training, validation = ([*side.contents()] for side in sides)
    assert not set(training) & set(validation)
    assert len(set(training)) == len(training)
    assert len(set(validation)) == len(validation)


def test_about_as_much_as_is_wanted_is_held_out_but_at_most_a_tenth(tmp_path: Path, words: Tokenizer) -> None:
    parts = parts_of(tmp_path, words, [TEXTS])
    total = sum(int(side.lengths.sum()) for side in splits.by_hash("x", parts, 20_000)[:2])
    for wanted, least, most in ((20_000, 19_000, 20_000), (10**9, 0.095 * total, 0.1 * total)):
        _, validation, _ = splits.by_hash("x", parts, wanted)
        assert least < validation.lengths.sum() <= most


def test_a_text_is_held_out_whole(tmp_path: Path, words: Tokenizer, sides: tuple[Documents, Documents]) -> None:
    (part,) = parts_of(tmp_path, words, [[*TEXTS, *TEXTS[::3]]])
    pieces = np.split(part.tokens, np.cumsum(part.lengths)[:-1])
    texts_of: defaultdict[bytes, set[int]] = defaultdict(set)
    for piece, text in zip(pieces, part.texts.tolist(), strict=True):
        texts_of[piece.tobytes()].add(text)
    own = {piece: min(texts) for piece, texts in texts_of.items() if len(texts) == 1}  # what no other text has as well
    training, validation = ({own[piece] for piece in side.contents() if piece in own} for side in sides)
    assert len(validation) > 20
    assert not training & validation


def test_the_split_does_not_depend_on_how_the_text_lies_in_files(tmp_path: Path, words: Tokenizer) -> None:
    ways = ([TEXTS], [TEXTS[:100], TEXTS[100:]], [TEXTS[400:], TEXTS[:300], TEXTS[300:400]])
    found = [splits.by_hash("x", parts_of(tmp_path, words, way), 20_000) for way in ways]
    outcomes = [([*training.contents()], [*validation.contents()]) for training, validation, _ in found]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_repeated_text_is_said(tmp_path: Path, words: Tokenizer) -> None:
    texts = [f"the {i}th of them\n" for i in range(1000)]
    assert splits.by_hash("x", parts_of(tmp_path, words, [texts]), 1000)[2] == []
    (note,) = splits.by_hash("x", parts_of(tmp_path, words, [texts, texts]), 1000)[2]
    assert note == "50.0 % of x is repeated and was left out"


def test_a_single_long_document_leaves_nothing_to_hold_out(tmp_path: Path, words: Tokenizer) -> None:
    with pytest.raises(BadInput, match="too few, or too long, to hold out a tenth"):
        splits.by_hash("x", parts_of(tmp_path, words, [["".join(TEXTS)]]), 1000)
