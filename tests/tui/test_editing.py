"""Copies for the editor: they lie in their folder, whatever a journal calls its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UsageError
from tui.editing import Copies

NAMES = ("../x", "/etc/x", "//x", "a/../../../x", "..", "+:!cmd", "-c", "a/train.py")


@pytest.mark.parametrize("name", [name for name in NAMES if name != ".."])
def test_a_copy_stays_in_its_folder_and_is_passed_absolute(name: str) -> None:
    copies = Copies()
    copy = copies.of(3, {name: "x = 1\n"}, to_edit=False)
    (place,) = map(Path, copy.places)
    assert place.is_absolute()
    assert ".." not in place.parts
    assert place.resolve().is_relative_to(copy.folder.resolve())
    assert place.read_text() == "x = 1\n"
    assert copy.changed() == {}
    assert [p for p in copy.folder.rglob("*") if p.is_file()] == [place]
    copies.close()
    assert not copy.folder.exists()


def test_an_edit_of_a_strangely_named_file_comes_back_under_its_name() -> None:
    copies = Copies()
    copy = copies.of(3, {"+:!cmd": "x = 1\n"}, to_edit=True)
    copy.place("+:!cmd").write_text("x = 2\n")
    assert copy.changed() == {"+:!cmd": "x = 2\n"}
    copies.settled(3)
    assert not copy.folder.exists()


@pytest.mark.parametrize("names", [("..",), ("x", "../x"), ("x", "x/y")])
def test_files_of_which_no_copy_can_be_made_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"no copy"):
        Copies().of(3, dict.fromkeys(names, ""), to_edit=True)


def test_a_proposal_that_took_the_number_is_not_taken_for_the_one_before() -> None:
    copies = Copies()
    first = copies.of(3, {"train.py": "a"}, to_edit=True)
    assert copies.of(3, {"train.py": "a"}, to_edit=True) is first
    second = copies.of(3, {"train.py": "b"}, to_edit=True)
    assert second.place("train.py").read_text() == "b"
    assert not first.folder.exists()
    second.place("train.py").write_text("mine")
    copies.close()
    assert second.place("train.py").read_text() == "mine", "what no engine took is not lost"
