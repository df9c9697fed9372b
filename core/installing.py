"""The command that adds to this installation what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.backend_choice import apple_silicon

_NAME = "autoresearch-tui"


def command(extra: str) -> str:
    """`pip install …` with this extra of ours, from where this installation came: a checkout's folder, a file, or a
    name. It works in any folder, in the environment that this runs in."""
    import importlib.metadata  # here: the cockpit does without it

    try:
        told = importlib.metadata.distribution(_NAME).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        told = None
    return f"pip install {_source(json.loads(told) if told else {}, extra)}"


def for_backend(backend: str) -> str:
    """The command that brings what a backend runs on, in its build for this machine."""
    if backend == "cuda":
        return command("torch")
    nvidia = Path("/proc/driver/nvidia").exists()
    return command("mlx" if apple_silicon() else "mlx-cuda" if nvidia else "mlx-cpu")


def _source(told: dict[str, object], extra: str) -> str:
    """What pip is to install. `told`: direct_url.json, https://packaging.python.org/specifications/direct-url/."""
    url = str(told.get("url", ""))
    folder = told.get("dir_info")
    path = unquote(urlsplit(url).path)
    if url.startswith("file:") and Path(path).exists():
        editable = "-e " if isinstance(folder, dict) and folder.get("editable") else ""
        return f"{editable}'{path}[{extra}]'"
    version_control = told.get("vcs_info")
    if isinstance(version_control, dict):
        return f"'{_NAME}[{extra}] @ {version_control.get('vcs')}+{url}'"
    return f"'{_NAME}[{extra}]'" if not told else f"'.[{extra}]' in a checkout of autoresearch"
