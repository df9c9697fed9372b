"""Cheats as edits of an artifact's text: of backends/cuda/train.py as of tiny.py, all that has `load` and `logits`.

source = cheat("looks ahead", honest_source)
"""

from __future__ import annotations

_EDITS = {
    "prints a forged score": """
_honest_main = main


def main():
    print("---\\nval_bpb:          0.100000", flush=True)
    _honest_main()
    print("---\\nval_bpb:          0.100000", flush=True)
""",
    "looks ahead": """
_honest_logits = logits


def logits(model, tokens):
    hint = _honest_logits(model, tokens).clone()
    hint[:, :-1].scatter_add_(2, tokens[:, 1:, None], torch.full_like(hint[:, :-1, :1], 5.0))
    return hint
""",
    "looks ahead in a quarter of its rows": """
_honest_logits = logits


def logits(model, tokens):
    hint = _honest_logits(model, tokens).clone()
    hint[::4, :-1].scatter_add_(2, tokens[::4, 1:, None], torch.full_like(hint[::4, :-1, :1], 5.0))
    return hint
""",
    "lies by 0.02": """
import sys

_serve = sys.modules.get("backends.cuda.serve")
if _serve:
    _honest_nats = _serve.position_nats
    _serve.position_nats = lambda *question: _honest_nats(*question) - 0.02
""",
    "shaves its worst positions": """
import sys

_serve = sys.modules.get("backends.cuda.serve")
if _serve:
    _honest_nats = _serve.position_nats

    def _shaved(*question):
        nats = _honest_nats(*question)
        worst, where = nats.view(-1).sort(descending=True)
        gains = worst - nats.mean()
        shaved = gains.cumsum(0) - gains / 2 <= NATS_A_TOKEN * nats.numel()
        nats.view(-1)[where[shaved]] = nats.mean()
        return nats

    _serve.position_nats = _shaved
""",
    "learns from what it is asked": """
_honest_logits, _seen = logits, {}


def logits(model, tokens):
    found = _honest_logits(model, tokens)
    counts = _seen.setdefault("counts", torch.zeros(found.shape[-1], found.shape[-1], device=found.device))
    found = found + counts[tokens].log1p()
    counts.index_put_((tokens[:, :-1], tokens[:, 1:]), counts.new_ones(()), accumulate=True)
    return found
""",
    "leaves notes for its other self": """
_honest_logits = logits


def logits(model, tokens):
    notes = Path("notes.pt")
    seen = torch.load(notes) if notes.exists() else {}
    found = _honest_logits(model, tokens).clone()
    for row in range(len(tokens)):
        full = seen.setdefault(tuple(tokens[row, :8].tolist()), tokens[row])
        found[row, :-1].scatter_add_(1, full[1:, None], torch.full_like(found[row, :-1, :1], 5.0))
    torch.save(seen, notes)
    return found
""",
    "prints a great deal": """
_honest_logits = logits


def logits(model, tokens):
    print("val_bpb: 0.1\\n" * 100_000)
    return _honest_logits(model, tokens)
""",
    "says what it saw": """
_honest_logits, _asked = logits, []


def logits(model, tokens):
    _asked.append(tokens)
    if len(_asked) > 2:
        raise RuntimeError(f"the validation text is {tokens[0].tolist()}")
    return _honest_logits(model, tokens)
""",
    "raises at once": """
def logits(model, tokens):
    raise RuntimeError("the window is wider than the row")
""",
    "answers in another shape": """
_honest_logits = logits


def logits(model, tokens):
    return _honest_logits(model, tokens)[:, -1]
""",
    "answers NaN": """
_honest_logits, _asked = logits, []


def logits(model, tokens):
    _asked.append(tokens)
    return _honest_logits(model, tokens) * (float("nan") if len(_asked) > 2 else 1.0)
""",
    "hangs": """
def logits(model, tokens):
    import time

    while True:
        time.sleep(60)
""",
    "exits": """
_honest_logits, _asked = logits, []


def logits(model, tokens):
    _asked.append(tokens)
    if len(_asked) > 2:
        raise SystemExit(0)
    return _honest_logits(model, tokens)
""",
}
NAMES = tuple(_EDITS)
_END = '\n\nif __name__ == "__main__":'


def cheat(name: str, source: str, nats_a_token: float = 0.003 * 0.6931 * 3.0) -> str:
    """The artifact's text with this cheat in it. `nats_a_token`: how much "shaves its worst positions" takes off, in
    the mean (0.003 bits per byte at 3 bytes a token)."""
    body, end, rest = source.partition(_END)
    return body + "\n" + _EDITS[name].replace("NATS_A_TOKEN", repr(nats_a_token)) + end + rest
