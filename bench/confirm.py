"""Is the gain of the demo real? `autoresearch confirm` on its latest run, or on a new one of 20 experiments.

    python bench/confirm.py [--seeds 3]

Every score is printed, then the two means and whether their difference stands out from the spread.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from core.launch import demo_folder, runs


def main() -> None:
    """Run the demo if it never ran, then let the command itself say it."""
    command = str(Path(sys.executable).parent / "autoresearch")
    if not runs(demo_folder()):
        subprocess.run([command, "demo", "--plain", "--experiments", "20", "--seed", "0"], check=True)
    subprocess.run([command, "confirm", "--workspace", str(demo_folder()), *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
