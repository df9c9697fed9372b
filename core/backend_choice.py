"""Which backend is meant: the one that is asked for, else the workspace's, else this machine's.

autoresearch.toml    at a workspace's root, made by `init --backend B` and committed: backend = "mlx"
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

from core.errors import UsageError

BACKENDS = ("cuda", "mlx")
FILE = "autoresearch.toml"
_TEXT = (
    '# What runs of this workspace take where nothing else is asked for.\nbackend = "{}"    # --backend overrules it\n'
)
_COMMAND = re.compile(r"-m backends\.(\w+) ")


def apple_silicon() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def best_backend() -> str:
    """The one for this machine: mlx on Apple Silicon; elsewhere cuda, for NVIDIA cards and for every CPU."""
    return "mlx" if apple_silicon() else "cuda"


def known_backend(name: str | None) -> str:
    """The backend of this name, None: the best for this machine. Raises UsageError for a name that is none."""
    if name is not None and name not in BACKENDS:
        raise UsageError(
            f"--backend {name}: no such backend; use cuda (PyTorch: NVIDIA, any CPU) or mlx (MLX: Apple Silicon)"
        )
    return name or best_backend()


def remember(workspace: Path, backend: str) -> None:
    """Write down that this workspace was made for this backend."""
    (workspace / FILE).write_text(_TEXT.format(backend), encoding="utf-8")


def remembered(workspace: Path) -> str | None:
    """The backend that a workspace was made for, None: whatever suits the machine. Raises UsageError."""
    import tomllib  # here: the cockpit does without it

    path = workspace / FILE
    try:
        backend = tomllib.loads(path.read_text(encoding="utf-8")).get("backend")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    if backend is not None and backend not in BACKENDS:
        raise UsageError(f"{path}: backend = {backend!r}: no such backend; use {' or '.join(BACKENDS)}")
    return backend


def of_task(folder: Path) -> str | None:
    """The backend that the commands of a task belong to; None for a task of the user's own."""
    try:
        found = _COMMAND.search((folder / "task.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found[1] if found and found[1] in BACKENDS else None
