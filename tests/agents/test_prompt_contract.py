"""[agent] contract in task.toml: read, refused where it is wrong, and true of what it speaks of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from core.errors import UsageError
from core.task import LONGEST_CONTRACT, Budget, parse, read

ROOT = Path(__file__).parents[2]
TASK = """\
[task]
name = "toy"
artifact = ["train.py"]
[commands]
train = "run"
[metric]
name = "loss"
pattern = '(.*)'
"""


def written(tmp_path: Path, more: str) -> Path:
    (tmp_path / "task.toml").write_text(TASK + more, encoding="utf-8")
    return tmp_path


def test_the_contract_is_read_and_survives_the_journal(tmp_path: Path) -> None:
    task, content = read(written(tmp_path, '[agent]\ncontract = """\n- `load` stays.\n- 漢字\n"""\n'), "")
    assert task.contract == "- `load` stays.\n- 漢字"
    assert parse("", content).contract == task.contract
    assert read(written(tmp_path, ""), "")[0].contract == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[agent]\nmodel = "x"\n', "task.toml:10: [agent] model: unknown key; known here: contract"),
        ("[agent]\ncontract = 3\n", "task.toml:10: [agent] contract: must be a string, not 3"),
        (
            f'[agent]\ncontract = "{"c" * (LONGEST_CONTRACT + 1)}"\n',
            "task.toml: [agent] contract has 20,001 characters, the limit is 20,000; shorten it",
        ),
    ],
)
def test_a_wrong_one_is_refused_with_its_line(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        read(written(tmp_path, more), "")


@pytest.mark.parametrize("backend", ["cuda", "mlx"])
def test_what_the_reference_contracts_say_is_so(backend: str) -> None:
    contract = read(ROOT / "backends", backend)[0].contract
    artifact = (ROOT / "backends" / backend / "train.py").read_text()
    harness = (ROOT / "backends" / "reference" / "harness.py").read_text()
    functions = {
        f.name: [a.arg for a in f.args.args] for f in ast.parse(artifact).body if isinstance(f, ast.FunctionDef)
    }
    flat = " ".join(contract.split())
    for name in ("load", "logits"):
        assert f"`{name}({', '.join(functions[name])})`" in flat, name
    trial = next(c for c in ast.parse(harness).body if isinstance(c, ast.ClassDef) and c.name == "Trial")
    parts = {n.name for n in trial.body if isinstance(n, ast.FunctionDef)} | {"seed", "settings"}
    named = set(re.findall(r"trial\.(\w+)", contract))
    assert named >= {"ready", "rows", "over", "step", "progress", "done", "seed", "settings"}
    assert named <= parts
    for name in re.findall(r"`(\w+)\(", contract):
        assert re.search(rf"\b{name}\b", artifact + harness), name
    budget = Budget(300, 120, 600)
    assert f"there are 3 s, or {100 * budget.overtime_seconds / 300:.0f} % of the budget" in flat
    largest = re.search(r"^LARGEST_LOSS = (\d+)", harness, re.M)
    assert largest
    assert f"nan or above {largest[1]} ends" in flat
