"""Replays a list of patches, one a proposal: for demonstrations, for replaying a run, for testing an engine.

FILE is a folder of `*.patch` files, taken in the order of their names, or a `.jsonl` file, one proposal a line:

    {"description": "…", "hypothesis": "…", "file": "train.py", "replace": [["old", "new"], …]}
    {"description": "…", "patch": "unified diff"}
    {"description": "…", "edits": {"train.py": "whole text"}}

`hypothesis` may be left out everywhere, `file` where the artifact is one file. In a patch file, the words before the
diff are the description (its first line, or `Subject:`) and the hypothesis (the rest).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from core.agents import Exhausted, Refused, Request
from core.agents.patch import DoesNotApply, Hunk, apply, parse, target
from core.errors import UsageError
from core.experiment import Proposal
from core.facts import fact

_ACTIONS = ("replace", "patch", "edits")
_KEYS = {"description", "hypothesis", "file", *_ACTIONS}


@fact
class Step:
    """One proposal to be: exactly one of replace, hunks and texts is filled."""

    description: str
    hypothesis: str
    file: str | None = None
    replace: tuple[tuple[str, str], ...] = ()
    hunks: Mapping[str, tuple[Hunk, ...]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


class Scripted:
    """The patches of FILE in order. Raises UsageError, when made, for a FILE that is missing or not understood."""

    reads_notes = False
    repairs = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._steps = _load(path.expanduser())

    def propose(self, request: Request) -> Proposal:
        """The next patch on the incumbent. Raises Refused where it does not apply, Exhausted after the last.

        Every patch so far has become an experiment or a refusal, and both are in the journal: experiments before this
        one, less the baseline, plus refusals is how many are spent. So a resumed run goes on at the right patch, and a
        refused one is not met again. (Refusals of another agent earlier in the same run count as well.)
        """
        spent = max(0, request.number - 1) + request.history.refused
        if spent >= len(self._steps):
            raise Exhausted(f"all {len(self._steps)} patches of {self._path} have been proposed")
        step = self._steps[spent]
        try:
            edits = _edits(step, request.sources)
        except DoesNotApply as problem:
            raise Refused(f"patch {spent + 1} of {len(self._steps)}: {problem}", step.description) from problem
        return Proposal(edits, step.description, step.hypothesis, {"patch": spent + 1})


def _edits(step: Step, sources: Mapping[str, str]) -> dict[str, str]:
    if step.texts:
        return {target(path, sources): text for path, text in step.texts.items()}
    if step.hunks:
        return {
            (name := target(path, sources)): apply(sources[name], hunks, name) for path, hunks in step.hunks.items()
        }
    if step.file is None and len(sources) != 1:
        raise DoesNotApply(f'the artifact is {len(sources)} files; say which in "file"')
    name = target(step.file, sources) if step.file is not None else next(iter(sources))
    text = sources[name]
    for number, (old, new) in enumerate(step.replace, 1):
        count = text.count(old)
        if count != 1:
            found = f"stands {count} times" if count else "does not stand"
            raise DoesNotApply(f"replacement {number} of {len(step.replace)}: its old text {found} in {name}")
        text = text.replace(old, new)
    return {name: text}


# --- reading FILE ----------------------------------------------------------------------------------------------------


def _load(path: Path) -> list[Step]:
    if path.is_dir():
        files = sorted(path.glob("*.patch"))
        if not files:
            raise UsageError(f"--agent scripted: no *.patch file in the folder {path}")
        return [_from_patch(file) for file in files]
    if not path.is_file():
        raise UsageError(f"--agent scripted: {path} does not exist; give a folder of *.patch files or a .jsonl file")
    if path.suffix != ".jsonl":
        raise UsageError(f"--agent scripted: {path} is neither a folder of *.patch files nor a .jsonl file")
    lines = [(number, line) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise UsageError(f"--agent scripted: {path} is empty; give it one JSON object a line")
    return [_from_line(line, f"{path} line {number}") for number, line in lines]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # not read_text, which would turn CRLF into LF
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--agent scripted: {path} cannot be read: {error}") from error


def _from_patch(path: Path) -> Step:
    text = _text(path)
    try:
        hunks = parse(text)
    except ValueError as error:
        raise UsageError(f"--agent scripted: {path}: {error}") from error
    head = re.split(r"^(?:diff |--- |---\r?$)", text, maxsplit=1, flags=re.M)[0]
    mail = re.search(r"^Subject:[ \t]*(?:\[[^\]]*\][ \t]*)?(.*(?:\n[ \t]+\S.*)*)", head, flags=re.M)
    if mail:  # as git format-patch writes it: headers, an empty line, the body
        title, body = mail[1], head[mail.end() :].replace("\r", "").partition("\n\n")[2]
    else:
        title, _, body = head.strip().partition("\n")
    hypothesis = " ".join(body.split()) or f"Replayed from {path.name}."
    return Step(" ".join(title.split()) or path.stem, hypothesis, hunks=hunks)


def _from_line(line: str, where: str) -> Step:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UsageError(f"--agent scripted: {where} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise UsageError(f"--agent scripted: {where} is not a JSON object")
    if unknown := sorted(record.keys() - _KEYS):
        raise UsageError(f"--agent scripted: {where}: unknown key {unknown[0]}; known are {', '.join(sorted(_KEYS))}")
    if sum(key in record for key in _ACTIONS) != 1:
        raise UsageError(f"--agent scripted: {where} needs exactly one of {', '.join(_ACTIONS)}")
    for key in ("description", "hypothesis", "file", "patch"):
        if key in record and not isinstance(record[key], str):
            raise UsageError(f"--agent scripted: {where}: {key} must be text")
    if not record.get("description"):
        raise UsageError(f"--agent scripted: {where} has no description")
    return _step(record, where)


def _step(record: Mapping[str, Any], where: str) -> Step:
    hunks: Mapping[str, tuple[Hunk, ...]] = {}
    replace, texts = record.get("replace", []), record.get("edits", {})
    if "patch" in record:
        try:
            hunks = parse(record["patch"])
        except ValueError as error:
            raise UsageError(f"--agent scripted: {where}: patch: {error}") from error
    if "replace" in record and not (isinstance(replace, list) and replace and all(map(_is_pair, replace))):
        raise UsageError(f'--agent scripted: {where}: replace must be a list of ["old", "new"]')
    if "edits" in record and not (
        isinstance(texts, dict) and texts and all(isinstance(t, str) for t in texts.values())
    ):
        raise UsageError(f"--agent scripted: {where}: edits must map file names to whole texts")
    return Step(
        record["description"],
        record.get("hypothesis") or f"Replayed from {where}.",
        record.get("file"),
        tuple((old, new) for old, new in replace),
        hunks,
        texts,
    )


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value) and value[0] != ""
