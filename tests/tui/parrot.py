"""A task with every part of the reference task, in milliseconds, and runs of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from conftest import commit_all, ended

from core.launch import Options

# A byte is a token, and the model says SAYS by heart.
TASK = """\
[task]
name = "parrot"
artifact = ["train.py"]
program = "../program.md"
link = ["data"]
[commands]
prepare = "{python} -P prepare.py"
train = "{python} -P train.py"
serve = "{python} -P serve.py"
evaluate = "{python} -P {task}/evaluate.py"
[metric]
name = "val_bpb"
[budget]
train_seconds = 5
timeout_seconds = 20
"""
PREPARE = """
import json, os
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
here = os.path.abspath("tokenizer.txt")
answer = {"device": "cpu", "fingerprint": "f", "settings": {"sequence_length": 32}, "backend": "cuda",
          "tokenizer": here, "notes": []}
json.dump(answer, open(told["answer"], "w"))
"""
EVALUATE = """
import json, os
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
assert os.listdir(".") == [] and os.path.isdir(told["work"]) and len(told["serve"]["folders"]) == 2
assert all(os.path.exists(folder + "/data/words") for folder in told["serve"]["folders"])
text = open(told["checkpoint"]).read()
findings = {"val_bpb_upstream": 0.25, "audited_positions": 64, "audit_largest_nats": 1e-6, "audit_mean_nats": 0.0}
answer = {"rejected": "it looks ahead"} if text == "forged" else {"value": float(text), "findings": findings}
json.dump(answer, open(told["answer"], "w"))
"""
TRAIN = """\
import json, os
RATE = 0.5
SAYS = "caf\\u00e9".encode() + b"\\x1b[31mred\\xff\\r\\n\\x07end"

def load(checkpoint, device):
    print("words that are not the model's")
    return float(open(checkpoint).read())

def logits(model, tokens):
    import torch
    out = torch.zeros(*tokens.shape, 260)
    for i in range(tokens.shape[1]):
        out[:, i, SAYS[i] if i < len(SAYS) else 256] = 50.0
    return out

if __name__ == "__main__":
    told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
    open(told["checkpoint"], "w").write(str((RATE - 0.3) ** 2))
"""
ENDLESS = "SAYS[i] if i < len(SAYS) else 65"
STEPS = (("better", "0.5", "0.4"), ("worse", "0.4", "0.9"), ("better still", "0.4", "0.35"))


def script_of(folder: Path, *steps: tuple[str, str, str]) -> str:
    """A `scripted:` agent that replaces text: (description, old, new)."""
    lines = [json.dumps({"description": d, "file": "train.py", "replace": [[old, new]]}) for d, old, new in steps]
    (folder.parent / "script.jsonl").write_text("\n".join(lines) + "\n")
    return f"scripted:{folder.parent / 'script.jsonl'}"


def workspace(folder: Path) -> Path:
    """A workspace with the task in a folder of it, and beside it what git does not hold."""
    (folder / "gpt/data").mkdir(parents=True)
    (folder / "gpt/data/words").write_text("linked")
    (folder / ".gitignore").write_text("data\n")
    (folder / "program.md").write_text("Say it better.\n")
    tokens = "".join(base64.b64encode(bytes([i])).decode() + "\n" for i in range(256))
    files = {"task.toml": TASK, "prepare.py": PREPARE, "evaluate.py": EVALUATE, "serve.py": "", "train.py": TRAIN,
             "tokenizer.txt": tokens}  # fmt: skip
    for name, text in files.items():
        (folder / "gpt" / name).write_text(text)
    commit_all(folder)
    return folder


def night(root: Path, engines: Callable[[Options], Path]) -> Path:
    """The folder of a run of it: baseline, a keep, a discard, a keep."""
    folder = engines(Options(str(root), task="gpt", agent=script_of(root, *STEPS), tag="night"))
    assert [e.verdict.outcome for e in ended(folder).experiments] == ["keep", "keep", "discard", "keep"]
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a workspace but those of its runs, git's index and HEAD among them, objects left out."""
    skipped = {".autoresearch", "objects"}
    files = [p for p in folder.rglob("*") if p.is_file() and not skipped & set(p.relative_to(folder).parts)]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
