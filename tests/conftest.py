"""What every test gets: caches and data of its own, and runs that do not outlive it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from core import control
from core.events import EngineStarted, TrialStarted
from core.history import History, fold
from core.journal import read
from core.launch import Options, launch
from core.scaffold import scaffold

TOY_TASK = """\
[task]
name = "toy"
artifact = ["train.py"]
[commands]
train = "{python} -P train.py"
[metric]
name = "loss"
pattern = '^loss: (\\S+)'
[budget]
train_seconds = 5
timeout_seconds = 20
"""
TOY_SOURCE = 'RATE = 0.5\nprint("loss:", (RATE - 0.3) ** 2)\n'
RATES = {"better": "0.4", "worse": "0.9", "crash": "1 / 0", "better still": "0.35"}


# No test fails for the slowness of the machine it runs on.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Started in the background by a shell, all that we start would ignore ctrl+c."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches, locks and data folders of this test alone, so that tests can run beside a real run."""
    for name in ("COLUMNS", "LINES"):  # readline sets them in pytest, and its workers inherit them
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A workspace with a task that takes a moment: its metric is (RATE - 0.3)², printed by the artifact."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "task.toml").write_text(TOY_TASK)
    (folder / "train.py").write_text(TOY_SOURCE)
    commit_all(folder)
    return folder


@pytest.fixture(scope="session")
def prepared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place that keeps the rows of the first test here for the others."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def demo_folders(tmp_path: Path, prepared_cache: Path):
    """This test's cache, with the rows in it if an earlier test has packed them."""
    rows = tmp_path / "cache" / "autoresearch" / "rows"
    if (prepared_cache / "rows").exists():
        shutil.copytree(prepared_cache / "rows", rows)
    yield tmp_path
    if rows.exists() and not (prepared_cache / "rows").exists():
        shutil.copytree(rows, prepared_cache / "rows")


@pytest.fixture
def reference(demo_folders: Path) -> Path:
    """A workspace with the reference task for this CPU, scored on an eighth of the profile's tokens."""
    workspace = demo_folders / "w"
    scaffold(workspace, "cuda", "cpu")
    with (workspace / "cuda/task.toml").open("a") as task:
        task.write("eval_tokens = 16384\n")  # 64 rows: every one is audited twice
    commit_all(workspace)
    return workspace


@pytest.fixture
def engines() -> Iterator[Callable[[Options], Path]]:
    """Launches engines and ends those that are left."""
    folders: list[Path] = []

    def start(options: Options) -> Path:
        folders.append(launch(options, lambda line: None))
        return folders[-1]

    yield start
    for folder in folders:
        kill_engine(folder)


def git(folder: Path, *words: str) -> str:
    """What git prints; a failure of git's fails the test."""
    names = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit_all(folder: Path) -> str:
    """Commit everything in a folder, making it a repository first where it is none. Returns the commit's id."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    return git(folder, "rev-parse", "HEAD").strip()


def until(what: Callable[[], bool], limit: float = 60.0) -> None:
    """Wait until something is so; fails after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def lives(pid: int) -> bool:
    """Whether this process is there and has not ended; it may do so while it is looked at."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def kill_engine(folder: Path) -> None:
    """kill -9 the engine of a run, if one is alive, and wait until it is gone."""
    if control.alive(folder):
        pid = int((folder / "engine.lock").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not control.alive(folder))


def history(folder: Path) -> History:
    return fold(read(folder / "journal.jsonl"))


def lost_one(folder: Path) -> bool:
    """Whether an engine was lost in the trial under way: with another it is a crash, where a test wants its score.

    An engine that has just come has not called the trial void yet that it found open.
    """
    events = [event for event, _ in read(folder / "journal.jsonl")]
    p = fold((event, 0.0) for event in events).pending
    starts = [event for event in events if isinstance(event, EngineStarted | TrialStarted)]
    found_open = p is not None and p.trial_open and isinstance(starts[-1], EngineStarted)
    return found_open or (p is not None and p.engines_lost > 0)


def ended(folder: Path, limit: float = 60.0) -> History:
    """The history of a run once its engine has left."""
    until(lambda: not control.alive(folder), limit)
    return history(folder)


def rates_agent(toy: Path, rates: Mapping[str, str] = RATES) -> str:
    """A `scripted:` agent that proposes these rates to the toy task, whatever became of the ones before."""
    steps = [{"description": d, "edits": {"train.py": TOY_SOURCE.replace("0.5", rate)}} for d, rate in rates.items()]
    path = toy.parent / "rates.jsonl"
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return f"scripted:{path}"


def waits(folder: Path, number: int) -> None:
    """Wait until the proposal of this number waits for the user's word."""
    until(lambda: (p := history(folder).waiting) is not None and p.number == number)


def autoresearch(*words: str, cwd: Path, limit: float = 60.0) -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    argv = [str(Path(sys.executable).parent / "autoresearch"), *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
