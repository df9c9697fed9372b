"""The user's own files: which are found, what documents they hold, and what is said of those that cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference import corpus, datasets, digests, readers
from backends.reference.corpus import BadInput
from backends.reference.datasets import Dataset, documents


def texts(path: Path) -> list[str]:
    return [text for batch in documents(path) for text in batch]


def refusal(action: Callable[[], object]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(BadInput) as raised:
        action()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def table(path: Path, column: pa.Array, name: str = "text", row_group: int = 100) -> Path:
    pq.write_table(pa.table({name: column, "id": list(range(len(column)))}), path, row_group_size=row_group)
    return path


# --- parquet ---------------------------------------------------------------------------------------------------------


def test_batches_of_128_never_cross_a_row_group(tmp_path: Path) -> None:
    words = [f"document {i} ü" for i in range(700)]
    path = table(tmp_path / "a.parquet", pa.array(words), row_group=300)
    batches = list(documents(path))
    assert [len(batch) for batch in batches] == [128, 128, 44, 128, 128, 44, 100]
    assert [text for batch in batches for text in batch] == words


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_every_kind_of_string_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    words = ["a", "", "ü", "a"]
    assert texts(table(tmp_path / "a.parquet", pa.array(words).cast(kind))) == words


def test_a_column_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pa.array(["x"]), "body")
    said = refusal(lambda: texts(path))
    assert f"{path}: no column `text` (columns: body, id)" in said


def test_a_column_of_another_type_is_said(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pa.array([[1], [2]]))
    assert f"{path}: column `text` holds list<" in refusal(lambda: texts(path))


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pa.array(["x"] * 150 + [None]))
    assert f"{path}: row 150 (from 0) has no text" in refusal(lambda: texts(path))


def test_text_in_parquet_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"caf\xe9"], pa.binary())
    column = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    path = table(tmp_path / "a.parquet", column)
    assert f"{path}: near row" in refusal(lambda: texts(path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>Sign in to this network</html>" * 100])
def test_what_is_not_parquet_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert f"{path}: not a whole parquet file" in refusal(lambda: texts(path))


def test_a_page_that_does_not_decompress_is_said_with_its_row_group(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", pa.array([f"{i} " * 50 for i in range(200)]))
    content = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    assert f"{path}: corrupt in row group 1" in refusal(lambda: texts(path))


# --- JSON lines ------------------------------------------------------------------------------------------------------


def test_json_lines_with_a_byte_order_mark_blank_lines_and_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one", "id": 1}\r\n\n  \n{"text": "z\xc3\xbc\\n"}')
    assert texts(path) == ["one", "zü\n"]


def test_compressed_json_lines_and_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n' * 200))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("zwei ü".encode()))
    assert [len(batch) for batch in documents(tmp_path / "a.jsonl.gz")] == [128, 72]
    assert texts(tmp_path / "b.txt.gz") == ["zwei ü"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": "cut', "line 3: not JSON"),
        (b'["text"]', "line 3: no text"),
        (b'{"texte": "x"}', "line 3: no text"),
        (b'{"text": 3}', "line 3: no text"),
        (b'{"text": "\\ud800"}', "line 3: half a surrogate pair"),
        (b'{"text": "caf\xe9"}', "line 3, byte 47: not UTF-8"),
        (b"[" * 100_000, "line 3: not JSON"),
    ],
    ids=["cut", "a list", "no text", "a number", "a surrogate", "Latin-1", "a tower"],
)
def test_a_json_line_that_cannot_be_used_is_named_by_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n{"text": "fine"}\n' + line + b"\n")
    assert f"{path}: {said}" in refusal(lambda: texts(path))


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LONGEST_LINE_BYTES", 2**20)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "' + b"x" * 2**20 + b'"}')
    assert f"{path}: line 1 is longer than 1 MiB" in refusal(lambda: texts(path))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.gz"])
def test_a_compressed_file_that_is_cut_or_is_none_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(os.urandom(5000).hex().encode() * 10)[:-2000])
    assert f"{path}: not a whole gzip file" in refusal(lambda: texts(path))
    path.write_bytes(b"plain text")
    assert f"{path}: not a whole gzip file" in refusal(lambda: texts(path))


# --- plain text ------------------------------------------------------------------------------------------------------


def test_a_small_file_is_one_document_and_a_large_one_is_split_at_blank_lines(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {i}. " + "Some words of it. " * 30 + "\n\n" for i in range(100)]
    small, large = tmp_path / "a.txt", tmp_path / "b.txt"
    small.write_text("".join(paragraphs[:10]))
    large.write_text("".join(paragraphs))
    assert texts(small) == ["".join(paragraphs[:10])]
    found = texts(large)
    assert "".join(found) == "".join(paragraphs)
    assert len(found) > 10
    assert all(text.startswith("Paragraph") and text.endswith("\n\n") for text in found)
    assert all(len(text) <= readers.MOST_CHARACTERS for text in found)


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(st.sampled_from("ab é中\n\r\t "), max_size=300), st.integers(1, 40))
def test_documents_hold_the_whole_text_and_do_not_depend_on_how_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "LEAST_CHARACTERS", 10)
        patch.setattr(readers, "MOST_CHARACTERS", 40)
        at_once = texts(path)
        patch.setattr(readers, "_BLOCK_BYTES", block)
        assert texts(path) == at_once
    assert "".join("".join(at_once).split()) == "".join(text.split())  # pieces of white space are no documents
    assert all(0 < len(one) <= 40 and not one.isspace() for one in at_once)


def test_text_that_is_not_utf8_is_named_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é".encode() * 200_000 + b"caf\xe9 and more" + b" " * 1000)
    assert f"{path}: byte 400,003: not UTF-8; convert it: iconv" in refusal(lambda: texts(path))
    path.write_bytes(b"\xef\xbb\xbf" + b"ends within a character \xe4\xb8")
    assert f"{path}: byte 27: not UTF-8" in refusal(lambda: texts(path))
    path.write_text("two bytes a letter", encoding="utf-16")
    assert f"{path}: byte 0: not UTF-8" in refusal(lambda: texts(path))


# --- large files -----------------------------------------------------------------------------------------------------

PEAK = """
import resource, sys
from pathlib import Path
from backends.reference.readers import documents
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(len(text) for batch in documents(Path(sys.argv[1])) for text in batch))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // (1024 if sys.platform == "linux" else 2**20))
"""


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_a_large_file_is_read_in_little_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"large.{kind}"
    pieces = [text[i : i + 3000] for text in (source.text for source in corpus.stdlib()) for i in range(0, 9000, 3000)]
    pieces = [piece for piece in pieces if piece]
    rounds = 200_000_000 // sum(map(len, pieces))
    written = rounds * sum(map(len, pieces))
    if kind == "parquet":  # one row group
        table(path, pa.array([f"{i:09d}{piece[9:]}" for i in range(rounds) for piece in pieces]), row_group=10**9)
    else:
        line = {"txt": lambda piece: piece, "jsonl": lambda piece: json.dumps({"text": piece}) + "\n"}[kind]
        block = "".join(line(piece) for piece in pieces)
        with path.open("w") as file:
            file.writelines(block for _ in range(rounds))
    command = [sys.executable, "-P", "-c", PEAK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    path.unlink()
    characters, grown_mb = map(int, done.stdout.split())
    assert 0.99 * written < characters <= written * 1.01
    assert grown_mb < 100


# --- which files -----------------------------------------------------------------------------------------------------


def find(name: object) -> Dataset:
    return datasets.find(str(name), None, lambda line: None)


def test_a_folder_is_searched_to_any_depth_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name in ("b.txt", "a/z.jsonl", "a/deep/y.TXT", ".hidden.txt", ".git/x.txt", "README.md", "c.parquet"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "c.parquet":
            table(path, pa.array(["x"]))
        else:
            path.write_text('{"text": "x"}\n')
    found = find(folder)
    assert [shard.name for shard in found.training] == ["a/deep/y.TXT", "a/z.jsonl", "b.txt", "c.parquet"]
    assert all(shard.digest == hashlib.sha256(shard.path.read_bytes()).hexdigest() for shard in found.training)
    assert (found.name, found.validation, found.cut) == (str(folder), (), True)
    assert ["1 files passed over" in note for note in found.notes] == [True]


def test_a_file_is_a_data_set_by_a_relative_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert find("a.txt") == find(tmp_path / "a.txt")
    assert [shard.path for shard in find("a.txt").training] == [tmp_path / "a.txt"]


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    said = refusal(lambda: find("wikipedia"))
    assert "wikipedia" in said
    assert "climbmix, stdlib or a path" in said
    (tmp_path / "empty").mkdir()
    assert "an empty folder; put .parquet" in refusal(lambda: find(tmp_path / "empty"))
    (tmp_path / "empty" / "notes.md").write_text("x")
    assert "nothing but 1 other files" in refusal(lambda: find(tmp_path / "empty"))
    assert "notes.md: not a kind of file" in refusal(lambda: find(tmp_path / "empty" / "notes.md"))
    assert "only climbmix has numbered shards" in refusal(lambda: datasets.find(str(tmp_path), 3, print))
    os.mkfifo(tmp_path / "empty" / "a.txt")
    assert "a.txt: not a file" in refusal(lambda: find(tmp_path / "empty"))
    (tmp_path / "empty" / "a.txt").unlink()
    (tmp_path / "empty" / "a.parquet").write_bytes(b"PAR1")
    assert "a.parquet: not a whole parquet file" in refusal(lambda: find(tmp_path / "empty"))


def test_a_digest_is_computed_once_and_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    hashed: list[Path] = []
    sha256 = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: (hashed.append(path), sha256(path))[1])
    first, again = find(path), find(path)
    assert first == again
    assert hashed == [path]
    path.write_text("two!")
    assert find(path).training[0].digest == hashlib.sha256(b"two!").hexdigest() != first.training[0].digest
    (record,) = (tmp_path / "cache" / "autoresearch" / "digests").iterdir()
    record.write_text("not a record")
    assert find(path).training[0].digest == hashlib.sha256(b"two!").hexdigest()
