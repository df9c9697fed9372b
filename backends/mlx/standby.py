"""The `standby` verb of this backend: imports what a trial of the reference GPT will."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

from backends.reference import standby
from core import sandbox

ARTIFACT = Path(__file__).with_name("train.py")


def modules(device: str) -> list[str]:
    """What the artifact as it is packaged imports, read from its source."""
    tree = ast.parse(ARTIFACT.read_text(encoding="utf-8"))
    found = ["numpy"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]  # some are modules too
    return found


def import_until_asked() -> None:
    """Import what a trial's other processes need, with what it leaves over, until the first question comes."""
    control = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text(encoding="utf-8"))["control"]
    if not standby.finished(standby.import_until_asked(control, modules("cpu"))):
        standby.start([sys.executable, *sys.orig_argv[1:]])  # which finds the question waiting, and imports at once


def main() -> None:
    """Import, wait, become the trial."""
    standby.main(modules, standby.lines_on_environment(ARTIFACT))
