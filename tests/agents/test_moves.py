"""Structural moves: found where they fit, made without touching anything else, and undone by moving back."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import pytest

import backends
from core.agents.moves import moved, sites

SOURCES = {
    name: (Path(backends.__file__).parent / name / "train.py").read_text(encoding="utf-8") for name in ("cuda", "mlx")
}
MOVES = [
    (backend, key, form) for backend, source in SOURCES.items() for key, site in sites(source).items()
    for form in site.options
]  # fmt: skip


@pytest.mark.parametrize("backend", SOURCES)
def test_the_reference_has_them_all(backend: str) -> None:
    assert set(sites(SOURCES[backend])) == {
        "activation", "MLP width", "short window", "value embeddings", "value gate", "attention scale",
        "keys and values", "warm-down", "decay schedule", "momentum warm-up", "weight decay", "polar iterations",
    }  # fmt: skip


@pytest.mark.parametrize(("backend", "key", "form"), MOVES)
def test_a_move_parses_is_recognised_touches_little_and_is_undone(backend: str, key: str, form: str) -> None:
    source = SOURCES[backend]
    new = moved(source, {key: form})
    ast.parse(new)
    before, after = sites(source), sites(new)
    assert after.keys() == before.keys()
    assert after[key].form == form
    assert all(after[other].form == before[other].form for other in before if other != key)
    assert before[key].form in after[key].options
    assert moved(new, {key: before[key].form}) == source
    changed = [d for d in difflib.ndiff(source.splitlines(), new.splitlines()) if d.startswith("+ ")]
    assert 1 <= len(changed) <= 3
    assert len(new.splitlines()) == len(source.splitlines())


@pytest.mark.parametrize("backend", SOURCES)
def test_all_moves_at_once_and_back(backend: str) -> None:
    start = {key: site.form for key, site in sites(SOURCES[backend]).items()}
    far = {key: list(site.options)[-1] for key, site in sites(SOURCES[backend]).items()}
    new = moved(SOURCES[backend], far)
    assert {key: site.form for key, site in sites(new).items()} == far
    assert moved(new, start) == SOURCES[backend]


def test_comments_formatting_line_ends_and_marks_stay() -> None:
    source = (
        "\ufeffimport torch.nn.functional as F  # ein Gruß\r\n\r\n\r\n"
        "class MLP:\r\n    def forward(self, x):\r\n        # why: ×4\r\n"
        "        return self.out(F.relu(self.fc( x,  # an é inside\r\n            )).square())  # tail\r\n"
    )
    new = moved(source, {"activation": "silu"})
    expected = source.replace("F.relu(", "F.silu(").replace(".square()", "")
    assert new == expected
    assert moved(new, {"activation": "relu²"}) == source


def test_brackets_come_where_an_operator_would_pull_things_apart() -> None:
    source = "def learning_rate(p, w):\n    return 0.1 + (1 - 0.1) * (1 - (p or 0)) / (w + 1)\n"
    square = moved(source, {"warm-down": "square"})
    at = {"p": 0.75, "w": 0.5}
    names: dict[str, object] = {}
    exec(square, names)
    assert names["learning_rate"](**at) == pytest.approx(0.1 + 0.9 * (0.25 / 1.5) ** 2)  # type: ignore[operator]
    assert sites(moved(square, {"warm-down": "linear"}))["warm-down"].form == "linear"


@pytest.mark.parametrize(
    "source",
    [
        "RATE = 0.1\nprint(RATE)\n",
        "import torch.nn.functional as F\ndef f(x):\n    return F.gelu(x) + F.gelu(x)\n",  # twice
        "import torch.nn.functional as F\ndef f(x):\n    return F.gelu(x) + F.silu(x)\n",  # which one?
        "import torch.nn.functional as F\ndef f(x):\n    return f'{F.gelu(x)}'\n",  # Python tells no place in these
        "def f(xs):\n    return F.gelu(*xs)\n",
        "",
    ],
)
def test_nothing_is_offered_where_nothing_fits(source: str) -> None:
    assert "activation" not in sites(source)
    with pytest.raises(KeyError):
        moved(source, {"activation": "silu"})


def test_a_form_is_offered_only_with_the_names_that_it_needs() -> None:
    source = "def learning_rate(p):\n    return 0.1 + (1 - 0.1) * (1 - p) / 0.5\n"
    assert "cosine" not in sites(source)["warm-down"].options
    assert "cosine" in sites("import math\n" + source)["warm-down"].options


def test_a_program_of_another_style_has_its_own() -> None:
    source = (
        "import torch.nn as nn\n\nclass M(nn.Module):\n    def __init__(self):\n        self.act = nn.GELU()  # so\n"
    )
    assert moved(source, {"activation": "silu"}) == source.replace("nn.GELU()", "nn.SiLU()")
