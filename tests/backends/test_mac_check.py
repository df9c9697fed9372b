"""The self-test for owners of a Mac: its stored numbers hold, and it notices when they do not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from backends.reference.profiles import Device

CPU = Device("cpu", "a processor", 64_000, demo="mlx-cpu")


@pytest.fixture(scope="module")
def mac_check() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "mac_check.py"
    found = importlib.util.spec_from_file_location("mac_check", path)
    assert found
    assert found.loader
    module = sys.modules["mac_check"] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_stored_numbers_hold(mac_check: ModuleType) -> None:
    assert mac_check.numbers(CPU, 1.0).startswith("cpu within")


@pytest.mark.parametrize("name", ["embedding.weight", "blocks.2.attention.gate.weight"])
def test_a_number_that_is_off_is_named(name: str, mac_check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mac_check.GRADIENTS, name, 1.001 * mac_check.GRADIENTS[name])
    with pytest.raises(mac_check.Wrong, match=rf"on cpu {name} is -1.0e-03 off"):
        mac_check.numbers(CPU, 1.0)


def test_what_tested_no_mac_does_not_look_like_a_pass(mac_check: ModuleType) -> None:
    metal = Device("metal", "Apple M2", 16_000)
    assert mac_check.last_line(CPU, 0) == "NOT TESTED: all well, but this is not a Mac with Apple Silicon"
    assert mac_check.last_line(metal, 0) == "all well"
    assert mac_check.last_line(metal, 1).startswith("1 of ")


def test_the_cockpit_paints(mac_check: ModuleType) -> None:
    assert mac_check.first_paint(CPU, 1.0).endswith(" s")
