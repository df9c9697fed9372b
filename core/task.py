"""A task: an artifact, its commands, a metric, a budget and a judge, read from one `task.toml`.

Unknown keys and wrong types are refused by key and line: a misspelt budget must not become the default one.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from core.errors import UsageError
from core.facts import fact
from core.judge import POLICIES, Direction

_TEXTS = "a list of strings"
_NUMBER = "a number"
_KEYS: dict[str, dict[str, str]] = {
    "task": {"name": "a string", "artifact": _TEXTS, "program": "a string", "frozen": _TEXTS, "link": _TEXTS},
    "commands": dict.fromkeys(("train", "prepare", "standby", "serve", "evaluate"), "a string") | {"early": _TEXTS},
    "metric": {"name": "a string", "direction": "a string", "pattern": "a string", "json": "a string"},
    "budget": dict.fromkeys(("train_seconds", "startup_seconds", "timeout_seconds"), _NUMBER),
    "judge": {"policy": "a string"},
    "agent": {"contract": "a string"},
}
LONGEST_CONTRACT = 20_000  # characters: it is part of every prompt
_REQUIRED = (("task", "name"), ("task", "artifact"), ("commands", "train"), ("metric", "name"))


@fact
class Metric:
    """The one number. `pattern` or `json` say where a self-reported value stands; neither: `evaluate` measures it."""

    name: str
    direction: Direction
    pattern: str | None = None
    json: str | None = None


@fact
class Budget:
    """Seconds. `train`: counted training; `startup`: before READY; `timeout`: everything, evaluation included."""

    train_seconds: float
    startup_seconds: float
    timeout_seconds: float

    @property
    def overtime_seconds(self) -> float:
        """How far training may run past its budget: the last step, and writing the checkpoint."""
        return max(3.0, 0.05 * self.train_seconds)


@fact
class Task:
    """`folder` is relative to the workspace ('' for its root), all paths inside are relative to `folder`."""

    folder: str
    name: str
    artifact: tuple[str, ...]
    metric: Metric
    budget: Budget
    commands: Mapping[str, str]
    early: tuple[str, ...] = ()
    program: str | None = None
    frozen: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    policy: str = "greedy"
    contract: str = ""  # what of the artifact everything else relies on, in words for an agent
    settings: Mapping[str, Any] = field(default_factory=dict)

    def command(self, name: str, folder: Path | str = "") -> list[str]:
        """The argument list of one command; `{python}` is this interpreter, `{task}` the given checkout of the task."""
        words = shlex.split(self.commands[name])
        return [w.replace("{python}", sys.executable).replace("{task}", str(folder)) for w in words]


def read(workspace: Path, folder: str) -> tuple[Task, dict[str, Any]]:
    """The task in this folder, and task.toml as it was read (to be recorded). Raises UsageError."""
    import tomllib  # a viewer does without

    path = workspace / folder / "task.toml"
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        mend = "name its folder with --task, or make one with: autoresearch init (--own: for a task of your own)"
        raise UsageError(f"{path}: there is no task.toml; {mend}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not readable as TOML: {error}") from None
    _check(path, text, content)
    return parse(folder, content, path), content


def parse(folder: str, content: Mapping[str, Any], path: Path | str = "task.toml") -> Task:
    """A task from the content of a task.toml that has the right keys and types (as a journal records it)."""
    head, metric, budget = content["task"], content["metric"], content.get("budget", {})
    commands = {k: v for k, v in content["commands"].items() if k != "early"}
    train_seconds = float(budget.get("train_seconds", 300))
    task = Task(
        folder=folder,
        name=head["name"],
        artifact=tuple(head["artifact"]),
        metric=Metric(metric["name"], metric.get("direction", "min"), metric.get("pattern"), metric.get("json")),
        budget=Budget(
            train_seconds,
            float(budget.get("startup_seconds", 120)),
            float(budget.get("timeout_seconds", max(600.0, 2 * train_seconds))),
        ),
        commands=commands,
        early=tuple(content["commands"].get("early", ())),
        program=head.get("program"),
        frozen=tuple(head.get("frozen", ())),
        link=tuple(head.get("link", ())),
        policy=content.get("judge", {}).get("policy", "greedy"),
        contract=content.get("agent", {}).get("contract", "").strip(),
        settings=dict(content.get("settings", {})),
    )
    _check_values(path, task)
    return task


def with_budget(content: Mapping[str, Any], train_seconds: float | None) -> dict[str, Any]:
    """task.toml's content with another training budget; the wall timeout grows with it where it must."""
    if train_seconds is None:
        return dict(content)
    budget = dict(content.get("budget", {}))
    startup = float(budget.get("startup_seconds", 120))
    budget["timeout_seconds"] = max(float(budget.get("timeout_seconds", 600)), 2 * train_seconds + startup)
    return {**content, "budget": {**budget, "train_seconds": train_seconds}}


