"""`autoresearch doctor`: what works on this machine, what is missing, and the mend."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Literal

from core import awake, secrets
from core.backend_choice import best_backend
from core.launch import find_workspace, runs
from core.locks import cache_folder
from tui.agent_flags import BASE_URL
from tui.glyphs import level, locale_chosen
from tui.text import one_line

Finding = dict[str, Any]
State = Literal["ok", "note", "missing"]
_GLYPHS = {"ok": "●", "note": "·", "missing": "×"}
_LEAST_DISK_GB = 2.0
_INDENT, _COLUMNS = 15, 80


def examine(folder: Path) -> list[Finding]:
    """One finding a line: `what`, `state` ("ok", "note", "missing"), `found`, and a `mend` where there is one."""
    return [
        _finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *_backends(),
        _git(folder),
        _terminal(),
        _disk(),
        _sleep(),
        _agents(),
        _finding("sandbox", "note", "none yet: a trial runs with your rights", "run only agents that you trust"),
        _runs(folder),
    ]


def text(findings: list[Finding]) -> str:
    """The findings for people, in lines of 80 columns but where a path or a command is longer."""
    lines = []
    for f in findings:
        lines += _wrapped(f"{_GLYPHS[f['state']]} {f['what']:<{_INDENT - 2}}", f["found"])
        if f["mend"]:
            lines += _wrapped(f"{'':<{_INDENT}}→ ", f["mend"])
    return "\n".join(lines)


def _wrapped(head: str, said: str) -> list[str]:
    under = " " * len(head)
    return textwrap.wrap(
        said, _COLUMNS, initial_indent=head, subsequent_indent=under, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]


def _finding(what: str, state: State, found: str, mend: str = "") -> Finding:
    return {"what": what, "state": state, "found": found, "mend": mend}


def _backends() -> list[Finding]:
    """Both backends. What is missing of the one that is not for this machine is a note."""
    cuda, mlx = check("cuda"), check("mlx")
    found = [*_torch(cuda), *_problems(cuda)] if cuda else [_no_answer("cuda")]
    found += [*_mlx(mlx), *_problems(mlx)] if mlx else [_no_answer("mlx")]
    return [*found, _data((cuda or {}).get("data") or (mlx or {}).get("data"))]


def check(backend: str) -> dict[str, Any] | None:
    """What the backend's own check says; None where it does not answer."""
    argv = [sys.executable, "-P", "-m", f"backends.{backend}", "check", "--json"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        said: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return said


def _no_answer(backend: str) -> Finding:
    return _finding(backend, "missing", "its check gave no answer", "install again: pip install autoresearch-tui")


def _torch(said: dict[str, Any]) -> list[Finding]:
    if not said.get("torch"):
        return []  # which is a problem of its own
    built = f", built for CUDA {said['torch_cuda']}" if said.get("torch_cuda") else ""
    devices = said.get("devices", [])
    cards = [device for device in devices if device["name"].startswith("cuda")]
    without = "" if cards else ": no NVIDIA card found, so it trains on the CPU"
    findings = [_finding("cuda", "ok", f"PyTorch {said['torch']}{built}{without}")]
    for device in devices:
        findings += _gpu(device, "cuda") if device in cards else [_other(device, "cuda")]
    if cards:
        findings.append(_compiler(said["compile"]))
    return findings


def _mlx(said: dict[str, Any]) -> list[Finding]:
    if not said.get("devices"):
        return []
    build = f" ({said['build']})" if said.get("build") else ""
    there = "; untested by us on a GPU: make mac-check tests it"
    tested = ": on the CPU, for correctness only" if said["device"] == "cpu" else there
    findings = [_finding("mlx", "ok", f"MLX {said['mlx']}{build}{tested}")]
    for device in said["devices"]:
        findings += _gpu(device, "mlx") if device["name"] == "cuda" else [_other(device, "mlx")]
    return findings


def _gpu(device: dict[str, Any], backend: str) -> list[Finding]:
    """What a card is, what a run makes of it, and who else is on it."""
    memory = f"{device['memory_mb']:,} MB, {device['used_mb']:,} in use" if device["memory_mb"] else "memory unknown"
    known = [device["description"], memory, f"driver {device['driver']}" if device["driver"] else ""]
    if any(device["capability"]):
        bf16 = "bf16" if device["bf16"] else "no bf16 units"
        known.append(f"compute capability {'.'.join(map(str, device['capability']))}, {bf16}")
    peak = device["peak_tflops"]
    mfu = f"MFU against {peak:g} TFLOP/s" if peak else "MFU unknown: this card's peak is not on our list"
    way = device["attention"]
    tested = "untested by us" if way["tested_on"] == "nothing yet" else f"tested on {way['tested_on']}"
    return [
        _finding(f"{backend} device", "ok", f"{device['name']}: {', '.join(part for part in known if part)}"),
        _finding("profile", "note", device["said"][0].removeprefix("profile ")),
        _finding("attention", "note", f"{way['name']} ({tested}); {mfu}"),
        *(_finding("note", "note", said) for said in device["said"][1:]),
    ]


def _other(device: dict[str, Any], backend: str) -> Finding:
    memory = f"{device['memory_mb'] / 1024:.0f} GiB"
    uses = f"profile {device['profile']}, attention {device['attention']['name']}"
    return _finding(f"{backend} device", "ok", f"{device['name']}: {device['description']}, {memory}; {uses}")


def _compiler(said: dict[str, Any]) -> Finding:
    if said["triton"] and said["compiler"]:
        return _finding("compile", "ok", f"triton {said['triton']}, {said['compiler']}")
    lacking = [what for what, there in (("triton", said["triton"]), ("a C compiler", said["compiler"])) if not there]
    mend = "pip install triton" if not said["triton"] else "install gcc"
    return _finding("compile", "missing", f"torch.compile lacks {' and '.join(lacking)} for the GPU", mend)


def _problems(said: dict[str, Any]) -> list[Finding]:
    backend, problems = str(said["backend"]), said.get("problems", [])
    if said.get("devices"):
        return [_finding("problem", "missing", str(p["what"]), str(p["mend"])) for p in problems]
    state: State = "missing" if backend == best_backend() else "note"
    return [_finding(backend, state, str(p["what"]), str(p["mend"])) for p in problems]


def _data(data: list[Any] | None) -> Finding:
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
    name, chosen = locale_chosen(os.environ)
    spoken = f"{name}={one_line(chosen)}" if name else "no locale set"
    found = f"{os.environ.get('TERM', 'no TERM')}, {size.columns}x{size.lines}, {spoken}"
    if not sys.stdout.isatty():
        return _finding("terminal", "note", f"{found}; not a terminal: plain lines are printed")
    if level(os.environ) == "ascii":
        told = f"{found}: the cockpit draws in ASCII"
        return _finding("terminal", "note", told, f"where the terminal shows UTF-8: export {name}=C.UTF-8")
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


def _sleep() -> Finding:
    if why := awake.refusal():
        mend = "switch off idle sleep in the system's settings: a machine that sleeps does not train"
        return _finding("sleep", "note", f"{awake.NOT_PREVENTED}: {why}", mend)
    return _finding("sleep", "ok", f"{Path(awake.program() or '').name} holds off idle sleep while a trial trains")


def _agents() -> Finding:
    """Which agents can be asked: the search always, a model where there is a key or a server of one's own."""
    programs = [name for name in ("claude", "codex", "aider") if shutil.which(name)]
    here = f"search{', command: ' + ', '.join(programs) if programs else ''}"
    address = os.environ.get(BASE_URL, "").strip()
    server = f" at {one_line(address.rpartition('@')[2])}" if address else ""
    found = secrets.find()
    if found is not None:
        return _finding("agents", "ok", f"{here}; claude{server}: key in {found.where}")
    if address:
        return _finding("agents", "ok", f"{here}; claude{server}, without a key")
    return _finding("agents", "note", f"{here}; claude has no key", secrets.missing().removeprefix("no API key: "))


def _runs(folder: Path) -> Finding:
    workspace = find_workspace(folder)
    if workspace is None:
        return _finding("runs", "note", "none here", "autoresearch demo, or: autoresearch init and autoresearch run")
    tags = ", ".join(p.name for p in runs(workspace)[-3:])
    return _finding("runs", "ok", f"{len(runs(workspace))} in {workspace}, latest: {tags}")
