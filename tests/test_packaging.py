"""The templates are found in a wheel and in an editable install alike."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
INIT = """
import core, sys
from tui.cli import main
print(core.__file__)
sys.argv = ["autoresearch", "init", "made"]
main()
"""


def init(cwd: Path, **env: str) -> str:
    """`autoresearch init made` in a fresh interpreter; returns where `core` was found."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", INIT], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (cwd / "made/program.md").read_text() == (ROOT / "program.md").read_text()
    assert "val_bpb" in (cwd / "made/cuda/task.toml").read_text()
    compile((cwd / "made/cuda/train.py").read_text(), "train.py", "exec")
    return done.stdout.splitlines()[0]


def test_editable(tmp_path):
    assert Path(init(tmp_path)).is_relative_to(ROOT)


def test_wheel(tmp_path):
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("autoresearch_tui-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    templates = {f"backends/{name}/{file}" for name in ("cuda", "mlx") for file in ("task.toml", "train.py")}
    page = {f"tui/web/page/{file}" for file in ("page.html", "page.css", "page.js", "icon.svg")}
    assert {"core/program.md", *templates, *page, "tui/app.tcss"} <= set(names)
    assert not [n for n in names if n.startswith(("tests/", "bench/"))]
    where = tmp_path / "elsewhere"
    where.mkdir()
    assert Path(init(where, PYTHONPATH=str(tmp_path / "site"))).is_relative_to(tmp_path / "site")
