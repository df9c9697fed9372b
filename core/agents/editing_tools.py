"""The tools a model gets: read a file of the task, edit the artifact, note something, submit. No shell.

Nothing is written to disk: a draft is the artifact's text in memory. Every refusal is in words that the
model can act on.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any

from core.facts import fact
from core.log import plain

LARGEST_FILE = 2**20  # characters, as of every proposal
LONGEST_DESCRIPTION, LONGEST_HYPOTHESIS, LONGEST_NOTE = 300, 4000, 600  # characters
MOST_NOTES = 5  # to itself, about one proposal
LONGEST_READ = 200_000  # characters of one answer of read_file


def _text(words: str) -> dict[str, str]:
    return {"type": "string", "description": words}


def _tool(name: str, words: str, required: tuple[str, ...], **properties: Mapping[str, str]) -> dict[str, Any]:
    schema = {
        "type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False
    }  # fmt: skip
    return {"name": name, "description": words, "input_schema": schema}


TOOLS: tuple[dict[str, Any], ...] = (
    _tool(
        "read_file",
        "Read a file of the task. A file of the artifact is shown as it is with your edits so far.",
        ("path",),
        path=_text("The file's path, relative to the task's folder."),
    ),
    _tool(
        "edit",
        "Change one file of the artifact. With old_text: the one place where exactly this text stands, white space and "
        "line ends included, becomes new_text; it is refused where the text stands nowhere or at more than one place. "
        "Without old_text: new_text becomes the whole file. Prefer several small edits to a whole file.",
        ("path", "new_text"),
        path=_text("The file's path, relative to the task's folder."),
        old_text=_text("The exact text to replace, with enough lines around it to stand at one place only."),
        new_text=_text("What stands there afterwards."),
    ),
    _tool(
        "note",
        "Write down what you want to remember: you read it at every later proposal of this run. One or two sentences "
        "on what you have learnt, not on what you do just now.",
        ("text",),
        text=_text(f"The note, at most {LONGEST_NOTE} characters."),
    ),
    _tool(
        "submit",
        "Hand in the artifact as edited; it is then committed, run and scored. Call it once, when the edits are done.",
        ("description", "hypothesis"),
        description=_text("What changed, one plain line, at most 100 characters, as in a commit's subject."),
        hypothesis=_text("Why it should improve the metric, and what its failure would teach: one to four sentences."),
    ),
)


@fact
class Result:
    """What a tool answers. `is_error`: it did nothing, and the words say why and what to do."""

    text: str
    is_error: bool = False


class Wrong(Exception):
    """A call that cannot be carried out, in words for the model."""


class Draft:
    """The artifact with a model's edits so far, and what it has submitted."""

    def __init__(
        self,
        sources: Mapping[str, str],
        is_new: Callable[[Mapping[str, str]], bool],
        remember: Callable[[str], None],
        read: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self._before = dict(sources)
        self._now = dict(sources)
        self._is_new = is_new
        self._remember = remember
        self._read = read
        self._notes = 0
        self.submitted: tuple[str, str] | None = None  # description, hypothesis

    @property
    def edits(self) -> dict[str, str]:
        """The files that differ from what they were."""
        return {name: text for name, text in self._now.items() if text != self._before[name]}

    def use(self, name: str, given: Any) -> Result:
        """Carry out one call of a tool. `given` is whatever the model sent as its input."""
        tool = next((tool for tool in TOOLS if tool["name"] == name), None)
        try:
            if tool is None:
                raise Wrong(f"there is no tool {_short(name)}; the tools are {', '.join(t['name'] for t in TOOLS)}")
            words = _checked(tool, given)
            match name:
                case "read_file":
                    return Result(self._shown(words["path"]))
                case "edit":
                    return Result(self._edit(words["path"], words.get("old_text"), words["new_text"]))
                case "note":
                    return Result(self._note(words["text"]))
                case _:
                    return Result(self._submit(words["description"], words["hypothesis"]))
        except Wrong as wrong:
            return Result(str(wrong), is_error=True)

    def _shown(self, path: str) -> str:
        name = _plain_path(path)
        text = self._now.get(name)
        if text is None:
            text = self._read(name)
        if text is None:
            raise Wrong(f"{_short(path)} is no file of the task that can be read; the artifact is {self._artifact()}")
        if len(text) > LONGEST_READ:
            return text[:LONGEST_READ] + f"\n[… {len(text) - LONGEST_READ:,} more characters are left out here]"
        return text or "[the file is empty]"

    def _edit(self, path: str, old: str | None, new: str) -> str:
        name = _plain_path(path)
        if name not in self._now:
            raise Wrong(
                f"{_short(path)} is not part of the artifact, so it cannot be edited; only {self._artifact()} can"
            )
        whole = self._now[name]
        if old is None:
            after = new
        elif not old:
            raise Wrong("old_text is empty: give the text to replace, or leave old_text out to rewrite the whole file")
        elif (found := _times(whole, old)) != 1:
            raise Wrong(_not_one_place(name, whole, old, found))
        else:
            after = whole.replace(old, new, 1)
        if after == whole:
            raise Wrong(f"the edit changes nothing: {name} is the same afterwards")
        if not after.strip():
            raise Wrong(f"the edit would leave {name} empty; a file of the artifact cannot be deleted")
        if len(after) > LARGEST_FILE:
            raise Wrong(f"{name} would have {len(after):,} characters; the limit is {LARGEST_FILE:,}")
        self._now[name] = after
        trouble = _trouble(name, after)
        count = len(after.splitlines())
        lines = f"{name} has {count:,} line{'' if count == 1 else 's'} now"
        return f"done; {lines}. {trouble}: mend that before you submit" if trouble else f"done; {lines}"

    def _note(self, text: str) -> str:
        if not text.strip():
            raise Wrong("the note is empty")
        if self._notes == MOST_NOTES:
            raise Wrong(f"that is more than {MOST_NOTES} notes for one proposal; go on without")
        self._notes += 1
        self._remember(" ".join(plain(text).split())[:LONGEST_NOTE])
        return "noted"

    def _submit(self, description: str, hypothesis: str) -> str:
        if not description.strip():
            raise Wrong("the description is empty: say in one line what changed")
        if not self.edits:
            raise Wrong("nothing is edited yet, so there is nothing to submit: edit the artifact first")
        for name, text in self.edits.items():
            if trouble := _trouble(name, text):
                raise Wrong(f"not submitted. {trouble}: mend that, then submit again")
        if not self._is_new(self.edits):
            raise Wrong(
                "not submitted: an earlier experiment of this run had this very source, or the user has rejected it; "
                "change something else"
            )
        self.submitted = " ".join(description.split())[:LONGEST_DESCRIPTION], hypothesis[:LONGEST_HYPOTHESIS]
        return "submitted"

    def _artifact(self) -> str:
        return ", ".join(self._before)


def _checked(tool: Mapping[str, Any], given: Any) -> dict[str, str]:
    """The input as the tool's schema has it. Raises Wrong."""
    name, schema = tool["name"], tool["input_schema"]
    if not isinstance(given, Mapping):
        raise Wrong(f"the input of {name} is no JSON object")
    if missing := [key for key in schema["required"] if key not in given]:
        raise Wrong(f"{name} needs {' and '.join(missing)}")
    if foreign := [key for key in given if key not in schema["properties"]]:
        raise Wrong(f"{name} knows no {', '.join(_short(key) for key in foreign[:3])}; it takes {_keys(schema)}")
    for key, value in given.items():
        if value is None and key not in schema["required"]:
            continue
        if not isinstance(value, str):
            raise Wrong(f"{key} of {name} is no text: give a string")
        if len(value) > LARGEST_FILE:
            raise Wrong(f"{key} of {name} has {len(value):,} characters; the limit is {LARGEST_FILE:,}")
        if not _is_utf8(value):
            raise Wrong(f"{key} of {name} holds lone surrogates, so it is not UTF-8; write plain characters")
    return {key: value for key, value in given.items() if value is not None}


def _keys(schema: Mapping[str, Any]) -> str:
    return ", ".join(schema["properties"])


def _plain_path(path: str) -> str:
    """The path as the artifact names it. Raises Wrong for one that leads out of the task's folder."""
    parts = path.strip().split("/")
    if path.startswith(("/", "~")) or "\\" in path or ".." in parts:
        raise Wrong(f"{_short(path)} leads out of the task's folder; give a path relative to it, without ..")
    return "/".join(part for part in parts if part not in ("", "."))


def _times(whole: str, part: str) -> int:
    """At how many places it stands, overlapping ones included; 2 stands for more."""
    first = whole.find(part)
    if first < 0:
        return 0
    return 1 if whole.find(part, first + 1) < 0 else 2


def _not_one_place(name: str, whole: str, old: str, found: int) -> str:
    if found:
        first = whole.find(old)
        lines = [whole.count("\n", 0, at) + 1 for at in (first, whole.find(old, first + 1))]
        return (
            f"old_text stands at more than one place in {name} (from lines {lines[0]} and {lines[1]}, for instance): "
            "give more lines around it"
        )
    bare = " ".join(old.split())
    if bare and bare in " ".join(whole.split()):
        return f"old_text stands nowhere in {name}, only with other white space: copy it exactly, indentation included"
    return f"old_text stands nowhere in {name}: read_file shows its text as it is now, your edits included"


def _trouble(name: str, text: str) -> str:
    """Why this text cannot be the file, or nothing."""
    if not name.endswith(".py"):
        return ""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"{name} does not parse: {error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{name} does not parse: {error}"
    return ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _short(name: object) -> str:
    """A name of the model's own, in a sentence."""
    return json.dumps(str(name)[:80])
