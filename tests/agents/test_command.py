"""The agent `command`: a program's edit of a private copy becomes the proposal, and nothing else of it does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from command_desk import BETTER, SPOKEN, propose, request, script, workspace
from conftest import TOY_SOURCE, git

from core.agents import Crash, Refused, Unable, get
from core.agents.command import CommandAgent, absolute
from core.errors import UsageError

EDITED = TOY_SOURCE.replace("0.5", "0.4")


def test_its_edit_and_its_last_words_are_the_proposal(tmp_path: Path) -> None:
    asked = request(tmp_path)
    proposal = propose(tmp_path, BETTER + SPOKEN, asked)
    assert proposal.edits == {"train.py": EDITED}
    assert (proposal.description, proposal.hypothesis) == ("RATE 0.5 → 0.4", "Half as far off.")
    assert proposal.details["unconfined"] is True
    assert proposal.details["agent"] == f"command:{tmp_path / 'agent'}"
    assert proposal.details["dropped"] == []
    assert "".join(asked.desk.said) == "Half as far off.\nDESCRIPTION: RATE 0.5 → 0.4\n"
    assert (tmp_path / "toy" / "train.py").read_text() == TOY_SOURCE


def test_the_prompt_is_on_stdin_and_in_a_file_and_says_how_to_answer(tmp_path: Path) -> None:
    path = script(tmp_path, f"cat > {tmp_path}/stdin; cp $1 {tmp_path}/file; echo $2 > {tmp_path}/words; {BETTER}")
    CommandAgent(f"{path} {{prompt}} 'one word; $HOME'", {}).propose(request(tmp_path))
    prompt = (tmp_path / "stdin").read_text()
    assert prompt == (tmp_path / "file").read_text()
    assert "Make it better." in prompt
    assert "DESCRIPTION:" in prompt
    assert "editing train.py in place" in prompt
    assert "You have 15 min;" in prompt
    assert TOY_SOURCE not in prompt  # it lies in the copy
    assert (tmp_path / "words").read_text() == "one word; $HOME\n"  # no shell of ours


def test_the_copy_is_the_incumbents_commit_in_a_repository_of_its_own(tmp_path: Path) -> None:
    files = {"program.md": "Think.", "lib/rows.py": "ROWS = 3\n", "cuda/near.py": "NEAR = 1\n"}
    run = workspace(tmp_path / "ws", files, "cuda")
    (tmp_path / "ws" / ".env").write_text("SECRET=1")  # what is not committed is not copied
    told = "pwd -P; git rev-parse --show-toplevel; git log --oneline; git status --short; git remote;"
    body = f"{told} ls -A .. . ../lib; {BETTER} git add -A; git commit -qm mine; cat ../program.md"
    proposal = propose(tmp_path, body, request(tmp_path, run))
    here, top, commit, *listed = proposal.hypothesis.splitlines()
    assert here == f"{top}/cuda"
    assert top.startswith(str(tmp_path / "desk-0"))
    assert commit.endswith(f"The incumbent, {run.base[:12]}")
    names = [".git", "cuda", "lib", "program.md", "near.py", "task.toml", "train.py", "rows.py"]
    assert sorted(filter(None, listed)) == sorted([*names, "..:", ".:", "../lib:"])
    assert proposal.description == "Think."
    assert proposal.edits == {"train.py": EDITED}
    assert git(tmp_path / "ws", "log", "--all", "--oneline").count("\n") == 1
    assert git(tmp_path / "ws", "status", "--short") == "?? .env\n"


def test_what_it_changed_besides_is_dropped_and_told(tmp_path: Path) -> None:
    run = workspace(
        tmp_path / "toy", {"near.py": "A = 1\n", "old.py": "", "gone/a.py": "", "gone/b.py": "", "kept/c.py": ""}
    )
    body = """
        echo x >> near.py; rm -r old.py gone; mkdir -p new/deep kept/more; touch new/deep/f kept/d.py
        printf x > "$(printf 'a\\tb\\033[31m')"
    """
    asked = request(tmp_path, run)
    proposal = propose(tmp_path, body + BETTER + SPOKEN, asked)
    assert proposal.edits == {"train.py": EDITED}
    assert proposal.details["dropped"] == ["a   b", "gone", "kept/d.py", "kept/more/", "near.py", "new/", "old.py"]
    assert "near.py, new/, old.py" in asked.desk.said[-1]


def test_what_it_wants_to_be_told_again_is_kept(tmp_path: Path) -> None:
    asked = request(tmp_path)
    proposal = propose(tmp_path, f"{BETTER}echo 'Why.'; echo '**NOTE:** 0.3 is   near'; echo 'NOTE: '; {SPOKEN}", asked)
    assert proposal.hypothesis == "Why.\nNOTE: \nHalf as far off."
    assert asked.desk.notes == ["0.3 is near"]


def test_a_thousand_other_files_are_told_in_a_few_words(tmp_path: Path) -> None:
    body = "i=0; while [ $i -lt 300 ]; do : > f$i; i=$((i+1)); done\n"
    proposal = propose(tmp_path, body + BETTER + SPOKEN)
    assert len(proposal.details["dropped"]) == 21
    assert proposal.details["dropped"][-1] == "and 280 more"
    json.dumps(dict(proposal.details))


def test_an_artifact_of_several_files_in_folders(tmp_path: Path) -> None:
    sources = {"train.py": TOY_SOURCE, "model/net.py": "WIDTH = 1\n"}
    run = workspace(tmp_path / "toy", {"model/net.py": "WIDTH = 1\n", "model/other.py": ""})
    body = "echo WIDTH = 2 > model/net.py; echo A > model/other.py\n"
    proposal = propose(tmp_path, body + SPOKEN, request(tmp_path, run, sources))
    assert proposal.edits == {"model/net.py": "WIDTH = 2\n"}
    assert proposal.details["dropped"] == ["model/other.py"]


def test_a_repair_works_on_what_crashed(tmp_path: Path) -> None:
    crashed = TOY_SOURCE.replace("0.5", "1 / 0")
    crash = Crash("ZeroDivisionError: division by zero", "Traceback …\nZeroDivisionError: division by zero", 1)
    asked = request(tmp_path, None, {"train.py": crashed}, crash)
    body = f"cat > {tmp_path}/stdin; git diff --stat | tail -1; sed -i.o 's:1 / 0:0.4:' train.py; rm train.py.o\n"
    proposal = propose(tmp_path, body, asked)
    assert proposal.edits == {"train.py": EDITED}
    assert "1 file changed" in proposal.description  # the copy says what crashed as a change of the incumbent
    assert "ZeroDivisionError: division by zero" in (tmp_path / "stdin").read_text()
    assert CommandAgent.repairs == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("true\n", r"nothing of the artifact \(train.py\) was changed$"),
        ("echo > notes.txt\n", "nothing of the artifact .* was changed, only notes.txt"),
        ("rm train.py\n", "train.py was deleted"),
        ("ln -sf /etc/passwd train.py\n", "train.py was replaced by a symlink"),
        ("rm train.py; mkfifo train.py\n", "train.py was replaced by a FIFO"),
        ("rm train.py; mkdir train.py\n", "train.py was replaced by a folder"),
        ("printf 'A = \\377' > train.py\n", r"train.py is not UTF-8 any more \(byte 4\)"),
        ("head -c 5000000 /dev/zero > train.py\n", "train.py would have 5.0 MB; the limit is 1 MiB"),
        ("rm -rf ../copy\n", "the folder of train.py was removed"),
        ("cd ..; mv copy other; ln -s other copy\n", "the folder of train.py was removed, or replaced"),
        (f"{BETTER}exit 3\n", "agent: exit status 3$"),
        (f"{BETTER}echo 'not logged in' >&2; exit 1\n", "agent: exit status 1: not logged in"),
        (f"{BETTER}echo 'no such flag'; exit 2\n", "agent: exit status 2: no such flag"),
        (f"{BETTER}kill -9 $$\n", "agent: killed by SIGKILL"),
        (
            f'{BETTER}echo \'{{"type":"result","is_error":true,"result":"Invalid API key"}}\'\n',
            "agent: Invalid API key",
        ),
    ],
)
def test_what_is_no_usable_edit_is_refused_with_its_reason(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refusal:
        propose(tmp_path, body)
    assert "\n" not in refusal.value.reason
    assert refusal.value.description


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_artifact_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"train\.py cannot be read: Permission denied"):
        propose(tmp_path, "chmod 0 train.py\n")


def test_words_that_cannot_be_run_are_refused_before_the_start(tmp_path: Path) -> None:
    plain_file = tmp_path / "plain"
    plain_file.write_text("x")
    for command, reason in (
        ("'", "cannot be split into words"),
        ("''", "no program"),
        ("env:ANTHROPIC_API_KEY", "no program"),
        ("env:OTHER x", "only env:ANTHROPIC_API_KEY is known"),
        ("no-such-program-here -p", "no-such-program-here: no such program"),
        (f"{tmp_path}/absent", "no such program"),
        (str(plain_file), r"is not executable; make it so with: chmod \+x"),
        ("env ANTHROPIC_API_KEY=sk-ant-0123456789 sh", "an API key stands in it"),
    ):
        with pytest.raises(UsageError, match=reason) as error:
            get(f"command:{command}", 0, {})
        assert "sk-ant" not in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="--model is for the agent claude"):
        CommandAgent("sh", {"model": "x"})
    for seconds in (0, -1, "60", True, float("nan"), 1e9):
        with pytest.raises(UsageError, match="--agent-seconds: must be a number of seconds above 0"):
            CommandAgent("sh", {"seconds": seconds})


def test_a_program_that_has_gone_or_cannot_be_started_is_the_users_to_mend(tmp_path: Path) -> None:
    path = script(tmp_path, "true\n")
    agent = CommandAgent(str(path), {})
    path.chmod(0o644)
    with pytest.raises(Unable, match="is not executable; make it so"):
        agent.propose(request(tmp_path, run := workspace(tmp_path / "ws")))
    path.unlink()
    with pytest.raises(Unable, match="no such program"):
        agent.propose(request(tmp_path, run))
    path.write_bytes(b"\x00\x01 neither a script nor a program")
    path.chmod(0o755)
    with pytest.raises(Unable, match="cannot be started: Exec format error") as trouble:
        agent.propose(request(tmp_path, run))
    assert "#!/usr/bin/env" in trouble.value.mend


def test_a_program_of_the_folder_it_was_typed_in_and_one_of_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path, BETTER, "mine.sh")
    monkeypatch.chdir(tmp_path)
    assert absolute("./mine.sh --x 'a b' {prompt}") == f"{path} --x 'a b' '{{prompt}}'"
    assert absolute("env:ANTHROPIC_API_KEY ./mine.sh") == f"env:ANTHROPIC_API_KEY {path}"
    for same in ("claude -p", "./tools/own.sh", "mine.sh", "'", ""):
        assert absolute(same) == same
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert absolute("../mine.sh") == str(path)
    assert CommandAgent("../mine.sh", {}).propose(request(tmp_path)).edits == {"train.py": EDITED}
    run = workspace(tmp_path / "ws", {"tools/own.sh": f"#!/bin/sh\n{BETTER}"})
    (tmp_path / "ws/tools/own.sh").chmod(0o755)
    git(tmp_path / "ws", "commit", "-qam", "executable")
    run = replace(run, base=git(tmp_path / "ws", "rev-parse", "HEAD").strip())
    proposal = CommandAgent("./tools/own.sh", {}).propose(request(tmp_path, run))
    assert proposal.edits == {"train.py": EDITED}
    assert proposal.description == "an edit by own.sh, which said nothing"
    with pytest.raises(Unable, match=r"absent\.sh: no such program in the task's folder"):
        CommandAgent("./tools/absent.sh", {}).propose(request(tmp_path, run))


def test_the_key_is_held_back_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key")
    monkeypatch.setenv("OTHER_KEY", "handed-on")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    run = workspace_without_git_dir(tmp_path, monkeypatch)
    path = script(tmp_path, f"env > {tmp_path}/env; {BETTER}")
    CommandAgent(str(path), {}).propose(request(tmp_path, run))
    seen = (tmp_path / "env").read_text()
    assert "canary-key" not in seen
    assert "ANTHROPIC_API_KEY" not in seen
    assert "OTHER_KEY=handed-on" in seen
    assert "GIT_DIR" not in seen
    CommandAgent(f"env:ANTHROPIC_API_KEY {path}", {}).propose(request(tmp_path, run))
    assert "ANTHROPIC_API_KEY=canary-key" in (tmp_path / "env").read_text()
    talks = script(tmp_path, f"env; env >&2; echo DESCRIPTION: $ANTHROPIC_API_KEY; {BETTER}", "talks")
    asked = request(tmp_path, run)
    proposal = CommandAgent(f"env:ANTHROPIC_API_KEY {talks}", {}).propose(asked)
    assert proposal.description == "[key]"
    assert "canary-key" not in repr((proposal, asked.desk.said))


def workspace_without_git_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A repository made while the variable is not there, for git would follow it."""
    with monkeypatch.context() as calm:
        calm.delenv("GIT_DIR")
        return workspace(tmp_path / "ws")


def test_what_it_says_it_cost_is_recorded(tmp_path: Path) -> None:
    result = {
        "type": "result", "subtype": "success", "is_error": False, "result": "Why.\nDESCRIPTION: lower rate",
        "total_cost_usd": 0.25, "usage": {"input_tokens": 10, "cache_read_input_tokens": 200, "output_tokens": 30},
    }  # fmt: skip
    asked = request(tmp_path)
    proposal = propose(tmp_path, f"{BETTER}cat <<'E'\n{json.dumps(result)}\nE\n", asked)
    assert (proposal.description, proposal.hypothesis) == ("lower rate", "Why.")
    assert proposal.details["dollars"] == 0.25
    assert proposal.details["tokens"] == 240
    assert asked.desk.reserved == [(proposal.details["agent"], 0, None)]
    ((usage, dollars),) = asked.desk.settled.values()
    assert (usage.tokens, dollars) == (240, 0.25)
