"""Make a workspace: program.md and a task folder for each backend, committed, in a repository of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from core.backend_choice import BACKENDS, FILE, known_backend, remember
from core.errors import UsageError
from core.log import plain
from core.workspace import create

BAD_INPUT = 2


def packaged(name: str) -> Path:
    """A file that ships with the app: in the package in a wheel, at the repository's root in an editable install."""
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{name}: not found in this installation; install autoresearch-tui again")


def scaffold(
    folder: Path,
    backend: str | None,
    profile: str,
    device: str = "auto",
    dataset: str | None = None,
    shards: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    lasting: bool = False,
) -> str:
    """Make a workspace in an empty or new folder, whole or not at all. Returns the commit's id. Raises UsageError.

    backend: whose profile and device these are, and which must work here; None: the best for this machine. The others
    get the sizes of what they find here, or of a machine they are made for.
    dataset: a name, or an absolute path; None: what goes with the profile. `say` gets a line on what was chosen.
    lasting: a backend that is named here is the workspace's from now on.
    """
    named = backend if lasting else None
    backend = known_backend(backend)
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        mend = "name a new or empty folder; for a task of your own in this one: autoresearch init --own"
        raise UsageError(f"{folder}: not empty; {mend}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            made = Path(scratch) / "workspace"
            made.mkdir()
            shutil.copyfile(packaged("program.md"), made / "program.md")
            text = {"--dataset": dataset, "--shards": shards}
            wanted = {"--profile": profile, "--device": device, **text}
            chosen = _scaffold_backend(made / backend, backend, wanted)
            elsewhere = {"--profile": profile if profile in ("demo", "cpu") else None, **text}
            for other in BACKENDS:
                if other != backend:
                    chosen += _scaffold_backend(made / other, other, elsewhere, "--elsewhere")
            if named is not None:
                remember(made, named)
                chosen += f"{FILE}: runs here take the {named} backend; --backend overrules it\n"
            commit = create(made, "autoresearch: a new workspace")
            if folder.exists():
                folder.rmdir()
            os.replace(made, folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror or error}") from None
    for line in [*chosen.splitlines(), *_apart(chosen)]:
        say(plain(line))
    return commit


def _apart(chosen: str) -> list[str]:
    """Says so where the backends were given different texts."""
    texts = dict(re.findall(r"^(\w+): profile .*; text: (.*)$", chosen, re.MULTILINE))
    if len(set(texts.values())) < 2:
        return []
    which = ", ".join(f"{backend} on {text}" for backend, text in texts.items())
    return [f"{which}: scores of different texts do not compare; --dataset D gives them the same"]


def _scaffold_backend(folder: Path, backend: str, options: Mapping[str, str | int | None], *flags: str) -> str:
    argv = [sys.executable, "-P", "-m", f"backends.{backend}", "scaffold", str(folder), *flags]
    argv += [word for name, value in options.items() if value is not None for word in (name, str(value))]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UsageError(said[-1].removeprefix("autoresearch: "))
    return done.stdout
