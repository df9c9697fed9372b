"""The walls between the rooms, and what must not be imported before the cockpit paints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "mlx", "numpy", "optuna", "pygit2", "anthropic", "pyarrow", "huggingface_hub")


def loaded(module: str) -> set[str]:
    """The top-level modules that importing `module` brings in, in a fresh interpreter."""
    code = f"import sys, {module}; print(' '.join({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_walls_hold():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_cockpit_paints_before_anything_heavy_loads():
    assert not loaded("tui.cli") & {*HEAVY, "textual"}
    assert not loaded("tui.app") & set(HEAVY)


def test_the_engine_needs_no_array_library_and_no_viewer():
    assert not loaded("core.engine") & {"torch", "mlx", "numpy", "textual", "optuna", "anthropic", "tui", "backends"}


def test_the_trusted_evaluator_never_loads_torch():
    assert not loaded("backends.reference.evaluate") & {"torch", "mlx", "textual", "pygit2"}
