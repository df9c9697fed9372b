"""A trained model continues a text: what it is asked, what is drawn, what it says."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.reference.sample import continued, draw
from backends.reference.tokenizer import Tokenizer
from core import sandbox
from core.channel import Channel

BYTES = Tokenizer(tuple(bytes([i]) for i in range(256)))
BOS = BYTES.bos
ARTIFACT = """
import torch

def load(checkpoint, device):
    assert device == "cpu"
    return checkpoint.read_bytes()

def logits(model, tokens):
    assert tokens.shape == (1, 24), tokens.shape
    out = torch.zeros(1, 24, 260, dtype=torch.bfloat16)
    for i in range(24):
        out[0, i, model[i] if i < len(model) else 256] = 40.0
    return out
"""


def favour(token: int) -> np.ndarray:
    logits = np.zeros(BYTES.vocab_size, np.float32)
    logits[token] = 100.0
    return logits


def seen_of(text: str, length: int, answers: list[int]) -> list[tuple[list[int], int]]:
    """The rows and positions that a model is asked, which answers these tokens."""
    asked: list[tuple[list[int], int]] = []

    def predict(row: np.ndarray, position: int) -> np.ndarray:
        assert row.dtype == np.int64
        asked.append((row.tolist(), position))
        return favour(answers[len(asked) - 1])

    rng = np.random.default_rng(0)
    made = continued(predict, BYTES, text, length, 1.0, rng)
    assert [next(made) for _ in answers] == answers
    return asked


def test_a_row_begins_with_bos_and_grows():
    assert seen_of("ab", 6, [99, 100]) == [
        ([BOS, 97, 98, BOS, BOS, BOS], 2),
        ([BOS, 97, 98, 99, BOS, BOS], 3),
    ]
    assert seen_of("", 4, [7]) == [([BOS] * 4, 0)]


def test_what_is_longer_than_a_row_is_cut_from_the_left():
    assert seen_of("abcdef", 4, [120, 121]) == [([99, 100, 101, 102], 3), ([100, 101, 102, 120], 3)]
    assert seen_of("x" * 10**6 + "yz", 3, [1]) == [([120, 121, 122], 2)]


def test_draws_follow_the_predictions():
    logits = np.full(BYTES.vocab_size, -50.0)
    logits[[65, 66]] = np.log([0.75, 0.25])
    logits[BOS + 1 :] = 99.0  # reserved: they stand in no text
    rng = np.random.default_rng(0)
    drawn = [draw(logits, BYTES, 1.0, rng) for _ in range(4000)]
    assert set(drawn) == {65, 66}
    assert drawn.count(66) / 4000 == pytest.approx(0.25, abs=0.03)
    cold = [draw(logits, BYTES, 0.25, rng) for _ in range(4000)]
    assert cold.count(66) / 4000 == pytest.approx(1 / (1 + 3**4), abs=0.01)
    assert {draw(logits, BYTES, 0.0, rng) for _ in range(9)} == {65}
    assert draw(logits, BYTES, 1.0, np.random.default_rng(3)) == draw(logits, BYTES, 1.0, np.random.default_rng(3))


def test_predictions_that_are_none_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="not finite"):
        draw(favour(65) * np.nan, BYTES, 1.0, rng)
    with pytest.raises(ValueError, match="logits of 9 tokens; the tokenizer has 260"):
        draw(np.zeros(9), BYTES, 1.0, rng)


def ask(folder: Path, artifact: str, model: bytes, tokens: int = 50) -> list[dict[str, object]]:
    """What the verb says, in a process of its own, with this artifact and this model."""
    (folder / "train.py").write_text(artifact)
    (folder / "model").write_bytes(model)
    (folder / "tokenizer.txt").write_text("".join(base64.b64encode(t).decode() + "\n" for t in BYTES.tokens))
    channel = Channel()
    theirs = channel.theirs.fileno()
    told = {
        "checkpoint": str(folder / "model"),
        "device": "cpu",
        "seed": 0,
        "control": theirs,
        "settings": {"sequence_length": 24},
        "prepared": {"tokenizer": str(folder / "tokenizer.txt")},
        "sample": {"text": "", "tokens": tokens, "temperature": 1.0},
    }
    (folder / "trial.json").write_text(json.dumps(told))
    env = sandbox.environment(folder / "trial.json")
    argv = [sys.executable, "-P", "-m", "backends.cuda", "sample"]
    with open(os.devnull, "w") as nothing:
        process = sandbox.spawn(argv, cwd=folder, env=env, pass_fds=(theirs,), output=nothing.fileno())
    channel.theirs.close()
    try:
        assert process.wait(timeout=60) is not None
        return [dict(message) for message in channel.messages()]
    finally:
        sandbox.kill_tree(process)
        channel.close()


def test_the_verb_says_whole_characters_and_how_it_ended(tmp_path):
    said = ask(tmp_path, ARTIFACT, "é€".encode() + b"\xff!")
    assert "".join(str(m["text"]) for m in said[:-1]) == "é€\ufffd!"
    assert [m["text"] for m in said[:2]] == ["é", "€"]
    assert said[-1] == {"type": "done", "reason": "end"}
    cut = ask(tmp_path, ARTIFACT, "é€".encode(), tokens=3)
    assert cut == [
        {"type": "text", "text": "é"},
        {"type": "text", "text": "\ufffd"},
        {"type": "done", "reason": "tokens"},
    ]


def test_an_artifact_that_breaks_the_contract_says_how(tmp_path):
    wrong = ask(tmp_path, ARTIFACT.replace("return out", "return out[0]"), b"a")
    assert [m["type"] for m in wrong] == ["failed"]
    assert "logits(model, tokens) returned [24, 260], not [B, T, V] = [1, 24, V]" in str(wrong[0]["detail"])
    broken = ask(tmp_path, "raise RuntimeError('broken')", b"a")
    assert str(broken[0]["detail"]).endswith("RuntimeError: broken\n")
