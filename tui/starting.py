"""What a new run may be: the tasks, backends, devices and runs that are really here, and what a filled page comes to.

No widget and no git. A page's entries are texts, as they were typed; `options_of` makes a wish of them or says what is
wrong with which.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from core import installing
from core.backend_choice import BACKENDS, known_backend
from core.errors import UsageError
from core.facts import fact
from core.launch import Options, demo_folder, task_folder
from core.locks import device_holder
from core.task import Task
from core.task import read as read_task
from tui import agent_words, starting_agent, text

DEMO_SECONDS = 15.0
REFERENCE = "reference"  # the task of a workspace that `init` made: a folder for each backend
PRODUCTS = {"cuda": (agent_words.PRODUCTS["cuda"], "torch"), "mlx": (agent_words.PRODUCTS["mlx"], "mlx")}
_DEEP = 2  # folders below the workspace in which a task.toml is looked for
_MOST_FOLDERS = 500
_LONGEST_PATH = 48  # characters
_PASSED_OVER = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})

Choice = tuple[str, str]  # the words for it, and its value


# --- tasks -----------------------------------------------------------------------------------------------------------


@fact
class Tasks:
    """The tasks of a workspace by their folders ('' for its root); a text says why one cannot be used."""

    root: Path
    found: Mapping[str, Task | str]

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that the workspace has a folder for."""
        return tuple(name for name in BACKENDS if name in self.found)

    @property
    def choices(self) -> list[Choice]:
        """The reference task, whatever its backends, and every task of the user's own."""
        own = [folder for folder in self.found if folder not in self.backends]
        keys = [REFERENCE] * bool(self.backends) + own
        return [(self._words(self.folder(key, self.backends[0] if self.backends else "")), key) for key in keys]

    def folder(self, key: str, backend: str) -> str:
        """The folder behind a choice."""
        return backend if key == REFERENCE else key

    def key(self, folder: str) -> str:
        """The choice that a folder stands behind."""
        return REFERENCE if folder in self.backends else folder

    def _words(self, folder: str) -> str:
        task = self.found[folder]
        if isinstance(task, str):
            return text.one_line(f"{folder or '.'}: task.toml cannot be used")
        better = "lower" if task.metric.direction == "min" else "higher"
        name = task.name.removesuffix(f"-{folder}")
        where = "" if folder in self.backends or not folder else f" in {folder}/"
        return text.one_line(f"{name}{where} · {task.metric.name}, {better} is better")


def workspace_root(folder: Path) -> Path:
    """The repository around a folder; the folder itself where there is none."""
    folder = folder.resolve()
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)


def workspaces(here: Path, most: int = 5) -> list[Tasks]:
    """Where research can begin: the workspace around this folder, and those that lie in it."""
    root = workspace_root(here)
    places = [root]
    with contextlib.suppress(OSError):
        places += sorted(p for p in here.resolve().iterdir() if p != root and (p / ".git").exists())
    return list(islice((tasks for place in places if (tasks := tasks_of(place)).choices), most))


def tasks_of(root: Path, also: str | None = None) -> Tasks:
    """The tasks in a workspace and in its folders, two deep; `also`: one more folder, wherever it lies."""
    folders = [folder for folder in _folders(root) if (root / folder / "task.toml").is_file()]
    if also is not None and also not in folders:
        folders.append(also)
    found: dict[str, Task | str] = {}
    for folder in folders:
        try:
            found[folder] = read_task(root, folder)[0]
        except UsageError as error:
            found[folder] = str(error)
    return Tasks(root, found)


def _folders(root: Path) -> Iterator[str]:
    """The folders of a workspace, nearest first, as paths relative to it; not all of a forest."""
    level, left = [root], _MOST_FOLDERS
    for _ in range(_DEEP + 1):
        below: list[Path] = []
        for folder in level:
            yield "" if folder == root else folder.relative_to(root).as_posix()
            try:
                inner = sorted(p for p in folder.iterdir() if _wanted(p))
            except OSError:
                continue
            below += inner[:left]
            left -= len(inner[:left])
        level = below


def _wanted(path: Path) -> bool:
    """Whether a folder is looked into: not what hides, and not a repository of its own."""
    hidden = path.name.startswith(".") or path.name in _PASSED_OVER
    return not hidden and path.is_dir() and not path.is_symlink() and not (path / ".git").exists()


# --- backends and devices --------------------------------------------------------------------------------------------


@fact
class Device:
    """A device as a backend's check names it; `lock`: what two runs on it must not share."""

    name: str
    description: str
    lock: str


@fact
class Backend:
    """What one backend finds here. `trouble`: why it cannot train, and the mend."""

    name: str
    devices: tuple[Device, ...] = ()
    trouble: str = ""


def installed(backend: str) -> bool:
    """Whether the package that the backend runs on can be imported; nothing is imported."""
    return importlib.util.find_spec(PRODUCTS[backend][1]) is not None


def backend_of(name: str, said: Mapping[str, Any] | None) -> Backend:
    """What the answer of the backend's check comes to; None: it gave none, or nobody has asked yet."""
    if said is None:
        mend = installing.for_backend(name)
        return Backend(name, (), "" if installed(name) else f"{PRODUCTS[name][0]} is not installed; type: {mend}")
    devices = tuple(
        Device(*(text.one_line(str(device.get(key, ""))) for key in ("name", "description", "lock")))
        for device in said.get("devices", ())
    )
    problems = [text.one_line(f"{p.get('what')}; type: {p.get('mend')}") for p in said.get("problems", ())]
    return Backend(name, devices, "" if devices else "; ".join(problems))


