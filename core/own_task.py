"""A task of the user's own from a few words: task.toml and program.md beside the file that agents may edit.

Where no repository is, one is made; in a repository of the user's nothing is committed, for that is the user's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from core.errors import UsageError
from core.facts import fact
from core.task import check_files, parse
from core.workspace import create

EXAMPLE = "solve.py"
SECONDS = 300.0
MOST_FILES, MOST_BYTES = 1000, 20_000_000  # that are committed without having been named
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_OPERATOR = re.compile(r"&&?|\|\|?|>>?|<|;")  # of a shell
_PASSED_OVER = frozenset({"__pycache__", "node_modules", "venv", "env", "site-packages"})

_EXAMPLE_SOURCE = '''\
"""An example of an artifact, to be replaced by your own: it does its work and prints one number."""

STEP = 0.001  # what the search agent turns: NAME = number, in capitals, at the start of a line
MOMENTUM = 0.5

x, y, dx, dy = -1.0, 1.0, 0.0, 0.0
for _ in range(200):  # downhill in a curved valley, whose lowest point is at 1, 1
    slope_x = -2 * (1 - x) - 400 * x * (y - x * x)
    slope_y = 200 * (y - x * x)
    dx, dy = MOMENTUM * dx - STEP * slope_x, MOMENTUM * dy - STEP * slope_y
    x, y = x + dx, y + dy

print("score:", round((1 - x) ** 2 + 100 * (y - x * x) ** 2, 6))
'''

_PROGRAM = """\
# Program

You are doing research for me while I am away. Make `{metric}` {better}, and leave me with code that I still want to
read.

## What is allowed

Everything in {files}. The command that is run and the way the number is read are not yours.

## What I want from this run

(Here I write what to explore, what to leave alone and what I already know. This file is read again before every
proposal, so what I change holds from the next one on.)
"""

_TASK = """\
[task]
name = {name}
artifact = {artifact}  # the only files an edit may touch
program = "program.md"  # what agents that read are told
# frozen = ["data.txt"]  # a run refuses a score if one of these has changed
# link = ["data"]  # folders that git does not hold, which a trial may read

[commands]  # {{python}} is the interpreter that autoresearch runs in
train = {command}
# evaluate = "{{python}} {{task}}/score.py"  # measures from outside, in the place of a pattern: docs/tasks.md

[metric]
name = {metric}
direction = "{direction}"  # min: lower is better; or max
pattern = {pattern}  # the last match in what the command printed; or: json = "metrics.json"

