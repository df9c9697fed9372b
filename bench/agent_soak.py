"""A night of the agent `claude` in small: many experiments with a scripted server, and what the engine holds meanwhile.

    python bench/agent_soak.py [--experiments 200] [--seconds 1]

A real engine asks a real server on loopback; the task sleeps and prints a number. The script has what a night has:
turns with tools, notes, crashes and repairs, refusals, overload, connections that break off. Printed every 20
experiments: the engine's memory (resident), descriptors, threads and children. The last line is JSON;
the exit status is 1 where memory grows or something is left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "agents")]

import psutil  # noqa: E402
from messages_server import (  # noqa: E402
    MessagesServer,
    Step,
    cut,
    edit,
    edit_and_submit,
    reply,
    status,
    submit,
    text,
    thought,
    tool,
)

from core import control  # noqa: E402
from core.history import fold  # noqa: E402
from core.journal import read  # noqa: E402
from core.launch import Options, launch  # noqa: E402

TASK = """\
[task]
name = "soak"
artifact = ["train.py"]
[commands]
train = "{python} -P train.py"
[metric]
name = "loss"
pattern = '^loss: (\\S+)'
[budget]
train_seconds = 30
timeout_seconds = 60
"""
SOURCE = 'import time\nRATE = 0.5\ntime.sleep({seconds})\nprint("loss:", abs(RATE - 0.3))\n'
EVERY = 20
GROWTH_MB = 6.0  # over the second half of a soak


class Night:
    """The script: what the model answers, by chance, with one seed."""

    def __init__(self) -> None:
        self._chance = random.Random(0)
        self._count = 0

    def __call__(self, body: dict[str, Any]) -> Step:
        self._count += 1
        told = "".join(block.get("text", "") for block in body["messages"][0]["content"])
        shown = re.search(r"^RATE = (.+)$", told, re.M)
        old = shown[0] if shown else "RATE"
        new = f"RATE = {self._chance.uniform(0.2, 0.6):.6f}"
        change = edit_and_submit(old, new, f"to {new}")
        if len(body["messages"]) > 1:
            return reply(thought("Now."), text("I submit."), edit(old, new), submit(f"to {new}, {self._count}"))
        match self._count % 12:
            case 1:
                return status(529, "Overloaded", retry_after="0.05")
            case 3:
                return cut(change, 5)
            case 5:
                return edit_and_submit(old, "RATE = 1 / 0", "divide")
            case 7:
                return reply(text("no"), stop="refusal")
            case 9:
                return reply(tool("read_file", path="train.py"), tool("note", text=f"note {self._count}"))
        return change


def held(engine: psutil.Process) -> dict[str, float]:
    """What the engine holds just now."""
    children = [p for p in engine.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return {
        "mb": engine.memory_info().rss / 2**20,
        "descriptors": engine.num_fds(),
        "threads": engine.num_threads(),
        "children": len(children),
    }


def workspace(folder: Path, seconds: float) -> Path:
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    (folder / "train.py").write_text(SOURCE.format(seconds=seconds))
    names = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*names, "commit", "-qm", "start")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def soak(folder: Path, experiments: int, seconds: float) -> dict[str, Any]:
    """Run it, and look at the engine as it goes."""
    looks: list[dict[str, float]] = []
    before = set(psutil.pids())
    with contextlib.ExitStack() as stack, MessagesServer([], default=Night()) as server:
        options = Options(
            str(workspace(folder / "soak", seconds)), agent="claude", tag="soak", experiments=experiments,
            agent_options={"base_url": server.url}, max_dollars=1e6,
        )  # fmt: skip
        run = launch(options, lambda line: None)
        engine = psutil.Process(int((run / "engine.lock").read_text().split()[0]))
        stack.callback(_end, engine)
        print(f"{'experiments':>12}{'MB':>9}{'descriptors':>13}{'threads':>9}{'children':>10}")
        while control.alive(run):
            done = (run / "results.tsv").read_text().count("\n") - 2 if (run / "results.tsv").exists() else 0
            if done >= EVERY * (len(looks) + 1):
                try:
                    looks.append({"experiments": done, **held(engine)})
                except psutil.Error:
                    break
                now = looks[-1]
                print(
                    f"{done:>12}{now['mb']:>9.1f}{now['descriptors']:>13.0f}{now['threads']:>9.0f}"
                    f"{now['children']:>10.0f}", flush=True,
                )  # fmt: skip
            time.sleep(0.5)
        charged = server.dollars(4, 20)
        asked = len(server.requests)
    history = fold(read(run / "journal.jsonl"))
    left = [pid for pid in set(psutil.pids()) - before if _is_ours(pid, folder)]
    turns = [name for name in os.listdir(run / "agent") if name.endswith(".jsonl")]
    half = looks[len(looks) // 2 :] or [{"mb": 0.0, "descriptors": 0, "threads": 0}]
    return {
        "experiments": len(history.experiments) - 1, "kept": history.count("keep"), "crashed": history.count("crash"),
        "repairs": sum(len(e.repairs) for e in history.experiments), "refused": history.refused, "requests": asked,
        "charged": round(charged, 4), "counted": round(history.spent.worst_dollars, 4),
        "grown_mb": round(half[-1]["mb"] - half[0]["mb"], 1), "mb": round(half[-1]["mb"], 1),
        "descriptors": [half[0]["descriptors"], half[-1]["descriptors"]],
        "threads": [half[0]["threads"], half[-1]["threads"]], "left": len(left) + len(turns),
    }  # fmt: skip


def _end(engine: psutil.Process) -> None:
    """End the engine where this bench is interrupted."""
    with contextlib.suppress(psutil.Error):
        engine.terminate()


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        return str(folder) in " ".join(psutil.Process(pid).cmdline()) or psutil.Process(pid).cwd().startswith(
            str(folder)
        )
    except (psutil.Error, OSError):
        return False


def main() -> None:
    """The table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a trial takes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {f"XDG_{kind}_HOME": f"{folder}/{kind}" for kind in ("CACHE", "DATA", "CONFIG", "STATE")}
        os.environ["ANTHROPIC_API_KEY"] = "no-key-is-needed-here"
        figures = soak(Path(folder), arguments.experiments, arguments.seconds)
    fine = (
        figures["experiments"] == arguments.experiments
        and figures["grown_mb"] < GROWTH_MB
        and figures["descriptors"][1] <= figures["descriptors"][0] + 4
        and figures["left"] == 0
        and figures["charged"] <= figures["counted"]
    )
    print(json.dumps({"bench": "agent_soak", **figures, "fine": fine}))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
