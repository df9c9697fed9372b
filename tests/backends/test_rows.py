"""Packed rows equal the literal statement of the algorithm, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_packing import pack_literally

from backends.reference import rows
from backends.reference.corpus import Documents


def documents_of(lengths: list[int], seed: int = 0) -> Documents:
    """Documents of random tokens."""
    sizes = np.array(lengths, np.int64)
    tokens = np.random.default_rng(seed).integers(0, 2**16, int(sizes.sum()), dtype=np.uint16)
    return Documents((tokens,), np.cumsum(sizes) - sizes, sizes)


def packed(documents: Documents, row_length: int, limit: int | None = None) -> np.ndarray:
    packing = rows.pack_documents(documents, row_length, limit)
    chunks = [*rows.gather(documents, packing)]
    return np.concatenate(chunks) if chunks else np.zeros((0, row_length), np.uint16)


def literally(documents: Documents, row_length: int, limit: int | None = None) -> np.ndarray:
    spans = zip(documents.starts.tolist(), documents.lengths.tolist(), strict=True)
    tokens = np.concatenate([*documents.parts]).tolist()
    texts = [tokens[a : a + n] for a, n in spans]
    sizes = [128] * (len(texts) // 128 + 1) if documents.batches is None else documents.batches.tolist()
    batches = [texts[end - size : end] for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
    return np.array(pack_literally(batches, row_length, limit), np.uint16).reshape(-1, row_length)


@pytest.mark.parametrize("seed", range(24))
def test_packing_equals_the_literal_algorithm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row_length = int(rng.choice([9, 65, 257, 2049]))
    longest = int(row_length * rng.choice([0.2, 1.0, 3.0]))
    skew = rng.choice([1.0, 3.0])
    lengths = 1 + ((longest - 1) * rng.random(int(rng.integers(1000, 3500))) ** skew).astype(int)
    documents = documents_of(lengths.tolist(), seed)
    assert packed(documents, row_length).tobytes() == literally(documents, row_length).tobytes()


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.integers(1, 30), max_size=300), st.integers(1, 25), st.none() | st.integers(0, 20))
def test_packing_equals_the_literal_algorithm_where_the_text_ends(
    lengths: list[int], row_length: int, limit: int | None
) -> None:
    documents = documents_of(lengths)
    assert packed(documents, row_length, limit).tobytes() == literally(documents, row_length, limit).tobytes()


def test_a_limit_gives_the_first_of_the_same_rows() -> None:
    documents = documents_of(np.random.default_rng(1).integers(1, 300, 3000).tolist())
    assert packed(documents, 257, 100).tobytes() == packed(documents, 257)[:100].tobytes()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("longest", [40, 500])  # short documents are gathered in another way than long ones
def test_documents_of_several_files_in_batches_as_they_were_read_give_the_literal_rows(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    one = documents_of(rng.integers(1, longest, 3000).tolist(), seed)
    cuts = np.sort(rng.choice(one.starts[1:], 3, replace=False))
    batches = np.array([128] * 7 + [104] * 3 + [128] * 5 + [1])  # as row groups of other sizes give them
    batches = np.append(batches, 3000 - batches.sum())
    files = Documents(np.split(one.parts[0], cuts), one.starts, one.lengths, batches)
    assert packed(files, 257).tobytes() == literally(files, 257).tobytes()
    assert packed(files, 257).tobytes() != packed(one, 257).tobytes()  # the batches do matter


def test_every_document_is_used_at_most_once() -> None:
    packing = rows.pack(rows.batches(np.random.default_rng(2).integers(1, 200, 5000).tolist()), 129)
    assert len(np.unique(packing.documents)) == len(packing.documents) > 4000


@pytest.mark.parametrize(("packed_rows", "batch", "kept"), [(100, 32, 96), (96, 32, 96), (32, 32, 32), (20, 32, 20)])
def test_rows_are_cut_to_whole_batches_where_they_fill_one(packed_rows: int, batch: int, kept: int) -> None:
    packing = rows.pack(rows.batches([10] * packed_rows), 10)
    assert rows.whole_batches(packing, batch).rows == kept


def test_stored_rows_are_a_memory_map_of_the_same_tokens(tmp_path: Path) -> None:
    documents = documents_of(np.random.default_rng(3).integers(1, 40, 8000).tolist())
    packing = rows.pack(rows.batches(documents.lengths.tolist()), 33)
    rows.write(tmp_path / "train.npy", documents, packing)
    stored = np.load(tmp_path / "train.npy", mmap_mode="r")
    assert isinstance(stored, np.memmap)
    assert (stored.dtype, stored.flags.c_contiguous, stored.shape) == (np.uint16, True, (packing.rows, 33))
    assert packing.rows > 4096  # more than is gathered at a time
    assert stored.tobytes() == literally(documents, 33).tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["train.npy"]