def backend_choices(names: Sequence[str]) -> list[Choice]:
    """The backends of a task, and whether what they run on is here."""
    return [(f"{b} · {PRODUCTS[b][0]}{'' if installed(b) else ', not installed'}", b) for b in names]


def device_choices(devices: Sequence[Device], chosen: str) -> list[Choice]:
    """The devices there are, the best first, and the one that was asked for."""
    best = f": {devices[0].name}, {devices[0].description}" if devices else ", the best there is"
    offered = [(f"auto{best}", "auto"), *((f"{d.name} · {d.description}", d.name) for d in devices)]
    return offered if chosen in {value for _, value in offered} else [*offered, (text.one_line(chosen), chosen)]


def device_trouble(devices: Sequence[Device], chosen: str, holder: Callable[[str], str | None] = device_holder) -> str:
    """Why no run may start on this device now; empty where nothing is known against it."""
    if not devices:
        return ""
    device = next((d for d in devices if chosen in ("auto", d.name)), None)
    if device is None:
        return f"{chosen}: not here; there are auto, {', '.join(d.name for d in devices)}"
    held = holder(device.lock or device.name)
    if held is None:
        return ""
    run = Path(held)
    whose = f"run {run.name} in {short(run.parent.parent)}" if held else "another run"
    return text.one_line(f"in use by {whose}, and two at once would spoil each other's time; stop it or wait")


def short(path: Path) -> str:
    """A path as people write it: from home on where it lies there, and of a long one its end."""
    home = Path.home()
    said = f"~/{path.relative_to(home)}".removesuffix("/.") if path.is_relative_to(home) else str(path)
    return said if len(said) <= _LONGEST_PATH else f"…{said[1 - _LONGEST_PATH :]}"


# --- what a page holds -----------------------------------------------------------------------------------------------


@fact
class Choices:
    """What stands on the page; numbers and the tag as typed, empty for what the task or the app decides."""

    task: str = ""
    backend: str = ""
    device: str = "auto"
    agent: str = "search"
    script: str = ""
    train_seconds: str = ""
    experiments: str = ""
    hours: str = ""
    tag: str = ""
    command: str = ""
    model: str = ""
    max_dollars: str = ""


def preselected(options: Options, root: Path) -> tuple[Tasks, Choices]:
    """The page as flags fill it in. Raises UsageError for a backend or a task's place that cannot be."""
    folder = task_folder(root, options)
    asked = options.task is not None or options.backend is not None
    tasks = tasks_of(root, folder if asked else None)
    numbers = {name: "" if value is None else f"{value:.12g}" for name, value in _numbers(options).items()}
    backend = folder if folder in tasks.backends else (tasks.backends or ("",))[0]
    key = tasks.key(folder) if folder in tasks.found else (tasks.choices or [("", "")])[0][1]
    agent = starting_agent.entries_of(options)
    return tasks, Choices(key, backend, options.device, tag=options.tag or "", **agent, **numbers)


def _numbers(options: Options) -> dict[str, float | None]:
    return {"train_seconds": options.train_seconds, "experiments": options.experiments, "hours": options.hours}


def options_of(chosen: Choices, tasks: Tasks, given: Options) -> tuple[Options, dict[str, str]]:
    """The wish that the page comes to, on top of what was given beside it; and what is wrong, by entry.

    Only what is no wish at all is refused here; the rest is `core.outlook.look`'s.
    """
    wrong: dict[str, str] = {}

    def number(name: str, kind: Callable[[str], float], words: str) -> Any:
        typed = getattr(chosen, name).strip()
        try:
            return kind(typed) if typed else None
        except ValueError:
            wrong[name] = words
            return None

    seconds = number("train_seconds", float, "must be a number of seconds above 0")
    experiments = number("experiments", int, "must be 0 (the baseline alone) or more")
    hours = number("hours", float, "must be a number above 0")
    if not tasks.choices:
        mend = "make one with: autoresearch init (--own: for a task of your own, see docs/tasks.md)"
        wrong["task"] = f"there is no task.toml in {tasks.root} and its folders; {mend}"
    reference = chosen.task == REFERENCE
    wish = replace(
        given,
        task=None if reference else str(tasks.root / chosen.task),
        backend=chosen.backend if reference else None,
        device=chosen.device,
        **starting_agent.wish_of(chosen, given, wrong),
        train_seconds=seconds,
        experiments=experiments,
        hours=hours,
        tag=chosen.tag.strip() or None,
    )
    return wish, wrong


def at_its_entry(trouble: str) -> str:
    """A refusal as it reads beside the entry it is about: without the flag and the value, which stand there."""
    flag, _, rest = trouble.partition(": ")
    return text.one_line(rest if flag.startswith("--") and rest else trouble).replace("another --tag", "another tag")


def demo(say: Callable[[str], None], given: Options) -> Options:
    """The demo's wish, in its workspace, which is made where it is not there yet. Raises UsageError."""
    folder = demo_folder()
    if not (folder / ".git").exists():
        from core.scaffold import scaffold

        # On a GPU too: 15 s are too short for larger sizes.
        scaffold(folder, given.backend, "demo", given.device, "stdlib")
    backend = known_backend(given.backend)
    if not (folder / backend / "task.toml").exists():
        mend = f"move that folder away, its runs go with it, and the demo makes a new one: mv {folder} {folder}-old"
        raise UsageError(f"{folder}: made before there was a {backend} backend; {mend}")
    say(f"workspace: {folder}")
    seconds = DEMO_SECONDS if given.train_seconds is None else given.train_seconds
    return replace(given, workspace=str(folder), train_seconds=seconds)
