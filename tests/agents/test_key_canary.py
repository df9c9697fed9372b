"""The API key is nowhere but in the engine's memory and in the header of its calls: looked for in every process that an
engine starts, its own included, and in every file that a run leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import TOY_TASK, autoresearch, commit_all, ended, git, history, kill_engine, until
from messages_server import MessagesServer, edit_and_submit, reply, status, submit

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
KEY = "sk-ant-api03-canary-0a1b2c3d4e5f60718293a4b5c6d7e8f9"
PRYING = """\
import os, sys
RATE = 0.5
for pid in (os.getpid(), os.getppid()):
    for what in ("environ", "cmdline"):
        print(pid, what, open(f"/proc/{pid}/{what}", "rb").read().decode(errors="replace").replace("\\0", " "))
print("loss:", (RATE - 0.3) ** 2)
"""
PREPARE = """\
import json, os, sys
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
print("prepare sees", dict(os.environ), flush=True)
print("", flush=True)
json.dump({"device": "cpu", "settings": {}, "fingerprint": "x"}, open(told["answer"], "w"))
"""

BUG = """\
import sys
if "core.engine" in sys.orig_argv:
    import core.agents.claude
    def fail(*given): raise ZeroDivisionError("a bug")
    core.agents.claude.prompt = fail
"""


@pytest.fixture
def prying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose task prints what it can see of its own process and of the engine's."""
    for name in ("HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "task.toml").write_text(
        TOY_TASK.replace("[commands]\n", '[commands]\nprepare = "{python} -P prepare.py"\n')
    )
    (root / "train.py").write_text(PRYING)
    (root / "prepare.py").write_text(PREPARE)
    commit_all(root)
    yield root
    for journal in root.glob(".autoresearch/*/journal.jsonl"):
        kill_engine(journal.parent)


class Watch:
    """Looks at the engine and at everything below it, again and again. `seen`: command lines; `caught`: those with the
    key in them or in their environment."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._over = folder, threading.Event()
        self.seen: set[str] = set()
        self.caught: set[str] = set()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            for process in self._processes():
                try:
                    words = " ".join(process.cmdline())
                    about = words + " ".join(f"{k}={v}" for k, v in process.environ().items())
                except psutil.Error:
                    continue
                self.seen.add(words)
                if KEY in about:
                    self.caught.add(words)

    def _processes(self) -> list[psutil.Process]:
        try:
            engine = psutil.Process(int((self._folder / "engine.lock").read_text().split()[0]))
            return [engine, *engine.children(recursive=True)]
        except (OSError, ValueError, IndexError, psutil.Error):
            return []

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    watch = Watch(folder)
    try:
        yield watch
    finally:
        watch.end()


def files_with_the_key(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and KEY.encode() in p.read_bytes()]


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    for argv, env in ((sleeps, {"X": KEY}), ([*sleeps, KEY], {})):
        process = subprocess.Popen(argv, env=env)
        (tmp_path / "engine.lock").write_text(str(process.pid))
        with watching(tmp_path) as watch:
            until(lambda watch=watch: bool(watch.caught))
        process.kill()
        process.wait()
    (tmp_path / "file").write_text(f"x{KEY}x")
    assert files_with_the_key(tmp_path) == [tmp_path / "file"]


def test_the_key_is_in_no_process_no_file_and_no_prompt(prying: Path, tmp_path: Path) -> None:
    steps = [
        edit_and_submit("RATE = 0.5", "RATE = 0.4", "0.5 to 0.4"),
        edit_and_submit("RATE = 0.4", "RATE = 1 / 0", "divide"),  # crashes
        reply(submit("nothing")),  # the repair: nothing was edited
        reply(submit("nothing")),
        status(529, f"Overloaded, and you said {KEY}", retry_after="0.1"),
        status(401, f"invalid x-api-key: {KEY}", "authentication_error"),
    ]
    folder = prying / ".autoresearch" / "t"
    with MessagesServer(steps) as server, watching(folder) as watch:
        words = ["run", "--plain", "--tag", "t", "--agent", "claude", "--max-dollars", "9"]
        env = {**os.environ, "ANTHROPIC_BASE_URL": server.url}
        with open(tmp_path / "printed", "wb") as printed:
            viewer = subprocess.Popen([AUTORESEARCH, *words], cwd=prying, env=env, stdout=printed, stderr=printed)
        until(lambda: (folder / "journal.jsonl").exists() and history(folder).paused is not None, 90)
        assert autoresearch("stop", "--now", "t", cwd=prying).returncode == 0
        h = ended(folder)
        assert viewer.wait(30) == 0
        assert set(server.keys) == {KEY}, "it was called with it"
        prompts = json.dumps(server.requests)
    assert h.ended is not None
    assert h.ended.reason == "stopped"
    said = (tmp_path / "printed").read_text()
    assert "paused: " in said
    assert "401" in said
    assert any("core.engine" in words for words in watch.seen)
    assert any("train.py" in words for words in watch.seen)
    assert not watch.caught
    seen = (folder / "trials" / "0-1" / "log").read_text()
    assert "cmdline" in seen
    assert "core.engine" in seen, "the trial saw the engine's command line"
    assert "PATH=" in seen
    assert KEY not in prompts
    assert not files_with_the_key(tmp_path)
    objects = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=prying, capture_output=True, check=True
    ).stdout
    assert b"RATE = 0.4" in objects
    assert KEY.encode() not in objects
    assert KEY not in git(prying, "log", "--all", "--format=%B")


def test_an_engine_that_fails_tells_its_key_to_nobody(prying: Path, tmp_path: Path) -> None:
    """A bug of ours: the traceback goes into engine.log."""
    (tmp_path / "sitecustomize.py").write_text(BUG)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [AUTORESEARCH, "run", "--plain", "--tag", "t", "--agent", "claude"]
    done = subprocess.run(words, cwd=prying, env=env, capture_output=True, text=True, timeout=90)
    folder = prying / ".autoresearch" / "t"
    log = (folder / "engine.log").read_text()
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in log
    assert KEY not in done.stdout + done.stderr
    (tmp_path / "sitecustomize.py").unlink()
    assert not files_with_the_key(tmp_path)
