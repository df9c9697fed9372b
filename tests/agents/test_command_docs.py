"""What docs/agents.md says of command-line agents is so."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command_desk import request, script, workspace

from core.agents import Refused
from core.agents.command import CommandAgent


def test_the_script_of_the_docs_is_an_agent(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    (body,) = re.findall(r"^```python\n#!/usr/bin/env python3\n(.*?)^```$", docs, re.S | re.M)
    run = workspace(tmp_path / "ws")
    source = "DEPTH = 2\nMATRIX_LR = 0.04  # the blocks' matrices\n"
    path = script(tmp_path, body, line="#!/usr/bin/env python3")
    proposal = CommandAgent(str(path), {}).propose(request(tmp_path, run, {"train.py": source}))
    assert re.fullmatch(r"DEPTH = 2\nMATRIX_LR = 0\.\d+\n", proposal.edits["train.py"])
    assert proposal.description.startswith("MATRIX_LR 0.")
    assert proposal.hypothesis == "A draw of the dice."
    with pytest.raises(Refused, match=r"exit status 1: train\.py has no MATRIX_LR"):
        CommandAgent(str(path), {}).propose(request(tmp_path, run))


def test_the_commands_of_the_docs_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    commands = re.findall(r"--agent '((?:hybrid:)?command:[^']+)'", docs)
    assert len(commands) >= 7
    for name in ("claude", "codex", "aider"):
        script(tmp_path, "exit 0\n", name)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for command in commands:
        if "…" not in command and "WORDS" not in command:
            assert CommandAgent(command.removeprefix("hybrid:").removeprefix("command:"), {}).repairs
