"""Whole experiments with the agent `claude`: a real engine, and a real server that says what a model would."""

from __future__ import annotations

import json
import os
import random
import re
import threading
from pathlib import Path

import psutil
import pytest
from conftest import autoresearch, ended, git, history, kill_engine, lost_one, until
from messages_server import MessagesServer, cut, edit, edit_and_submit, hang, reply, status, submit, text, thought, tool

from core import control
from core.agents.prices import DEFAULT_MODEL
from core.journal import read
from core.launch import Options

KEY = "sk-ant-api03-canary-7f3e9d1c5b"
LOOK = reply(tool("read_file", path="train.py"))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def options(toy: Path, server: MessagesServer, **more) -> Options:
    given = {"experiments": 3, "max_dollars": 20.0, "tag": "t", **more}
    return Options(str(toy), agent="claude", agent_options={"base_url": server.url}, **given)


def climbing(body: dict) -> object:
    """A model that takes one step from whatever it is shown."""
    shown = body["messages"][0]["content"]
    rate = float(re.search(r"RATE = ([\d.]+)", "".join(b["text"] for b in shown))[1])
    return edit_and_submit(f"RATE = {rate:g}", f"RATE = {rate - 0.01:g}", f"RATE {rate:g} → {rate - 0.01:g}")


def types(folder: Path) -> list[str]:
    return [type(event).__name__ for event, _ in read(folder / "journal.jsonl")]


def charged_and_counted(folder: Path, server: MessagesServer) -> tuple[float, float]:
    return server.dollars(4, 20), history(folder).spent.worst_dollars


def test_experiments_with_everything_that_can_come_between(toy, engines):
    steps = [
        status(529, "Overloaded", retry_after="0.1"),
        cut(edit_and_submit("0.5", "0.1"), 7),
        reply(tool("note", text="0.3 may be the place"), edit("0.5", "0.4")),
        reply(submit("0.5 to 0.4")),  # 1: kept
        reply(text("x"), stop="refusal"),
        reply(edit("0.4", "0.1"), stop="max_tokens"),
        edit_and_submit("RATE = 0.4", "RATE = 1 / 0", "divide"),  # 2: crashes
        edit_and_submit("1 / 0", "[][1]", "no division"),  # 2, first repair: crashes
        edit_and_submit("[][1]", "0.35", "no list"),  # 2, second repair: kept
        reply(edit("0.35", "0.34"), edit("0.34", "0.4"), submit("back to what was")),  # a duplicate: said at once
        reply(edit(None, 'print("loss: 7")\n'), submit("print it")),  # 3: discarded
    ]
    with MessagesServer(steps) as server:
        folder = engines(options(toy, server))
        h = ended(folder)
        assert server.keys == [KEY] * len(steps)
        charged, counted = charged_and_counted(folder, server)
    assert h.ended.reason == "done"
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep", "keep", "discard"]
    assert [e.description for e in h.experiments[1:]] == ["0.5 to 0.4", "no list", "print it"]
    assert [r.reason.split(":")[0] for r in h.experiments[2].repairs] == ["ZeroDivisionError", "IndexError"]
    for suffix in ("2", "2-r1", "2-r2"):
        assert git(toy, "rev-parse", f"refs/autoresearch/t/{suffix}").strip()
    assert git(toy, "show", "autoresearch/t:train.py").startswith("RATE = 0.35\n")
    assert charged <= counted
    assert [note.text for note in h.memory] == ["0.3 may be the place"]
    assert "declined" in "".join(
        e.reason for e, _ in read(folder / "journal.jsonl") if type(e).__name__ == "ProposalRefused"
    )
    assert "had this very source" in server.results(-1)[-1][1]
    repair = json.dumps(server.told(7), ensure_ascii=False)
    assert "ZeroDivisionError: division by zero" in repair
    assert "0.3 may be the place" in json.dumps(server.told(4))
    assert all(e.details["agent"] == "claude" and e.details["dollars"] > 0 for e in h.experiments[1:])
    assert "[529 overloaded]" in (folder / "agent/1.log").read_text()
    assert not list((folder / "agent").glob("*.turns.jsonl"))


