"""The embedded corpus: what is in it, what is held out, and where it is cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference import corpus, tokenizer
from backends.reference.corpus import Source


@pytest.fixture(scope="module")
def library() -> list[Source]:
    return corpus.stdlib()


@pytest.fixture(scope="module")
def words(library: list[Source]) -> tokenizer.Tokenizer:
    return tokenizer.train([source.text for source in library[:60]], 512)


def test_it_is_the_library_without_its_tests(library: list[Source]) -> None:
    names = {source.path for source in library}
    assert {"argparse.py", "json/decoder.py"} <= names
    assert not [name for name in names if {"test", "tests", "idle_test", "site-packages"} & set(name.split("/"))]
    assert sum(len(source.content) for source in library) > 4_000_000


def test_no_text_is_in_both_splits(library: list[Source]) -> None:
    training, validation = corpus.split(library)
    assert len(training) + len(validation) == len(library)
    assert not {source.content for source in training} & {source.content for source in validation}


def test_about_a_tenth_is_held_out_and_no_file_dominates_it(library: list[Source]) -> None:
    _, validation = corpus.split(library)
    sizes = [len(source.content) for source in validation]
    share = sum(sizes) / sum(len(source.content) for source in library)
    assert 0.05 < share < 0.115
    assert max(sizes) < 0.25 * sum(sizes)


def test_what_a_training_process_imports_is_never_held_out() -> None:
    code = (
        "import json, sys, numpy, safetensors.torch, torch, torch._dynamo\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert not corpus.NEVER_IMPORTED & set(json.loads(done.stdout))


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    texts = {
        "b.py": "b = 1\n",
        "sub/a.py": "a = 1\n",
        "test/test_x.py": "x = 1\n",
        "same.py": "b = 1\n",
        "empty.py": "\n",
    }
    for folder, names in (("one", list(texts)), ("two", list(reversed(texts)))):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[name])
        (tmp_path / folder / "latin.py").write_bytes(b"s = '\xe9'\n")
    one, two = corpus.stdlib(tmp_path / "one"), corpus.stdlib(tmp_path / "two")
    assert one == two
    assert corpus.fingerprint(one) == corpus.fingerprint(two)
    assert sorted(source.path for source in one) == ["b.py", "sub/a.py"]


def test_a_changed_file_changes_the_fingerprint(library: list[Source]) -> None:
    changed = [Source(library[0].path, library[0].content + b"#\n"), *library[1:]]
    assert corpus.fingerprint(changed) != corpus.fingerprint(library)


def test_a_library_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(corpus.BadInput, match="no Python sources"):
        corpus.stdlib(tmp_path)


def cut(words: tokenizer.Tokenizer, text: str, longest: int) -> list[str]:
    """The documents of a text, decoded; each must be at most `longest` tokens."""
    documents = [*corpus.encode([Source("x.py", text.encode())], words, longest).contents()]
    ids = [np.frombuffer(content, np.uint16).tolist() for content in documents]
    assert all(one[0] == words.bos and 1 < len(one) <= longest + 1 for one in ids)
    return [b"".join(words.tokens[i] for i in one[1:]).decode() for one in ids]


def test_cuts_fall_at_definitions_with_their_decorators(words: tokenizer.Tokenizer) -> None:
    pieces = [
        "@register\n@cache\ndef first():\n" + "    x = 1\n\n" * 12,
        "class Second:\n" + "    y = 2\n\n" * 12,
        "async def third():\n" + "    z = 3\n\n" * 12,
    ]
    longest = max(len(ids) for ids in words.encode(pieces))
    assert sorted(cut(words, "".join(pieces), longest)) == sorted(pieces)


def test_a_definition_too_long_is_cut_at_blank_lines(words: tokenizer.Tokenizer) -> None:
    blocks = [f"    name_{i} = [{i}, {i}, {i}]\n    other_{i} = name_{i}\n\n" for i in range(30)]
    text = "def long():\n" + "".join(blocks)
    assert all(piece.endswith("\n\n") for piece in cut(words, text, 100))


def test_short_neighbours_stay_together(words: tokenizer.Tokenizer) -> None:
    text = "".join(f"def f{i}():\n    pass\n\n" for i in range(60))
    assert len(cut(words, text, 256)) < 20


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(st.sampled_from("ab é\u2003\n\n\r\t@#:()def class中"), min_size=1, max_size=400), st.integers(1, 40))
def test_documents_hold_the_whole_text_and_never_more_than_fits(
    words: tokenizer.Tokenizer, text: str, longest: int
) -> None:
    content = text.encode()
    (ids,) = words.encode([text])
    starts = corpus.starts_of_documents(content, np.cumsum(words.token_bytes[ids]), longest)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(0 < end - start <= longest for start, end in zip(starts, [*starts[1:], len(ids)], strict=True))


def test_equal_documents_are_kept_once_and_never_across_splits(words: tokenizer.Tokenizer) -> None:
    shared = "def shared():\n    return 'the same text in many files'\n\n\n" + "    # more\n" * 20
    one, two = (Source(f"{i}.py", f"{shared}def own_{i}():\n{'    return 1 + 1' * 40}\n".encode()) for i in range(2))
    held_out = corpus.encode([one], words, 120)
    documents = corpus.encode([one, two], words, 120, without=held_out)
    contents = [*documents.contents()]
    assert contents
    assert len(set(contents)) == len(contents)
    assert not set(contents) & set(held_out.contents())
