"""`autoresearch tune`: the backend measures, we hold the device meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import click

from core.backend_choice import BACKENDS, known_backend, of_task, remembered
from core.errors import RunFailed, UsageError
from core.locks import lock_device
from tui.options import BACKEND, DEVICE
from tui.watch import INTERRUPTED

_PATIENCE_SECONDS = 15.0


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path), metavar="DIR", help="Whose train.py is tuned; here.")
@BACKEND
@DEVICE
@click.option(
    "--seconds",
    type=click.FloatRange(min=5, max=3600),
    default=120,
    show_default=True,
    metavar="S",
    help="About how long it may take in all.",
)
@click.option("--dry-run", is_flag=True, help="Measure, and leave train.py as it is.")
def tune(workspace: Path | None, backend: str | None, device: str, seconds: float, dry_run: bool) -> int:
    """Measure a few DEVICE_BATCH_SIZEs and write the fastest that fits into train.py."""
    folder, backend = _task_folder(workspace or Path.cwd(), backend)
    verb = [sys.executable, "-P", "-m", f"backends.{backend}"]
    name, lock = _device(verb, device)
    from core.sandbox import die_with_parent  # here: completing a command line does without it

    with lock_device(name, lock, "autoresearch tune") as held:
        words = ["tune", str(folder), "--device", name, "--seconds", str(seconds), *(["--dry-run"] if dry_run else [])]
        # The lock goes along: the device stays held for as long as the measurement lives.
        process = subprocess.Popen(
            [*verb, *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(held.fileno(),),
            start_new_session=True,  # a Ctrl-C reaches it once, from us
            preexec_fn=die_with_parent,
        )
        try:
            _, complaint = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            _end(process)
            click.echo("stopped; nothing was changed", err=True)
            return INTERRUPTED
    last = (complaint.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    if process.returncode == UsageError.exit_code:
        raise UsageError(last)
    if process.returncode:
        raise RunFailed(f"tune ended unexpectedly: {last}")
    return 0


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _task_folder(root: Path, backend: str | None) -> tuple[Path, str]:
    """The task's folder and its backend: this folder where it is one, else the backend's below it."""
    best = known_backend(backend)
    if (root / "task.toml").is_file():
        return root.absolute(), backend or of_task(root) or best
    for name in (backend,) if backend else (remembered(root) or best, *BACKENDS):
        if (root / name / "task.toml").is_file():
            return (root / name).absolute(), name
    mend = "name the workspace with --workspace, or make one with: autoresearch init"
    raise UsageError(f"{root.absolute()}: there is no task.toml; {mend}")


def _device(verb: list[str], wanted: str) -> tuple[str, str]:
    """The device's name and what it is locked by; as it was asked for where there is none, which the verb then says."""
    done = subprocess.run(
        [*verb, "check", "--json", "--fast"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    try:
        devices = json.loads(done.stdout)["devices"]
    except (ValueError, KeyError):
        raise RunFailed("the backend's check gave no answer; look with: autoresearch doctor") from None
    wanted = {"cuda:0": "cuda"}.get(wanted, wanted)
    for device in devices:
        if wanted in ("auto", device["name"]):
            return str(device["name"]), str(device["lock"])
    return wanted, wanted
