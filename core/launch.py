"""Start an engine: a process and a session of its own, which outlives whoever started it.

The engine reports on a pipe until its run is open: progress lines, then the run folder, or the error that stopped it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import platformdirs

from core import secrets
from core.backend_choice import BACKENDS, best_backend, known_backend, of_task, remembered
from core.errors import AutoresearchError, RunFailed, UsageError
from core.facts import fact

RUNS = ".autoresearch"


@fact
class Options:
    """What the user asked for. `resume` names the tag of a run that is to go on; most others then stay as recorded.

    experiments: proposals after the baseline; for `resume`, more of them, and 0: only further trials that were asked
        for. None: no limit (resume: the limit it had).
    agent_options: model, effort, prices, … of the agent; resume: those that change.
    max_dollars, max_tokens: what the agent may spend in all; None: no cap (resume: the one it had).
    approve: whether every proposal waits for the user's word. None: no (resume: as it was).
    again: for `resume` with experiments=0: finished experiments that are to have another trial, once for each mention.
    """

    workspace: str
    task: str | None = None
    tag: str | None = None
    backend: str | None = None
    device: str = "auto"
    agent: str = "search"
    seed: int = 0
    train_seconds: float | None = None
    experiments: int | None = None
    hours: float | None = None
    keep_checkpoints: bool = False
    approve: bool | None = None
    resume: str | None = None
    agent_options: Mapping[str, Any] = field(default_factory=dict)
    max_dollars: float | None = None
    max_tokens: int | None = None
    again: tuple[int, ...] = ()


def task_folder(root: Path, options: Options) -> str:
    """The folder of the task, relative to the workspace."""
    backend = options.backend
    known_backend(backend)  # or it raises
    if options.task is not None:
        path = (Path(options.workspace) / options.task).resolve()
        path = path.parent if path.name == "task.toml" else path
        if not path.is_relative_to(root):
            raise UsageError(f"--task {options.task}: lies outside the workspace {root}")
        its = of_task(path)
        if backend is not None and its not in (None, backend):
            raise UsageError(
                f"--task {options.task} is the {its} backend's, --backend {backend} is not; give one of them"
            )
        return "" if path == root else path.relative_to(root).as_posix()
    if backend is not None:
        return backend
    here = Path(options.workspace).resolve()
    if (here / "task.toml").is_file():
        return "" if here == root else here.relative_to(root).as_posix()
    if meant := remembered(root):
        return meant
    for name in (best_backend(), *BACKENDS):
        if (root / name / "task.toml").is_file():
            return name
    return ""


def launch(
    options: Options,
    progress: Callable[[str], None],
    born: Callable[[subprocess.Popen[bytes]], object] = lambda engine: None,
) -> Path:
    """Start the engine and wait until its run is open. Returns the run folder.

    `born` gets the engine's process at once: who waits in another thread calls it off by `terminate`, as Ctrl-C does.
    Raises what stopped it: UsageError (nothing was changed) or RunFailed.
    """
    with secrets.handed_over() as (key, environment), tempfile.TemporaryFile() as complaints:
        reading, writing = os.pipe()
        keys = [key] if key is not None else []
        engine = subprocess.Popen(
            [sys.executable, "-P", "-m", "core.engine", str(writing), json.dumps(asdict(options)), *map(str, keys)],
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            env=environment,
            pass_fds=(writing, *keys),
            start_new_session=True,
        )
        os.close(writing)
        born(engine)
        try:
            with open(reading, encoding="utf-8") as reports:
                for line in reports:
                    report = json.loads(line)
                    if "progress" in report:
                        progress(report["progress"])
                    elif "error" in report:
                        engine.wait()
                        raise _error(report["error"], report["exit_code"])
                    else:
                        threading.Thread(target=engine.wait, daemon=True).start()  # it goes on without us
                        return Path(report["run_folder"])
        except KeyboardInterrupt:
            engine.send_signal(signal.SIGTERM)
            raise
        engine.wait()
        complaints.seek(0)
        said = complaints.read().decode("utf-8", "replace").strip()
    raise RunFailed(f"the engine ended before its run was open (exit status {engine.returncode}): {said[-2000:]}")


def _error(message: str, exit_code: int) -> AutoresearchError:
    return UsageError(message) if exit_code == UsageError.exit_code else RunFailed(message)


def demo_folder() -> Path:
    """Where the demo keeps its workspace: in the user's data folder."""
    return Path(platformdirs.user_data_dir("autoresearch")) / "demo"


def runs(workspace: Path) -> list[Path]:
    """The run folders of a workspace, the one that was written to last at the end."""
    folders = [p.parent for p in (workspace / RUNS).glob("*/journal.jsonl")]
    return sorted(folders, key=lambda p: ((p / "journal.jsonl").stat().st_mtime_ns, p.name))


def find_run(workspace: Path, tag: str | None) -> Path:
    """The run of this tag, or the latest. Raises UsageError where there is none."""
    found = runs(workspace)
    if tag is None:
        if not found:
            there = "" if workspace.resolve() == Path.cwd() else f" --workspace {shlex.quote(str(workspace))}"
            begin = f"start one with: autoresearch run{there}, or: autoresearch demo"
            raise UsageError(f"{workspace}: no run here yet; {begin}")
        return found[-1]
    for folder in found:
        if folder.name == tag:
            return folder
    known = ", ".join(p.name for p in found) or "none"
    raise UsageError(f"{tag}: no such run in {workspace}; there are: {known}")


def command_for(run_folder: Path, words: str) -> str:
    """A command about this run, as it works typed in the current folder: `autoresearch approve nov20 --workspace …`."""
    root = run_folder.absolute().parent.parent
    elsewhere = run_folder.parent.name == RUNS and os.path.isdir(root) and find_workspace(Path.cwd()) != root.resolve()
    return f"autoresearch {words} {run_folder.name}" + (f" --workspace {shlex.quote(str(root))}" if elsewhere else "")


def back_command(run_folder: Path) -> str:
    """What comes back to this run's cockpit, typed in the current folder: `autoresearch`, where that means this one."""
    root, here = run_folder.absolute().parent.parent, find_workspace(Path.cwd())
    meant = demo_folder() if here is None else here
    return "autoresearch" if meant.resolve() == root.resolve() else f"cd {shlex.quote(str(root))} && autoresearch"


def resume_command(run_folder: Path) -> str:
    """What makes this run go on, typed in the current folder; empty where its folder lies in no repository."""
    folder = run_folder.absolute()
    if folder.parent.name != RUNS or not (folder.parent.parent / ".git").exists():
        return ""
    return command_for(folder, "resume")


def find_workspace(folder: Path) -> Path | None:
    """The nearest folder, this one or above it, that holds runs; None where there is none."""
    for place in (folder.resolve(), *folder.resolve().parents):
        if runs(place):
            return place
    return None
