"""The cockpit before a living engine, in a real terminal: start, pause, resume, read a diff, leave, come back."""

from __future__ import annotations

import sys
from pathlib import Path

from conftest import ended, git, history
from emulator import terminal

from core.launch import Options

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")


def test_it_controls_a_demo_and_the_run_outlives_it(demo_folders: Path) -> None:
    workspace = demo_folders / "data" / "autoresearch" / "demo"
    words = ("demo", "--experiments", "1", "--budget", "6", "--seed", "0", "--device", "cpu")
    with terminal(AUTORESEARCH, *words) as t:
        t.until(lambda: "training #0" in t.shown and "loss" in t.shown, 90)
        folder = next(p.parent for p in workspace.glob(".autoresearch/*/journal.jsonl"))
        t.press("p")
        t.until(lambda: "PAUSED" in t.screen.display[0].upper())
        assert history(folder).pending.held_since is not None
        t.press("p")
        t.until(lambda: "RUN" in t.screen.display[0])
        assert history(folder).pending.held_since is None
        t.until(lambda: "training #1" in t.shown, 90)
        t.until(lambda: "+" in t.shown and "train.py" in t.shown)
        diff = history(folder).pending.committed.diff  # of a number, or of a structural move
        added = next(line for line in diff.split("\n") if line.startswith("+") and not line.startswith("+++"))
        t.until(lambda: f"+ {added[1:25].rstrip()}" in t.shown)
        t.press("q")
        t.until(lambda: "detach" in t.shown.lower())
        t.press("d")
        t.until(lambda: t.process.poll() is not None)
        t.draw(0.1)
        assert t.process.returncode == 0
        assert t.left_clean
        assert history(folder).ended is None
    with terminal("sh", "-c", f"cd {workspace} && exec {AUTORESEARCH}") as t:
        t.until(lambda: folder.name in t.screen.display[0] and "RUN" in t.screen.display[0])
        t.press("q")
        t.until(lambda: "detach" in t.shown.lower())
        t.press("d")
        t.until(lambda: t.process.poll() is not None)
    h = ended(folder, 120)
    assert [e.number for e in h.experiments] == [0, 1]
    assert h.experiments[0].trials == 1
    assert h.experiments[0].measurement.train_seconds < 6 + 3


def test_it_attaches_to_the_latest_run_here(toy: Path, engines) -> None:
    source = "import time\ntime.sleep(4)\n" + (toy / "train.py").read_text()
    (toy / "train.py").write_text(source)
    git(toy, "commit", "-qam", "slower")
    folder = engines(Options(str(toy), tag="here", experiments=0))
    with terminal("sh", "-c", f"cd {toy} && exec {AUTORESEARCH}") as t:
        t.until(lambda: "here" in t.screen.display[0] and "RUN" in t.screen.display[0])
        t.press("q")
        t.until(lambda: "detach" in t.shown.lower())
        t.press("\x1b")
        t.until(lambda: "detach" not in t.shown.lower())
        t.until(lambda: "DONE" in t.screen.display[0].upper(), 30)
    assert [e.number for e in ended(folder).experiments] == [0]
