"""Facts are dataclasses that cost less: what dataclasses do for those who use them, these do too."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping

import pytest

from core.facts import fact, folded, replace


@fact
class Point:
    """Somewhere."""

    x: int
    y: int = 2


@fact
class Pixel:
    """The same fields, another fact."""

    x: int
    y: int = 2


@fact
class Locked:
    """With something that is nobody's business."""

    door: str
    key: str = dataclasses.field(repr=False)


@fact
class Bare:
    """No field at all."""


@folded
class Walk:
    """What a fold adds up to."""

    steps: tuple[Point, ...] = ()
    seen: Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_equal_by_their_fields_and_kind() -> None:
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(1, 3)
    assert Point(1) != Pixel(1)
    assert Point(1) != (1, 2)
    assert Bare() == Bare()
    assert Walk((Point(1),)) == Walk((Point(1),))
    assert Walk((Point(1),)) != Walk((Pixel(1),))  # type: ignore[arg-type]
    assert Locked("a", "b") != Locked("a", "c")


def test_a_key_of_a_mapping() -> None:
    assert {Point(1): "here", Bare(): "there"}[Point(1, 2)] == "here"
    assert len({Point(1), Point(1, 2), Point(2)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Walk())


def test_shown_with_their_fields_but_for_secrets() -> None:
    assert repr(Walk((Point(1),))) == "Walk(steps=(Point(x=1, y=2),), seen={})"
    assert repr(Locked("front", "under the mat")) == "Locked(door='front')"
    assert repr(Bare()) == "Bare()"


def test_given_fields_only() -> None:
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1, z=3)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("made", [fact, folded])
def test_frozen_to_the_type_checker(made: object) -> None:
    assert "'frozen_default': True" in repr(made.__dataclass_transform__)  # type: ignore[attr-defined]


def test_taken_apart() -> None:
    match Point(1):
        case Point(x, y):
            assert (x, y) == (1, 2)
    assert dataclasses.asdict(Walk((Point(1),))) == {"steps": ({"x": 1, "y": 2},), "seen": {}}


@pytest.mark.parametrize("whole", [Point(1), Walk((Point(1),), {"a": 1}), Bare()])
def test_sent_to_another_process(whole: object) -> None:
    assert pickle.loads(pickle.dumps(whole, pickle.HIGHEST_PROTOCOL)) == whole


def test_copied_with_a_change() -> None:
    assert replace(Point(1), y=5) == Point(1, 5)
    walk = Walk((Point(1),))
    assert replace(walk, seen={"a": 1}) == Walk((Point(1),), {"a": 1})
    assert walk.seen == {}
    for whole in (Point(1), walk):
        with pytest.raises(TypeError):
            replace(whole, z=3)
