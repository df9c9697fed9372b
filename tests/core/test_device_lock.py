"""One device, one run: also where two engines call the same card by different names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import autoresearch, commit_all

from core.launch import Options

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
answer = {{"device": request["device"], "device_lock": {lock!r}, "fingerprint": "", "settings": {{}}}}
json.dump(answer, open(request["answer"], "w"))
"""


def workspace(folder: Path, lock: str) -> str:
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    (folder / "prepare.py").write_text(PREPARE.format(lock=lock))
    (folder / "train.py").write_text("import time\ntime.sleep(60)\n")
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
