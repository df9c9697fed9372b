"""What the task's prepare command learns of its surroundings, and what a trial does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TOY_TASK

from core import sandbox
from core.errors import UsageError
from core.prepare import prepare
from core.task import read

PREPARE = """\
import json, os, sys
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
json.dump({"device": "cpu", "fingerprint": "", "environment": dict(os.environ)}, open(told["answer"], "w"))
"""
NETWORK = {
    "HF_ENDPOINT": "http://mirror.test",
    "HF_HUB_OFFLINE": "1",
    "https_proxy": "http://proxy.test:3128",
    "NO_PROXY": "127.0.0.1",
    "SSL_CERT_FILE": "/etc/certificates.pem",
}


def test_prepare_alone_learns_of_hub_proxies_and_certificates(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy / "task.toml").write_text(TOY_TASK.replace("[commands]\n", '[commands]\nprepare = "{python} -P prepare.py"\n'))
    (toy / "prepare.py").write_text(PREPARE)
    for name, value in {**NETWORK, "ANTHROPIC_API_KEY": "secret", "MY_HF_ENDPOINT": "no"}.items():
        monkeypatch.setenv(name, value)
    task, _ = read(toy, "")
    seen = prepare(task, toy, "auto", None, lambda line: None)["environment"]
    assert seen.items() >= NETWORK.items()
    assert not {"ANTHROPIC_API_KEY", "MY_HF_ENDPOINT"} & set(seen)
    assert not set(NETWORK) & set(sandbox.environment(toy / "trial.json"))


WAITING = """\
import pathlib, sys, time
print("downloading", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
print("cannot be read; mend it", file=sys.stderr)
sys.exit(2)
"""


def test_a_line_is_told_while_the_command_works_and_the_last_words_are_the_error(toy: Path) -> None:
    (toy / "task.toml").write_text(TOY_TASK.replace("[commands]\n", '[commands]\nprepare = "{python} -P prepare.py"\n'))
    (toy / "prepare.py").write_text(WAITING)
    task, _ = read(toy, "")
    told: list[str] = []

    def hear(line: str) -> None:
        told.append(line)
        (toy / "go").touch()  # the command ends only after its first line was told

    with pytest.raises(UsageError, match=r"^cannot be read; mend it$"):
        prepare(task, toy, "auto", None, hear)
    assert told == ["downloading"]


def test_a_device_that_nobody_knows_is_refused(toy: Path) -> None:
    task, _ = read(toy, "")
    for device in ("foo", "cuda:x", "CPU"):
        with pytest.raises(UsageError, match="no such device; use auto, cpu"):
            prepare(task, toy, device, None, lambda line: None)
    assert prepare(task, toy, "cuda:1", None, lambda line: None)["device"] == "cuda:1"