# --- refusing what is wrong, by key and line -------------------------------------------------------------------------


def _check(path: Path, text: str, content: Mapping[str, Any]) -> None:
    for section, table in content.items():
        if section == "settings" and isinstance(table, dict):
            continue
        if section not in _KEYS:
            known = ", ".join(f"[{s}]" for s in (*_KEYS, "settings"))
            raise UsageError(f"{path}:{_line(text, section, None)}: unknown section [{section}]; known: {known}")
        if not isinstance(table, dict):
            raise UsageError(f"{path}:{_line(text, section, None)}: {section} must be a section: [{section}]")
        for key, value in table.items():
            where = f"{path}:{_line(text, section, key)}: [{section}] {key}"
            if key not in _KEYS[section]:
                raise UsageError(f"{where}: unknown key; known here: {', '.join(_KEYS[section])}")
            if not _is(value, _KEYS[section][key]):
                raise UsageError(f"{where}: must be {_KEYS[section][key]}, not {value!r}")
    for key, value in content.get("settings", {}).items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            where = f"{path}:{_line(text, 'settings', key)}: [settings] {key}"
            raise UsageError(f"{where}: must be text, a number, true or false, or a list or table of those") from None
    for section, key in _REQUIRED:
        if not content.get(section, {}).get(key):
            raise UsageError(f"{path}: [{section}] {key} is missing or empty")


def _check_values(path: Path | str, task: Task) -> None:
    def refuse(what: str) -> UsageError:
        return UsageError(f"{path}: {what}")

    for key in ("train_seconds", "startup_seconds", "timeout_seconds"):
        if not 0 < getattr(task.budget, key) < 1e9:
            raise refuse(f"[budget] {key} must be more than 0 seconds, not {getattr(task.budget, key):g}")
    if task.metric.direction not in ("min", "max"):
        raise refuse(f'[metric] direction must be "min" or "max", not {task.metric.direction!r}')
    if task.policy not in POLICIES:
        raise refuse(f"[judge] policy {task.policy!r} is unknown; known: {', '.join(POLICIES)}")
    if len(task.contract) > LONGEST_CONTRACT:
        size = f"{len(task.contract):,} characters, the limit is {LONGEST_CONTRACT:,}"
        raise refuse(f"[agent] contract has {size}; shorten it")
    sources = ["evaluate" in task.commands, task.metric.pattern is not None, task.metric.json is not None]
    if sum(sources) != 1:
        raise refuse("the metric needs exactly one source: [commands] evaluate, [metric] pattern or [metric] json")
    if task.metric.pattern is not None:
        try:
            groups = re.compile(task.metric.pattern).groups
        except re.error as error:
            raise refuse(f"[metric] pattern is not a regular expression: {error}") from None
        if groups != 1:
            raise refuse("[metric] pattern needs exactly one group, around the number")
    for name in task.early:
        if name != "evaluate" or name not in task.commands:
            raise refuse(f'[commands] early may only name "evaluate", and only where it is given; not {name!r}')
    for name, command in task.commands.items():
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise refuse(f"[commands] {name} cannot be split into words: {error}") from None
        if not words:
            raise refuse(f"[commands] {name} is empty")
    for file in (*task.artifact, *task.link):
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise refuse(f"{file}: must lie inside the task's folder")


def check_files(workspace: Path, task: Task) -> None:
    """Refuse an artifact that is missing, a symlink or outside the workspace, and a program that is not there."""
    root = workspace.resolve()
    folder = workspace / task.folder
    for name in task.artifact:
        file = folder / name
        if file.is_symlink() or any(p.is_symlink() for p in file.parents if p != root and root in p.parents):
            raise UsageError(f"{file}: the artifact is a symlink; name the file itself")
        if not file.exists():
            raise UsageError(f"{file}: the artifact does not exist; create it, or correct [task] artifact")
        if not file.is_file() or not file.resolve().is_relative_to(root):
            raise UsageError(f"{file}: the artifact must be a file inside the workspace {root}")
    for name in (task.program,) if task.program else ():
        if not (folder / name).resolve().is_relative_to(root) or not (folder / name).is_file():
            raise UsageError(f"{folder / name}: [task] program is not a file of the workspace; create or correct it")
    for name in (*task.frozen, *task.link):
        if not (folder / name).exists():
            raise UsageError(f"{folder / name}: named in [task] frozen or link, but it does not exist")


def _is(value: object, kind: str) -> bool:
    if kind == _TEXTS:
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    if kind == _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def _line(text: str, section: str, key: str | None) -> int:
    """The line a key stands on: tomllib does not say."""
    inside = False
    header: Literal[0] | int = 0
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            inside = match[1].strip("\"'") == section
            header = number if inside else header
            if inside and key is None:
                return number
        elif (inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)) or (
            not header and re.match(rf"\s*{re.escape(section)}\s*[=.]", line)
        ):
            return number
    return header or 1
