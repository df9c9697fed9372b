"""One device, one run: also where two engines call the same card by different names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from conftest import autoresearch, commit_all, kill_engine

from core.launch import Options, launch

TASK = """\
[task]
name = "toy"
artifact = ["train.py"]
[commands]
prepare = "{python} -P prepare.py"
train = "{python} -P train.py"
[metric]
name = "loss"
pattern = '^loss: (\\S+)'
[budget]
train_seconds = 60
"""
PREPARE = """\
import json, os
request = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
answer = {{"device": request["device"], "device_lock": {lock!r}, "fingerprint": "", "settings": {{}}, **{more!r}}}
json.dump(answer, open(request["answer"], "w"))
"""


def workspace(folder: Path, lock: str, **more: object) -> str:
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    (folder / "prepare.py").write_text(PREPARE.format(lock=lock, more=more))
    (folder / "train.py").write_text("import time\nRATE = 0.5\ntime.sleep(60)\n")
    commit_all(folder)
    return str(folder)


def test_a_card_under_two_names_is_one_device(tmp_path: Path, engines: Callable[[Options], Path]) -> None:
    one, other = (workspace(tmp_path / name, "GPU-8932f937-d72c") for name in ("one", "other"))
    engines(Options(workspace=one, device="cuda"))
    refused = autoresearch("run", "--plain", "--device", "cuda:1", cwd=Path(other))
    assert refused.returncode == 2
    assert "device cuda:1 is in use by another run" in refused.stderr


def test_two_cards_of_one_name_are_two_devices(tmp_path: Path, engines: Callable[[Options], Path]) -> None:
    engines(Options(workspace=workspace(tmp_path / "one", "GPU-1"), device="cuda"))
    engines(Options(workspace=workspace(tmp_path / "other", "GPU-2"), device="cuda"))


def test_who_has_the_device_is_told_before_what_fills_it(tmp_path: Path, engines: Callable[[Options], Path]) -> None:
    one = workspace(tmp_path / "one", "GPU-1")
    other = workspace(tmp_path / "other", "GPU-1", refuse="20 of 24 GB are in use: end process 4711")
    folder = engines(Options(workspace=one, device="cuda"))
    refused = autoresearch("run", "--plain", cwd=Path(other))
    assert "is in use by another run" in refused.stderr
    kill_engine(folder)
    refused = autoresearch("run", "--plain", cwd=Path(other))
    assert refused.returncode == 2
    assert "end process 4711" in refused.stderr
    assert not list((tmp_path / "other").glob(".autoresearch/*/journal.jsonl"))


def test_a_device_is_got_ready_by_who_has_it_and_a_failure_is_only_said(
    tmp_path: Path, engines: Callable[[Options], Path]
) -> None:
    ready = tmp_path / "ready"
    script = f"import pathlib; pathlib.Path({str(ready)!r}).touch(); print('half a minute'); raise SystemExit(3)"
    said: list[str] = []
    folder = launch(
        Options(workspace=workspace(tmp_path / "one", "GPU-1", warm=[sys.executable, "-c", script])), said.append
    )
    try:
        assert ready.exists()
        assert "half a minute" in said
        assert any("getting the device ready failed (half a minute)" in line for line in said)
    finally:
        kill_engine(folder)
