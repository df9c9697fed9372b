"""Write the README's picture, as SVG: the cockpit over a run of the demo that was recorded while it trained.

python bench/picture.py OUT.svg [COLUMNS ROWS]
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tui.app import Cockpit
from tui.feed import Feed

RECORDED_RUN = Path(__file__).parents[1] / "docs" / "recorded-run"


async def picture(run_folder: Path, columns: int, rows: int) -> str:
    """The cockpit as it looks with an experiment selected while the next one trains."""
    feed = Feed(run_folder, alive=lambda _: True)
    feed.read()
    now = feed.state.history.last_time + 9
    app = Cockpit(run_folder, feed=feed, clock=lambda: now)
    async with app.run_test(size=(columns, rows)) as pilot:
        for _ in range(100):
            await pilot.pause()
            if app.state.history.experiments:
                break
        await pilot.press("b")
        await pilot.pause()
        return app.export_screenshot(title="autoresearch")


def main() -> None:
    out = Path(sys.argv[1])
    columns, rows = (int(n) for n in sys.argv[2:4]) if len(sys.argv) > 3 else (120, 36)
    svg = asyncio.run(picture(RECORDED_RUN, columns, rows))
    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)  # the fonts lie elsewhere: any monospace will do
    out.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


if __name__ == "__main__":
    main()
