"""`autoresearch doctor`: what works on this machine, what is missing, and the mend."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import locale
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from core.control import cache_folder
from core.launch import find_workspace, runs

Finding = dict[str, Any]
State = Literal["ok", "note", "missing"]
_GLYPHS = {"ok": "●", "note": "·", "missing": "×"}
_LEAST_DISK_GB = 2.0


def examine(folder: Path) -> list[Finding]:
    """One finding a line: `what`, `state` ("ok", "note", "missing"), `found`, and a `mend` where there is one."""
    return [
        _finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *_backends(),
        _git(folder),
        _terminal(),
        _disk(),
        _finding("sandbox", "note", "none yet: a trial runs with your rights", "run only agents that you trust"),
        _runs(folder),
    ]


def text(findings: list[Finding]) -> str:
    """The findings for people."""
    lines = []
    for f in findings:
        lines.append(f"{_GLYPHS[f['state']]} {f['what']:<12} {f['found']}")
        if f["mend"]:
            lines.append(f"{'':<15}→ {f['mend']}")
    return "\n".join(lines)


def _finding(what: str, state: State, found: str, mend: str = "") -> Finding:
    return {"what": what, "state": state, "found": found, "mend": mend}


def _backends() -> list[Finding]:
    argv = [sys.executable, "-P", "-m", "backends.cuda", "check", "--json"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        said: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return [_finding("cuda", "missing", "its check gave no answer", "install again: pip install autoresearch-tui")]
    findings = [*_torch(said), *_problems(said), _data(said)]
    if importlib.util.find_spec("mlx") is None:
        findings.append(_finding("mlx", "note", "the mlx backend is not there yet"))
    else:
        version = importlib.metadata.version("mlx")
        findings.append(_finding("mlx", "note", f"mlx {version} is installed; the mlx backend is not there yet"))
    return findings


def _torch(said: dict[str, Any]) -> list[Finding]:
    if not said.get("torch"):
        return [_finding("cuda", "missing", "PyTorch is not installed", "pip install 'autoresearch-tui[torch]'")]
    findings = [_finding("cuda", "ok", f"PyTorch {said['torch']}")]
    for device in said.get("devices", []):
        memory = f", {device['memory_mb'] / 1024:.0f} GiB" if device.get("memory_mb") else ""
        findings.append(_finding("device", "ok", f"{device['name']}: {device.get('description', '')}{memory}"))
    return findings


def _problems(said: dict[str, Any]) -> list[Finding]:
    return [_finding("problem", "missing", str(p["what"]), str(p["mend"])) for p in said.get("problems", [])]


def _data(said: dict[str, Any]) -> Finding:
    data = said.get("data")
    found = f"{len(data)} prepared" if data else "none prepared yet: the first run does it"
    return _finding("data", "ok" if data else "note", f"{found} ({cache_folder()})")


def _git(folder: Path) -> Finding:
    if importlib.util.find_spec("pygit2") is None:
        return _finding("git", "missing", "pygit2 is not installed", "install again: pip install autoresearch-tui")
    version = importlib.metadata.version("pygit2")
    if shutil.which("git") is None:
        return _finding(
            "git", "note", f"pygit2 {version}; no git command", "install git to look at the branches by hand"
        )
    return _finding("git", "ok", f"pygit2 {version}")


def _terminal() -> Finding:
    size = shutil.get_terminal_size()
    encoding = locale.getpreferredencoding(False)
    found = f"{os.environ.get('TERM', 'no TERM')}, {size.columns}x{size.lines}, {encoding}"
    if not sys.stdout.isatty():
        return _finding("terminal", "note", f"{found}; not a terminal: plain lines are printed")
    if "utf" not in encoding.lower():
        return _finding("terminal", "note", found, "set a UTF-8 locale: export LANG=C.UTF-8")
    if size.columns < 80 or size.lines < 24:
        return _finding("terminal", "note", found, "the cockpit is made for 80x24 and more")
    return _finding("terminal", "ok", found)


def _disk() -> Finding:
    place = cache_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    if free < _LEAST_DISK_GB:
        return _finding("disk", "missing", f"{free:.1f} GiB free at {place}", f"free {_LEAST_DISK_GB:g} GiB there")
    return _finding("disk", "ok", f"{free:.0f} GiB free at {place}")


def _runs(folder: Path) -> Finding:
    workspace = find_workspace(folder)
    if workspace is None:
        return _finding("runs", "note", "none here", "autoresearch demo, or: autoresearch init and autoresearch run")
    tags = ", ".join(p.name for p in runs(workspace)[-3:])
    return _finding("runs", "ok", f"{len(runs(workspace))} in {workspace}, latest: {tags}")
