"""The untrusted `sample` verb: a trained model continues a text, token by token. What both backends share of it.

An artifact promises logits for whole rows and nothing else, so each token costs a pass over a row of T. What follows
the text in its row is filler: a prediction must not depend on it.

    told: {…, "prepared": {"tokenizer"}, "settings": {"sequence_length"}, "sample": {"text", "tokens", "temperature"}}
    says: {"type":"text","text"} …, then {"type":"done","reason":"tokens" or "end"}, or {"type":"failed","detail"}
"""

from __future__ import annotations

import codecs
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from backends.reference.tokenizer import Tokenizer
from core import sandbox

Load = Callable[[Path, str, Mapping[str, Any]], "Predict"]  # checkpoint, device, settings
Predict = Callable[[np.ndarray, int], np.ndarray]  # int64 [T] and a position in it -> float [V], the logits there
_DETAIL_CHARACTERS = 4_000
_CHARACTERS_A_TOKEN = 64  # no more of a long prompt is looked at than these for each place in a row


def main(load: Load) -> None:
    """Answer the one request that the environment names. An uncaught error is sent as `failed`.

    load: from a checkpoint, a device and the settings to a model that predicts; it may import the artifact from here.
    """
    trial = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text(encoding="utf-8"))
    connection = socket.socket(fileno=trial["control"])

    def say(**message: object) -> None:
        connection.sendall(json.dumps(message).encode() + b"\n")

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        say(type="failed", detail="".join(traceback.format_exception(kind, error, trace))[-_DETAIL_CHARACTERS:])

    sys.excepthook = report
    tokenizer = Tokenizer.loads(Path(trial["prepared"]["tokenizer"]).read_text(encoding="ascii"))
    length, wish = trial["settings"]["sequence_length"], trial["sample"]
    predict = load(Path(trial["checkpoint"]), trial["device"], trial["settings"])
    rng = np.random.default_rng(trial["seed"])
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a token may be a part of a character
    made = 0
    ids = continued(predict, tokenizer, wish["text"], length, wish["temperature"], rng)
    for token in islice(ids, wish["tokens"]):
        if token == tokenizer.bos:
            break
        made += 1
        if text := decoder.decode(tokenizer.tokens[token]):
            say(type="text", text=text)
    if text := decoder.decode(b"", final=True):
        say(type="text", text=text)
    say(type="done", reason="tokens" if made == wish["tokens"] else "end")


def continued(
    predict: Predict, tokenizer: Tokenizer, text: str, length: int, temperature: float, rng: np.random.Generator
) -> Iterator[int]:
    """Ids that follow the text, without end; BOS is the end of the model's text. `length` is T.

    Of a text that does not fit into a row the end is read.
    """
    ids = [tokenizer.bos, *tokenizer.encode([text[-_CHARACTERS_A_TOKEN * length :]])[0].tolist()]
    while True:
        ids = ids[-length:]
        row = np.full(length, tokenizer.bos, np.int64)
        row[: len(ids)] = ids
        ids.append(draw(predict(row, len(ids) - 1), tokenizer, temperature, rng))
        yield ids[-1]


def draw(logits: np.ndarray, tokenizer: Tokenizer, temperature: float, rng: np.random.Generator) -> int:
    """One id by logits [V]: an ordinary token or BOS. temperature 0: the likeliest. Raises ValueError for NaN."""
    if logits.shape[0] < tokenizer.vocab_size:
        raise ValueError(f"logits of {logits.shape[0]} tokens; the tokenizer has {tokenizer.vocab_size}")
    usable = logits[: tokenizer.bos + 1].astype(np.float64)  # the other special tokens stand in no text
    if not np.isfinite(usable).all():
        raise ValueError("the model's predictions are not finite")
    if temperature == 0:
        return int(usable.argmax())
    scaled = (usable - usable.max()) / temperature
    reached = np.cumsum(np.exp(scaled))
    return int(np.searchsorted(reached, rng.random() * reached[-1], side="right"))
