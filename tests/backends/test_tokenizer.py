"""The tokenizer: exact on any text, stored as text, and the two ways of counting a token's bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference import corpus, tokenizer
from backends.reference.tokenizer import SPECIAL_TOKENS, Tokenizer

TEXTS = [source.text for source in corpus.stdlib()[:40]]


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer.train(TEXTS, 600)


def test_the_vocabulary_has_the_size_asked_for_and_ends_with_bos_and_its_kin(words: Tokenizer) -> None:
    assert words.vocab_size == 600
    assert words.bos == 596
    assert len(words.token_bytes) == len(words.token_bytes_upstream) == 600
    assert words.encoding.decode([596]) == SPECIAL_TOKENS[0]


def test_training_is_deterministic(words: Tokenizer) -> None:
    assert tokenizer.train(TEXTS, 600) == words


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=200))
def test_ids_spell_the_text_byte_for_byte(words: Tokenizer, text: str) -> None:
    (ids,) = words.encode([text])
    assert b"".join(words.tokens[i] for i in ids.tolist()) == text.encode()
    assert int(words.token_bytes[ids].sum()) == len(text.encode())


def test_it_encodes_as_the_original_does(words: Tokenizer) -> None:
    texts = [*TEXTS, f"{SPECIAL_TOKENS[1]}<|endoftext|>", "", " \n\u2003é中" * 50]
    for text, ids in zip(texts, words.encode(texts), strict=True):
        assert ids.dtype == np.uint16
        assert ids.tolist() == words.encoding.encode_ordinary(text)


def test_the_name_of_a_special_token_is_text_like_any_other(words: Tokenizer) -> None:
    (ids,) = words.encode([SPECIAL_TOKENS[0]])
    assert int(ids.max()) < words.bos


def test_words_and_numbers_are_split_as_in_the_original() -> None:
    pieces = tokenizer.train(["1234 " * 1000 + "don't " * 1000], 300)
    assert {b"12", b"34", b"'t"} <= set(pieces.tokens)
    assert not [token for token in pieces.tokens if token.isdigit() and len(token) > 2]


def test_special_tokens_have_no_bytes(words: Tokenizer) -> None:
    assert words.token_bytes[-4:].tolist() == words.token_bytes_upstream[-4:].tolist() == [0] * 4


def test_a_fragment_of_a_character_counts_three_bytes_upstream_and_one_here(words: Tokenizer) -> None:
    fragment, letter = words.tokens.index(b"\xc3"), words.tokens.index(b"a")
    assert (words.token_bytes[fragment], words.token_bytes_upstream[fragment]) == (1, 3)
    assert (words.token_bytes[letter], words.token_bytes_upstream[letter]) == (1, 1)


def test_what_is_stored_reads_back_equal(words: Tokenizer) -> None:
    stored = words.dumps()
    assert stored.isascii()
    again = Tokenizer.loads(stored)
    assert again == words
    assert again.encode([TEXTS[0]])[0].tolist() == words.encode([TEXTS[0]])[0].tolist()


@pytest.mark.parametrize("rubbish", ["", "YQ==\n", "YQ==\nYQ==\n", "not base64!\n"])
def test_rubbish_is_no_tokenizer(rubbish: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Tokenizer.loads(rubbish)
