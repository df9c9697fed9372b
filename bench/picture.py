"""Draw the README's pictures, as SVG: the cockpit in the states that the snapshots of the tests hold.

    python bench/picture.py          # docs/cockpit.svg, docs/cockpit-80.svg, docs/cockpit-wide.svg

The run in them is the recorded one of the tests: real events and files, invented figures.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = {  # name: state, columns, rows, keys
    "cockpit": ("running", 120, 36, "b"),
    "cockpit-80": ("approving", 80, 24, ""),
    "cockpit-wide": ("running", 200, 50, "b"),
}


async def picture(state: str, columns: int, rows: int, keys: str, folder: Path) -> str:
    """A state of the cockpit at this size, after these keys."""
    from states import STATES, cockpit

    app = cockpit(folder, STATES[state](folder))
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause(0.5)  # a log is read in a thread
        return app.export_screenshot(title="autoresearch")


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "tui"))
    os.environ["TZ"] = "UTC"
    time.tzset()
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("CONFIG", "STATE"):  # the user's own theme and panes are not the README's
            os.environ[f"XDG_{kind}_HOME"] = scratch
        for name, (state, columns, rows, keys) in PICTURES.items():
            svg = asyncio.run(picture(state, columns, rows, keys, Path(scratch) / name / "nov20"))
            svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)  # they lie elsewhere: any monospace will do
            path = ROOT / "docs" / f"{name}.svg"
            path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
