"""The tools of a model: what they change, and what they refuse with words that it can act on."""

from __future__ import annotations

import re

import pytest

from core.agents.editing_tools import LARGEST_FILE, MOST_NOTES, TOOLS, Draft

SOURCE = "A = 1\nB = 2\nA2 = 1\n"


def draft(is_new=lambda edits: True, **sources: str) -> Draft:
    notes: list[str] = []
    made = Draft({"train.py": SOURCE, **sources}, is_new, notes.append, {"task.toml": "[task]"}.get)
    made.notes = notes  # type: ignore[attr-defined]
    return made


def edit(d: Draft, old: str | None, new: str, path: str = "train.py"):
    return d.use("edit", {"path": path, "new_text": new} | ({} if old is None else {"old_text": old}))


def test_an_edit_replaces_the_one_place_and_is_seen_by_the_next(tmp_path):
    d = draft()
    assert not edit(d, "B = 2", "B = 3").is_error
    assert not edit(d, "B = 3\nA2", "B = 4\nA2").is_error
    assert d.edits == {"train.py": "A = 1\nB = 4\nA2 = 1\n"}
    assert d.use("read_file", {"path": "train.py"}).text == "A = 1\nB = 4\nA2 = 1\n"
    assert not edit(d, None, "C = 5\n").is_error
    assert d.edits == {"train.py": "C = 5\n"}
    assert not edit(d, None, SOURCE).is_error
    assert d.edits == {}


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("B = 9", "x", "train.py", "stands nowhere in train.py: read_file shows"),
        ("B  =  2", "x", "train.py", "only with other white space"),
        ("= 1", "= 3", "train.py", r"more than one place in train.py \(from lines 1 and 3"),
        ("aa", "b", "lap.txt", "more than one place"),
        ("", "x", "train.py", "old_text is empty"),
        ("B = 2", "B = 2", "train.py", "changes nothing"),
        (None, SOURCE, "train.py", "changes nothing"),
        (None, "", "train.py", "cannot be deleted"),
        (None, " \n\n", "train.py", "cannot be deleted"),
        ("x", "y", "task.toml", '"task.toml" is not part of the artifact, so it cannot be edited; only train.py, lap'),
        ("x", "y", "new.py", "is not part of the artifact"),
        ("x", "y", "../train.py", "leads out of the task's folder"),
        ("x", "y", "a/../../train.py", "leads out"),
        ("x", "y", "/etc/passwd", "leads out"),
        ("x", "y", "~/train.py", "leads out"),
        ("x", "y", "a\\train.py", "leads out"),
        (None, "A = '\ud800'\n", "train.py", "not UTF-8"),
        ("\udfff", "x", "train.py", "not UTF-8"),
        (None, "#" * (5 * 2**20), "train.py", "new_text of edit has 5,242,880 characters; the limit is 1,048,576"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(old, new, path, words):
    d = draft(**{"lap.txt": "aaa"})
    result = edit(d, old, new, path)
    assert result.is_error
    assert re.search(words, result.text), result.text
    assert d.edits == {}
    assert len(result.text) < 300


def test_small_edits_do_not_add_up_to_a_file_that_is_too_large():
    d = draft()
    assert not edit(d, "B = 2\n", "B = 2\n#" + "x" * (LARGEST_FILE - 100) + "\n").is_error
    grown = edit(d, "A2", "#" + "y" * 200 + "\nA2")
    assert grown.is_error
    assert "the limit is 1,048,576" in grown.text


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("shell", {"command": "ls"}, 'no tool "shell"; the tools are read_file, edit, note, submit'),
        ("edit", [], "is no JSON object"),
        ("edit", "train.py", "is no JSON object"),
        ("edit", {"path": "train.py"}, "edit needs new_text"),
        ("edit", {}, "edit needs path and new_text"),
        ("edit", {"path": "train.py", "new_text": 3}, "new_text of edit is no text"),
        ("edit", {"path": ["train.py"], "new_text": ""}, "path of edit is no text"),
        (
            "edit",
            {"path": "train.py", "new_text": "", "new_str": ""},
            'edit knows no "new_str"; it takes',
        ),
        ("submit", {"description": " ", "hypothesis": ""}, "description is empty"),
        ("submit", {"description": None, "hypothesis": ""}, "description of submit is no text"),
        ("note", {"text": "  "}, "the note is empty"),
        ("read_file", {"path": ".env"}, "no file of the task that can be read"),
        ("read_file", {"path": "../../.ssh/id_rsa"}, "leads out"),
    ],
)
def test_malformed_calls_are_answered(name, given, words):
    result = draft().use(name, given)
    assert result.is_error
    assert words in result.text


def test_null_for_an_optional_text_is_as_if_it_was_left_out():
    d = draft()
    assert not d.use("edit", {"path": "./train.py", "old_text": None, "new_text": "A = 3\n"}).is_error
    assert d.edits == {"train.py": "A = 3\n"}


def test_submit_wants_edits_that_parse_and_are_new():
    tried: list[dict[str, str]] = []
    d = draft(is_new=lambda edits: tried.append(dict(edits)) or len(tried) > 1)
    submit = {"description": " faster\n  and  shorter ", "hypothesis": "Less is more."}
    assert "nothing is edited yet" in d.use("submit", submit).text
    broken = edit(d, "B = 2", "B = (2")
    assert not broken.is_error
    assert "does not parse" in broken.text
    refused = d.use("submit", submit)
    assert refused.is_error
    assert "train.py does not parse: '(' was never closed (line 2)" in refused.text
    assert not tried
    edit(d, "B = (2", "B = 3")
    assert "had this very source" in d.use("submit", submit).text
    assert d.submitted is None
    assert not d.use("submit", submit).is_error
    assert d.submitted == ("faster and shorter", "Less is more.")
    assert tried[-1] == {"train.py": "A = 1\nB = 3\nA2 = 1\n"}


@pytest.mark.parametrize("source", ["(" * 5000, "x = 1\0", "-" * 100_000 + "1"])
def test_a_source_that_no_parser_takes_is_refused_too(source):
    d = draft()
    edit(d, None, source)
    assert "does not parse" in d.use("submit", {"description": "d", "hypothesis": "h"}).text
    assert d.submitted is None


def test_notes_are_few_short_and_plain():
    d = draft()
    assert d.use("note", {"text": "\x1b[31mred\x1b[0m\n  wins " + "x" * 1000}).text == "noted"
    assert d.notes[0].startswith("red wins xxx")
    assert len(d.notes[0]) == 600
    for _ in range(MOST_NOTES):
        last = d.use("note", {"text": "more"})
    assert last.is_error
    assert len(d.notes) == MOST_NOTES


def test_other_files_can_be_read_and_long_ones_are_shown_in_part():
    d = draft(**{"long.txt": "z" * 300_000})
    assert d.use("read_file", {"path": "task.toml"}).text == "[task]"
    shown = d.use("read_file", {"path": "long.txt"}).text
    assert "100,000 more characters are left out" in shown
    assert len(shown) < 201_000


def test_the_schemas_are_what_the_api_takes():
    names = [tool["name"] for tool in TOOLS]
    assert names == ["read_file", "edit", "note", "submit"]
    for tool in TOOLS:
        assert set(tool) == {"name", "description", "input_schema"}
        assert set(tool["input_schema"]["required"]) <= set(tool["input_schema"]["properties"])
        assert tool["input_schema"]["additionalProperties"] is False