def test_the_cap_ends_the_run_and_a_higher_one_lets_it_go_on(toy, engines):
    with MessagesServer([], default=climbing) as server:
        folder = engines(options(toy, server, experiments=None, max_dollars=0.75))
        h = ended(folder)
        assert h.ended.reason == "done"
        assert "the cap is $0.75" in h.ended.message
        assert "--max-dollars" in h.ended.message
        first = len(h.experiments)
        assert first > 2
        charged, counted = charged_and_counted(folder, server)
        assert charged <= counted <= 0.75
        refused = autoresearch("resume", "t", cwd=toy)
        assert "the cap is $0.75" in refused.stdout + refused.stderr
        engines(options(toy, server, experiments=None, max_dollars=0.8, resume="t"))
        h = ended(folder)
        assert len(h.experiments) > first
        charged, counted = charged_and_counted(folder, server)
        assert charged <= counted <= 0.8


def test_a_kill_in_mid_answer_counts_as_reserved_and_asks_only_for_what_was_lost(toy, engines):
    cut_off = hang(edit_and_submit("0.5", "0.4"), 6)
    with MessagesServer([LOOK, cut_off, reply(tool("note", text="so")), cut_off], default=climbing) as server:
        folder = engines(options(toy, server, experiments=1))
        until(lambda: len(server.requests) == 2)
        until(lambda: "CallSettled" in types(folder))
        kill_engine(folder)
        assert history(folder).spent.open  # between reservation and settlement
        with open(folder / "agent/1.turns.jsonl", "ab") as turns:
            turns.write(b'{"turn": {"answer": {"conte')  # torn by the kill
        engines(options(toy, server, experiments=1, resume="t"))
        until(lambda: len(server.requests) == 4)
        until(lambda: types(folder).count("CallSettled") == 2)
        kill_engine(folder)
        engines(options(toy, server, experiments=1, resume="t"))
        h = ended(folder)
        assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep"]
        assert len(server.requests) == 5
        assert server.told(2) == server.told(1)  # no answer was asked for again
        assert server.told(4)[1:] == server.told(3)[1:]
        assert h.experiments[1].details["calls"] == 3
        assert [note.text for note in h.memory] == ["so"]
        charged, counted = charged_and_counted(folder, server)
        assert charged <= counted
        assert len(h.spent.open) == 2


def test_kills_at_random_moments_lose_nothing_and_pay_nothing_twice(toy, engines):
    """Each proposal takes two answers, so kills fall before, within and between them, and into trials."""
    chance, count, kills = random.Random(1), 8, 0

    def two_turns(body):
        return (
            climbing(body) if len(body["messages"]) > 1 else reply(thought("Hm."), tool("read_file", path="train.py"))
        )

    with MessagesServer([], default=two_turns) as server:
        folder = engines(options(toy, server, experiments=count, max_dollars=500.0))
        while history(folder).ended is None and kills < 15:
            until(lambda: not lost_one(folder))
            threading.Event().wait(chance.uniform(0.0, 0.8))
            kill_engine(folder)
            kills += 1
            engines(options(toy, server, resume="t", experiments=None, max_dollars=None))
        h = ended(folder)
        charged, counted = charged_and_counted(folder, server)
        assert kills > 3
        assert [e.number for e in h.experiments] == list(range(count + 1))
        assert all(e.details["calls"] == 2 for e in h.experiments[1:])
        assert [e.verdict.outcome for e in h.experiments] == ["keep"] * (count + 1)
        answers = sum(1 for name in types(folder) if name == "CallSettled")
        assert answers == 2 * count  # no proposal was paid twice
        assert len(server.requests) - answers <= len(h.spent.open) <= kills
        assert charged <= counted


