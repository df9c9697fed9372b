"""The command that adds an extra: from where this installation came, not from an index that does not have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import installing


class Distribution:
    def __init__(self, told: dict[str, object] | None) -> None:
        self.told = told

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.told and json.dumps(self.told)


def test_it_is_installed_again_from_where_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    there = folder.as_uri()
    for told, source in (
        ({"url": there, "dir_info": {"editable": True}}, f"-e '{folder}[web]'"),
        ({"url": there, "dir_info": {}}, f"'{folder}[web]'"),
        ({"url": (tmp_path / "gone").as_uri(), "dir_info": {}}, "'.[web]' in a checkout of autoresearch"),
        (
            {"url": "https://x.example/a", "vcs_info": {"vcs": "git"}},
            "'autoresearch-tui[web] @ git+https://x.example/a'",
        ),
        (None, "'autoresearch-tui[web]'"),
    ):
        found = Distribution(told)
        monkeypatch.setattr("importlib.metadata.distribution", lambda name, found=found: found)
        assert installing.command("web") == f"pip install {source}"


def test_a_backend_is_installed_in_its_build_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "[mlx]'" in installing.for_backend("mlx")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert "[mlx-c" in installing.for_backend("mlx")
    assert "[torch]'" in installing.for_backend("cuda")