[budget]
train_seconds = {seconds}  # the command may take this long, and is cut after it
timeout_seconds = {limit}  # everything together
"""


@fact
class OwnTask:
    """What was asked for; None and empty for what is chosen here."""

    files: tuple[str, ...] = ()
    command: str | None = None
    metric: str | None = None
    pattern: str | None = None
    direction: str = "min"
    seconds: float | None = None


def begin(folder: Path, wish: OwnTask, say: Callable[[str], None]) -> None:
    """Write task.toml into this folder, program.md and an example where they are missing, and have them committed.

    Raises UsageError; then nothing was written. `say` gets a line on each thing that was chosen.
    """
    folder = folder.absolute()
    _refuse_other_than_utf8((str(folder), *wish.files, *filter(None, (wish.command, wish.metric, wish.pattern))))
    if folder.exists() and not folder.is_dir():
        place = "" if folder.parent == Path.cwd() else f" {shlex.quote(str(folder.parent))}"
        mend = f"if agents are to edit it: autoresearch init --own --file {shlex.quote(folder.name)}{place}"
        raise UsageError(f"{folder}: not a folder; name one, or none for this one; {mend}")
    if (folder / "task.toml").exists():
        raise UsageError(f"{folder / 'task.toml'}: there is one already; edit it, or name another folder")
    files = wish.files or _found(folder)
    _refuse_other_than_utf8(files)
    example = not files
    files = files or (EXAMPLE,)
    text = _written(folder, files, wish)
    task = parse("", tomllib.loads(text), folder / "task.toml")
    new = {EXAMPLE: _EXAMPLE_SOURCE} if example else {}
    if not (folder / "program.md").exists():
        better = "as low as you can" if wish.direction == "min" else "as high as you can"
        new["program.md"] = _PROGRAM.format(metric=task.metric.name, better=better, files=_listed(files))
    if not example:
        check_files(folder, parse("", {**tomllib.loads(text), "task": {"name": "-", "artifact": files}}))
    new["task.toml"] = text
    told = _write(folder, new, sorted({*new, "program.md", *files}))
    better = "lower" if task.metric.direction == "min" else "higher"
    runs = task.commands["train"].replace("{python}", "python")
    say(f"made {', '.join(new)} in {folder}")
    read = f"{task.metric.name}, read from its output: {better} is better"
    say(f"agents edit {_listed(files)}; a trial runs `{runs}`; {read}")
    for line in told:
        say(line)


def _write(folder: Path, new: Mapping[str, str], named: Sequence[str]) -> list[str]:
    """Write and commit, or leave the folder as it was and raise UsageError. Returns what is to be said of git."""
    root = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in new.items():
            (folder / name).write_text(content, encoding="utf-8")
        return _left_to_the_user(folder, root, named) if root else _committed(folder, named)
    except OSError as error:
        for name in new:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        if root is None:
            shutil.rmtree(folder / ".git", ignore_errors=True)
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        where = error.filename or folder
        mend = "see to its rights and to the space left, then init again"
        raise UsageError(f"{where}: cannot be read or written: {error.strerror or error}; {mend}") from None


def _refuse_other_than_utf8(texts: Iterable[str]) -> None:
    for text in texts:
        if not _is_utf8(text):
            raise UsageError(f"{_shown(text)}: not UTF-8, which task.toml and git's paths must be; rename it")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def _found(folder: Path) -> tuple[str, ...]:
    """The one Python file that is here; none where there is none. Raises UsageError where it could be another."""
    found = sorted(p.name for p in folder.glob("*.py") if p.is_file())
    if len(found) > 1:
        raise UsageError(f"{folder}: which file may agents edit? name it with --file; there are {', '.join(found)}")
    return tuple(found)


def _written(folder: Path, files: Sequence[str], wish: OwnTask) -> str:
    metric = wish.metric or "score"
    command = wish.command
    if command is None:
        if not files[0].endswith(".py"):
            raise UsageError(f"--file {files[0]}: how is it run? name that with --command")
        command = f"{{python}} {shlex.quote(files[0])}"
    elif operator := _OPERATOR.search(_QUOTED.sub("", command)):
        mend = "write the line into a script and name that, or quote it whole behind `sh -c`"
        raise UsageError(f"--command: no shell runs it, so `{operator[0]}` would be an argument; {mend}")
    seconds = SECONDS if wish.seconds is None else wish.seconds
    return _TASK.format(
        name=_quoted(folder.name or "own"),
        artifact=f"[{', '.join(map(_quoted, files))}]",
        command=_quoted(command),
        metric=_quoted(metric),
        direction=wish.direction,
        pattern=_quoted(wish.pattern or rf"^{re.escape(metric)}\s*[:=]\s*(\S+)"),
        seconds=f"{seconds:.12g}",
        limit=f"{max(600.0, 2 * seconds):.12g}",
    )


def _quoted(text: str) -> str:
    """As TOML has it: verbatim where it can be, for a pattern is full of backslashes."""
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON leaves and TOML refuses


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files)


# --- what git gets ---------------------------------------------------------------------------------------------------


def _left_to_the_user(folder: Path, root: Path, named: Sequence[str]) -> list[str]:
    there = "" if folder == Path.cwd() else f" -C {shlex.quote(str(folder))}"
    names = shlex.join(named)  # -f below: the .gitignore may name one of them
    return [
        f"a run begins with what is committed, and {root} is yours; so first:",
        f'  git{there} add -f {names} && git{there} commit -m "a task" -- {names}',
    ]


def _committed(folder: Path, named: Sequence[str]) -> list[str]:
    told: list[str] = []
    others: list[str] = []
    left_out: list[str] = []
    size = 0
    for name in _others(folder):
        if name in named:
            continue
        if not (_is_utf8(name) and os.access(folder / name, os.R_OK)):
            left_out.append(_shown(name))
            continue
        others.append(name)
        size += (folder / name).stat().st_size
        if len(others) > MOST_FILES or size > MOST_BYTES:
            limit = f"{MOST_FILES:,} files, {MOST_BYTES / 1e6:,.0f} MB"
            told.append(
                f"committed {_listed(named)} alone: what else lies here is more than is committed unasked ({limit})"
            )
            told.append(
                "a trial sees what is committed: add what it needs with git, or name its folder under link in task.toml"
            )
            others, left_out = [], []
            break
    create(folder, "autoresearch: a task", named, sorted(others))
    told.append(f"made a repository of {folder.name}{', with all that lies here' if others else ''}")
    if left_out:
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        told.append(f"but not {_listed(sorted(left_out)[:3])}{more}: not readable, or the name is not UTF-8")
    return told


def _others(folder: Path) -> Iterator[str]:
    """What else lies in a folder, as paths relative to it: nothing that hides, nor what programs put there."""
    for at, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not _hides(f) and not (Path(at) / f / ".git").exists()]
        for name in files:
            path = Path(at) / name
            if (not _hides(name) or name == ".gitignore") and path.is_file() and not path.is_symlink():
                yield PurePosixPath(path.relative_to(folder)).as_posix()


def _hides(name: str) -> bool:
    return name.startswith(".") or name in _PASSED_OVER
