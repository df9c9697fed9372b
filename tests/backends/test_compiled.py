"""Compiled code: steps that differ in numbers compile nothing anew; what is kept is found, and stays as it was."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from backends.cuda import compiled, train
from backends.reference.profiles import PROFILES

torch.set_num_threads(1)  # small matrices: threads cost more than they bring
TINY = replace(PROFILES["cpu"], name="tiny", sequence_length=16, vocab_size=32, depth=1, device_batch_size=2)
SETTINGS = {"sequence_length": 16, "vocab_size": 32, "profile": "tiny"}

# In the place of the packaged artifact: one matrix product, for which no compiler of C++ is started.
ARTIFACT = """\
import torch
from dataclasses import dataclass
DEPTH = 8
TOTAL_BATCH_SIZE = 64
DEVICE_BATCH_SIZE = 4
@dataclass(frozen=True)
class Config:
    sequence_length: int
    vocab_size: int
def prepared(config, device, compile_all):
    def block(x):
        return x @ x.T
    return torch.compile(block, dynamic=False)(torch.ones(config.vocab_size, config.sequence_length, device=device))
"""
WARM = """\
import sys
from pathlib import Path
from test_compiled import TINY
from backends.cuda import warm
for _ in range(2):
    print(warm.warm("cpu", TINY, Path(sys.argv[1])))
"""
TRIAL = """\
import sys
from pathlib import Path
from test_compiled import SETTINGS
from backends.cuda import compiled
from torch._dynamo.utils import counters
print(compiled.use_private_cache(Path.cwd(), "cpu", SETTINGS))
sys.path.insert(0, sys.argv[1])
import train
train.prepared(train.Config(16, 32), "cpu", True)
for path in Path(".compiled").rglob("*"):
    if path.is_file():
        with path.open("ab") as file:
            file.write(b"meddled")
print(counters["inductor"]["fxgraph_cache_hit"], counters["inductor"]["fxgraph_cache_miss"])
"""


def python(source: str, *words: str, cwd: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        environment.pop(name, None)
    argv = [sys.executable, "-c", source, *words]
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_trial_finds_what_is_kept_and_cannot_change_it(tmp_path: Path) -> None:
    templates, edited, folder = (tmp_path / name for name in ("templates", "edited", "trial"))
    for made in (templates, edited, folder):
        made.mkdir()
    (templates / "train.py").write_text(ARTIFACT)
    shutil.copy(Path(compiled.__file__).with_name("task.toml"), templates)
    (edited / "train.py").write_text(ARTIFACT.replace("DEPTH = 8", "DEPTH = 1  # as the profile has it"))

    begun, ended, kept, again = python(WARM, str(templates), cwd=tmp_path)
    assert begun.startswith("compiling the model")
    assert ended.startswith("compiled in ")
    assert again == kept  # without a word: it was done already
    before = contents(Path(kept))
    assert before
    assert python(TRIAL, str(edited), cwd=folder) == ["True", "1 0"]
    assert contents(folder / compiled.PRIVATE).keys() >= before.keys()
    assert contents(Path(kept)) == before
    assert [path.name for path in Path(kept).parent.iterdir()] == [Path(kept).name]


def test_nothing_kept_means_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(ARTIFACT)
    assert python(TRIAL, str(tmp_path), cwd=tmp_path) == ["False", "0 1"]
    assert contents(tmp_path / compiled.PRIVATE)


def test_other_sizes_and_other_code_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [compiled.kept_folder("cpu", SETTINGS)]
    keys += [compiled.kept_folder("cpu", {**SETTINGS, key: 7}) for key in SETTINGS]
    monkeypatch.setattr(compiled, "_sources", lambda: "another version")
    keys.append(compiled.kept_folder("cpu", SETTINGS))
    assert len(set(keys)) == 5


@pytest.mark.parametrize("profile", ["auto", "cpu"])
def test_warm_is_for_cards(profile: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-P", "-m", "backends.cuda", "warm", "--device", "cpu", "--profile", profile]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["device cpu: nothing is compiled there; warm is for NVIDIA devices"]


# Dynamo's own question, which it silences unless warnings are errors.
NOT_OURS = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile as it decides what to compile anew, without the minute that compiling takes here."""
    torch.compiler.reset()
    counters.clear()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))


@NOT_OURS
def test_steps_compile_nothing_anew(traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rates, momentum, decay and progress change from step to step; equal blocks share their graphs."""
    for name, value in {"DEVICE_BATCH_SIZE": 2, "TOTAL_BATCH_SIZE": 64}.items():
        monkeypatch.setattr(train, name, value)
    model, optimizer = train.prepared(train.Config(16, 32, depth=4), "cpu", compile_all=True)
    graphs = counters["stats"]["unique_graphs"]
    # Blocks differ in window and value embedding, three kinds in all; matrices have four shapes; AdamW meets the
    # embeddings and the unembedding in one shape and dtype here, and the scalars.
    assert graphs <= 3 + 4 + 3
    before = [w.detach().clone() for w in model.parameters()]
    for progress in (0.0, 0.1, 0.4, 0.6, 0.95, 1.0):
        batches = [torch.randint(32, (2, 17)) for _ in range(2)]
        assert torch.isfinite(train.train_step(model, optimizer, batches, progress))
    assert counters["stats"]["unique_graphs"] == graphs
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@NOT_OURS
def test_compiled_steps_are_the_steps(traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEVICE_BATCH_SIZE": 2, "TOTAL_BATCH_SIZE": 32}.items():
        monkeypatch.setattr(train, name, value)
    ends = []
    for compile_all in (False, True):
        model, optimizer = train.prepared(train.Config(16, 32, depth=2), "cpu", compile_all)
        torch.manual_seed(1)
        model.initialise()
        for progress in (0.0, 0.5, 0.9):
            train.train_step(model, optimizer, [torch.randint(32, (2, 17))], progress)
        ends.append([w.detach() for w in model.parameters()])
    for plain, made in zip(*ends, strict=True):
        torch.testing.assert_close(plain, made, rtol=1e-4, atol=1e-5)
