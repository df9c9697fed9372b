"""A model at work in the cockpit: recorded runs whose journals hold its calls, waits, notes and repairs.

python tests/tui/agent_states.py STATE FOLDER     # write it, and show it as it stands there, at that time
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recorded_run import append, commit_of, diff_of, write_run
from states import Shown, cockpit

from core import events as ev
from core.history import History, fold
from core.journal import read

MODEL = "claude-opus-5-5"
THOUGHTS = """[asks claude-opus-5-5 at api.anthropic.com]
The record says that twice the steps helped most (#5, #9), and that width costs more than it gives within 15 s. The \
window pattern has been tried once, on another incumbent: #13 was kept by a hair.

I would rather look at the activation: squared ReLU wastes half of the hidden units early on.
    x = F.relu(self.fc(x)).square()
"""
DETAILS = {"agent": "claude", "model": MODEL, "calls": 4, "tokens": 18_204, "dollars": 0.0412}


def _history(folder: Path) -> History:
    return fold(read(folder / "journal.jsonl"))


def _by(folder: Path, agent: str, details: Mapping[str, Any], **engine: Any) -> None:
    """Make a recorded run that of another agent: its name, what its proposals did cost, its caps."""
    lines = []
    for line in (folder / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["type"] == "RunStarted":
            record["agent"] = agent
        elif record["type"] == "EngineStarted":
            record |= engine
        elif record["type"] == "Proposed" and record["number"]:
            record["details"] = dict(details)
        lines.append(json.dumps(record))
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")


def asked(folder: Path, after: float = 12.0) -> History:
    """A run of claude, with a cap of $5, that thinks of #18."""
    write_run(folder, 17, live=False, ended=False)
    _by(folder, "claude", DETAILS, agent_options={"model": MODEL}, max_dollars=5.0)
    h = _history(folder)
    append(
        folder,
        ev.ProgramRead(1, "be bold\n"),
        ev.CallReserved(17, 0, MODEL, 60_000, 0.9),
        ev.CallSettled(17, 0, 2_100, 15_000, 800, 1_904, 0.3788),
        ev.Remembered(17, "Width costs more than it gives within 15 s; steps are what counts. Try activations next."),
        ev.Remembered(17, "The spread of repeats is about 0.004: less is noise."),
        ev.Proposing(18, h.incumbent),
        ev.CallReserved(18, 1, MODEL, 62_000, 0.9),
        ev.CallSettled(18, 1, 900, 17_000, 0, 1_300, 0.0412),
        ev.CallReserved(18, 2, MODEL, 62_000, 0.9),
        at=h.last_time,
    )
    (folder / "agent").mkdir()
    (folder / "agent" / "18.log").write_text(THOUGHTS)
    return _history(folder)


def thinking(folder: Path) -> Shown:
    return Shown(asked(folder).last_time + 12)


def waiting(folder: Path) -> Shown:
    h = asked(folder)
    append(folder, ev.AgentWaits(18, "api.anthropic.com: 529 overloaded", 55.0), at=h.last_time + 12)
    return Shown(h.last_time + 24)


def patient(folder: Path) -> Shown:
    """The server asks for a day."""
    h = asked(folder)
    why = "api.anthropic.com: 429 this request would exceed your organization's rate limit; it asks for 86,400 s"
    append(folder, ev.AgentWaits(18, why, 300.0), at=h.last_time + 12)
    return Shown(h.last_time + 24)


def unable(folder: Path) -> Shown:
    h = asked(folder)
    reason = "api.anthropic.com: 401 invalid x-api-key"
    mend = "set another with: autoresearch key set, then: autoresearch resume nov20"
    append(folder, ev.RunPaused(reason, mend), at=h.last_time + 2)
    return Shown(h.last_time + 756)


def capped(folder: Path) -> Shown:
    h = asked(folder)
    message = "the next call could bring this run to $5.31, and the cap is $5.00; go on with a higher one: "
    append(folder, ev.RunEnded("done", message + "autoresearch resume nov20 --max-dollars N"), at=h.last_time + 2)
    return Shown(h.last_time + 5, alive=False)


def _crash(folder: Path, agent: str = "claude") -> History:
    """#18 crashed; its agent is asked to mend it."""
    h = asked(folder)
    if agent != "claude":
        engine = {"agent_options": {}}
        _by(folder, agent, {"agent": agent, "unconfined": True, "dropped": ["notes.txt", "data/x.bin"]}, **engine)
    at = h.last_time + 20
    old = next(
        event.edits["train.py"]
        for event, _ in read(folder / "journal.jsonl")
        if isinstance(event, ev.Proposed) and event.number == h.incumbent
    )
    new = old.replace("F.relu(self.fc(x)).square()", "F.gelu(self.fc(x).float())")
    words = ("GELU in the place of squared ReLU", "smoother, and no hidden unit is ever dead")
    details = DETAILS if agent == "claude" else {"agent": agent, "unconfined": True, "dropped": ["notes.txt"]}
    log = 'Traceback (most recent call last):\n  File "train.py", line 41\nRuntimeError: expected dtype bfloat16'
    append(
        folder,
        ev.CallSettled(18, 2, 900, 17_000, 0, 1_300, 0.0412),
        ev.Proposed(18, commit_of(h.incumbent or 0), h.incumbent, {"train.py": new}, *words, details),
        ev.Committed(18, commit_of(18), "refs/autoresearch/nov20/18", diff_of(old, new), new.count("\n")),
        ev.TrialStarted(18, 1, 42, 5018),
        ev.Crashed(18, 1, "RuntimeError: expected dtype bfloat16", log, 4.1),
        at=at,
    )
    trial = folder / "trials" / "18-1"
    trial.mkdir(parents=True, exist_ok=True)
    (trial / "log").write_text(log + "\n")
    return _history(folder)


def repairing(folder: Path) -> Shown:
    h = _crash(folder)
    append(folder, ev.CallReserved(18, 3, MODEL, 30_000, 0.4), at=h.last_time)
    with (folder / "agent" / "18.log").open("a") as log:
        log.write("\nThe projection wants bfloat16: the cast has to go back.\n")
    return Shown(h.last_time + 7)


def repaired(folder: Path, agent: str = "claude") -> Shown:
    """Mended twice, then kept; the next one is being thought of."""
    h = _crash(folder, agent)
    details = DETAILS if agent == "claude" else {"agent": agent, "unconfined": True, "dropped": ["notes.txt"]}
    for repair in (1, 2):
        append(
            folder,
            ev.RepairProposed(18, repair, {}, "GELU, cast back to bfloat16", "the same idea", details),
            ev.Committed(18, commit_of(18 + repair), f"refs/autoresearch/nov20/18-r{repair}", "-a\n+b\n", 52),
            ev.TrialStarted(18, 1 + repair, 42, 5018),
            *([ev.Crashed(18, 2, "oom", "MemoryError", 4.1)] if repair == 1 else []),
            at=h.last_time + 5 * repair,
        )
    append(
        folder,
        ev.TrialReady(18, 3, 1.9),
        ev.TrialDone(18, 3, 15.1, 110),
        ev.Measured(18, 3, 2.2511, 15.1, 20.3, 520.0),
        ev.Judged(18, "keep", "better", h.incumbent, -0.0482),
        ev.ExperimentDone(18),
        ev.Proposing(19, 18),
        at=h.last_time + 30,
    )
    return Shown(h.last_time + 33)


def unconfined(folder: Path) -> Shown:
    return repaired(folder, "command:claude -p --permission-mode acceptEdits")


def lame(folder: Path) -> Shown:
    """A hybrid whose ideas agent has no key: numbers go on."""
    write_run(folder, 17, live=False, ended=False)
    why = {"asked": 12, "reason": "the claude agent needs an API key; no API key: autoresearch key set"}
    _by(folder, "hybrid", {"arm": "numbers", "no_ideas": why})
    h = _history(folder)
    append(folder, ev.Proposing(18, h.incumbent), at=h.last_time)
    return Shown(h.last_time + 2)


STATES: dict[str, Callable[[Path], Shown]] = {
    state.__name__: state
    for state in (thinking, waiting, patient, unable, capped, repairing, repaired, unconfined, lame)
}


def main() -> None:
    state, folder = sys.argv[1], Path(sys.argv[2])
    cockpit(folder, STATES[state](folder)).run()


if __name__ == "__main__":
    main()