def test_a_kill_before_settlement_settles_what_was_kept(toy, engines):
    with MessagesServer([edit_and_submit("0.5", "0.4")], default=climbing) as server:
        folder = engines(options(toy, server, experiments=1))
        ended(folder)
        lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
        settled = next(k for k, line in enumerate(lines) if '"CallSettled"' in line)
        reserved = next(json.loads(line) for line in lines if '"CallReserved"' in line)
        (folder / "journal.jsonl").write_text("".join(lines[:settled]))  # as the disk was at the kill
        git(toy, "update-ref", "refs/heads/autoresearch/t", "HEAD")
        answer = {
            "content": [{"type": "tool_use", "id": "a", "name": "edit",
                         "input": {"path": "train.py", "old_text": "0.5", "new_text": "0.4"}},
                        {"type": "tool_use", "id": "b", "name": "submit",
                         "input": {"description": "kept", "hypothesis": "h"}}],
            "stop_reason": "tool_use", "usage": {"input": 10, "cache_read": 0, "cache_write": 0, "output": 20},
            "hour_writes": 0, "unreadable": [], "refusal": "", "counted": True,
        }  # fmt: skip
        turn = {"turn": {"answer": answer, "call": reserved["call"], "dollars": 0.00044, "model": DEFAULT_MODEL}}
        (folder / "agent/1.turns.jsonl").write_text(json.dumps(turn) + "\n")
        asked = len(server.requests)
        engines(options(toy, server, experiments=1, resume="t"))
        h = ended(folder)
        assert h.experiments[1].description == "kept"
        assert len(server.requests) == asked
        assert (h.spent.dollars, h.spent.tokens, h.spent.open) == (0.00044, 30, {})


def test_a_retry_after_of_a_day_is_shown_and_capped(toy, engines):
    with MessagesServer([status(429, "Slow down", retry_after="86400")], default=climbing) as server:
        folder = engines(options(toy, server))
        until(lambda: history(folder).waits is not None)
        waits = history(folder).waits
        assert waits.seconds == 300
        assert waits.reason == "429 rate limit: Slow down; the server asks for 24 h, tried again sooner"
        control.send(folder, "stop-now")
        h = ended(folder, 10)
        assert h.ended.reason == "stopped"
        engines(options(toy, server, experiments=1, resume="t"))
        assert len(ended(folder).experiments) == 2


def test_a_wrong_key_pauses_the_run_with_its_mend_and_resume_asks_again(toy, engines):
    with MessagesServer([status(401, "invalid x-api-key")], default=climbing) as server:
        folder = engines(options(toy, server, experiments=1))
        until(lambda: history(folder).paused is not None)
        paused = history(folder).paused
        assert "401 wrong API key: invalid x-api-key" in paused.reason
        assert "autoresearch key set" in paused.mend
        control.send(folder, "resume")
        h = ended(folder)
    assert len(h.experiments) == 2
    assert h.refused == 0


def test_stopping_at_once_in_mid_answer_is_quick(toy, engines):
    with MessagesServer([hang(edit_and_submit("0.5", "0.4"), 5)], default=climbing) as server:
        folder = engines(options(toy, server))
        until(lambda: len(server.requests) == 1)
        control.send(folder, "stop-now")
        assert ended(folder, 10).ended.reason == "stopped"


def test_the_key_is_in_no_file_and_no_process(toy, engines, tmp_path):
    seen: list[str] = []

    def look(body):
        engine = int((toy / ".autoresearch/t/engine.lock").read_text().split()[0])
        family = [psutil.Process(engine), *psutil.Process(engine).children(recursive=True)]
        seen.extend(" ".join(p.cmdline()) + json.dumps(p.environ()) for p in family)
        return climbing(body)

    echo = status(401, f"invalid x-api-key: {KEY}")
    with MessagesServer([echo, status(500, KEY), look], default=climbing) as server:
        folder = engines(options(toy, server, experiments=2))
        until(lambda: history(folder).paused is not None)
        control.send(folder, "resume")
        ended(folder)
        assert set(server.keys) == {KEY}
        assert KEY not in json.dumps(server.requests)
    assert seen
    assert not [process for process in seen if KEY in process]
    files = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_symlink()]
    assert len(files) > 10
    assert not [p for p in files if KEY.encode() in p.read_bytes()]
    assert "[key]" in (folder / "journal.jsonl").read_text()


def test_nothing_is_left_after_many_experiments(toy, engines):
    count = 15
    with MessagesServer([], default=climbing) as server:
        folder = engines(options(toy, server, experiments=count, max_dollars=None))
        until(lambda: history(folder).count("keep") >= 3)
        engine = psutil.Process(int((folder / "engine.lock").read_text().split()[0]))
        descriptors, threads = engine.num_fds(), engine.num_threads()
        until(lambda: history(folder).count("keep") >= count - 2)
        assert engine.num_fds() <= descriptors + 4
        assert engine.num_threads() <= threads + 2
        h = ended(folder)
        assert len(server.requests) == count
    assert [e.verdict.outcome for e in h.experiments].count("keep") > count - 2
    assert not [p for p in os.listdir(folder / "agent") if p.endswith(".jsonl")]
