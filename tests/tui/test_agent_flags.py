"""The flags about the agent, as a user types them: what is refused, what goes with a run, what a dry run prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import autoresearch, ended, kill_engine, until

from core.control import alive
from tui import report

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
WORDS = "RATE is all there is: improve the loss.\n"


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keyring.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--agent", "claude"], "no API key: export ANTHROPIC_API_KEY=…"),
        (["--agent", "oracle"], "--agent oracle: no such agent; use search, claude, command:"),
        (["--agent", "search", "--model", "m"], "--model is for --agent claude, or hybrid; search has no use for it"),
        (["--agent", "command:cat", "--price", "1/2"], "--price is for --agent claude, or hybrid"),
        (["--agent", "command:cat", "--model", "m"], "write it into the command"),
        (["--agent", "claude", "--agent-seconds", "5"], "--agent-seconds is for --agent a command"),
        (["--agent", "command:cat", "--max-dollars", "1"], "what a command will cost is not known"),
        (["--agent", "hybrid:command:cat", "--max-dollars", "1"], "what a command will cost is not known"),
        (["--agent", "hybrid", "--model", "nobody", "--max-dollars", "1"], "the price of nobody is not known; give"),
        (["--max-dollars", "3"], "the agent search spends nothing, so it needs no cap; leave it out"),
        (["--agent", "claude", "--max-dollars", "0.05", "--dry-run"], "no call fits into $0.05; an answer of claude-"),
        (["--agent", "claude", "--max-tokens", "9999", "--dry-run"], "no call fits into 9,999 tokens; an answer alone"),
        (["--price", "3"], "is not IN/OUT in dollars"),
        (["--price", "a/b"], "is not IN/OUT in dollars"),
        (["--price", "-1/3"], "is not IN/OUT in dollars"),
        (["--price", "nan/3"], "is not IN/OUT in dollars"),
        (["--max-dollars", "0"], "--max-dollars"),
        (["--max-tokens", "-5"], "--max-tokens"),
        (["--agent", "claude", "--effort", "heroic", "--dry-run"], "--effort heroic: no such effort; use low"),
        (["--dry-run"], "the agent search asks no model, so it has no prompt"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(words: list[str], said: str, toy: Path) -> None:
    done = autoresearch("run", "--plain", *words, cwd=toy)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in " ".join(done.stderr.split())
    assert not (toy / ".autoresearch").exists()


def test_a_dry_run_prints_the_first_prompt_and_its_price_and_starts_nothing(toy: Path) -> None:
    task = toy / "task.toml"
    task.write_text(task.read_text().replace('name = "toy"', 'name = "toy"\nprogram = "program.md"'))
    (toy / "program.md").write_text(WORDS)
    words = ["run", "--agent", "claude", "--max-dollars", "2.5", "--dry-run"]
    done = autoresearch(*words, cwd=toy)
    assert done.returncode == 0, done.stderr
    assert WORDS.strip() in done.stdout
    assert "RATE = 0.5" in done.stdout
    said = " ".join(done.stderr.split())
    assert "the first prompt to claude-" in said
    assert "tokens and $" in said
    assert "before it can have cost more than $2.50" in said
    assert "nothing was started" in said
    assert not (toy / ".autoresearch").exists()
    small = autoresearch("run", "--agent", "claude", "--max-dollars", "0.66", "--dry-run", cwd=toy)  # an answer: 0.64
    assert "no call fits into $0.66: not one would be made" in small.stderr
    assert "before it can have cost" not in small.stderr
    unpriced = autoresearch("run", "--agent", "claude", "--model", "nobody", "--dry-run", cwd=toy)
    assert "the price is not known: --price IN/OUT" in unpriced.stderr
    priced = autoresearch("run", "--agent", "claude", "--model", "nobody", "--price", "1/2", "--dry-run", cwd=toy)
    assert "tokens and $0.0" in priced.stderr
    command = autoresearch("run", "--agent", "command:cat", "--dry-run", cwd=toy)
    assert "You are a researcher" in command.stdout
    assert "not known before it has run" in command.stderr


def test_flags_go_with_the_run_and_resume_changes_those_it_is_given(toy: Path) -> None:
    """A server of one's own that is not there: the agent waits, and what was told is in the journal."""
    address = "http://127.0.0.1:9"
    words = ["--model", "m", "--price", "1/2", "--max-dollars", "3", "--max-tokens", "100000"]
    folder = toy / ".autoresearch" / "t"
    with pytest.MonkeyPatch.context() as here:
        here.setenv("ANTHROPIC_BASE_URL", address)
        here.setenv("ANTHROPIC_API_KEY", "sk-canary")
        limits = ["--experiments", "0", "--tag", "t"]
        assert autoresearch("run", "--plain", "--agent", "claude", *words, *limits, cwd=toy).returncode == 0
    ended(folder)
    h = report.history(folder)
    told = {"model": "m", "price_in": 1.0, "price_out": 2.0, "base_url": address}
    assert h.engine is not None
    assert (h.engine.agent_options, h.engine.max_dollars, h.engine.max_tokens) == (told, 3.0, 100_000)
    refused = autoresearch("resume", "--plain", "--max-dollars", "4", cwd=toy)
    assert "has done its 0 experiments" in refused.stderr
    with pytest.MonkeyPatch.context() as here:
        here.setenv("ANTHROPIC_BASE_URL", address)
        here.setenv("ANTHROPIC_API_KEY", "sk-canary")
        argv = [AUTORESEARCH, "resume", "--plain", "--max-dollars", "4", "--effort", "low", "--experiments", "5"]
        with subprocess.Popen(argv, cwd=toy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as viewer:
            until(lambda: report.history(folder).waits is not None)  # nobody answers there
            living = autoresearch("resume", "--max-tokens", "7", cwd=toy)
            kill_engine(folder)
            assert viewer.wait(30) == 1
    assert "its limits can be changed when it has stopped" in living.stderr
    assert not alive(folder)
    h = report.history(folder)
    assert h.engine is not None
    assert (h.engine.agent_options, h.engine.max_dollars) == ({**told, "effort": "low"}, 4.0)
    assert h.engine.max_tokens == 100_000
    assert "sk-canary" not in (folder / "journal.jsonl").read_text()
