"""What `status`, `results` and `diff` print: derived from the journal, but for what the disk holds."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from core.checkpoints import checkpoint_bytes
from core.control import alive
from core.errors import UsageError
from core.events import Acknowledged
from core.history import History, fold, reduce
from core.journal import results_tsv
from core.launch import command_for, resume_command
from core.own_words import BY_HAND
from tui import agent_words, asked, text
from tui.feed import State
from tui.going_on import as_typed, for_more, last_words
from tui.repeats import comparison, doubt, doubted, verdicts
from tui.tail import events
from tui.told import no_diff, ruled

LEAST_FREE_BYTES = 2**20
_NOTES = 3  # that are told


def history(run_folder: Path) -> History:
    """What the run's journal says now."""
    return fold(events(run_folder / "journal.jsonl"))


def _told(run_folder: Path) -> tuple[History, asked.Asked]:
    """The same, and what was asked for that is still to come about."""
    h, coming = History(), tuple[Acknowledged, ...]()
    for event, at in events(run_folder / "journal.jsonl"):
        h = reduce(h, event, at)
        coming = asked.after(coming, event, h)
    return h, coming


def status(run_folder: Path, known: tuple[History, asked.Asked] | None = None) -> dict[str, Any]:
    """The state of a run as JSON values; times in Unix seconds. `known`: its history and what it was asked for, where
    that has been read."""
    h, coming = known or _told(run_folder)
    if h.run is None:
        raise UsageError(f"{run_folder}: its journal has no first line")
    repeating = h.pending.number if h.pending and h.pending.again else None
    command = resume_command(run_folder)
    best, baseline = h.best, h.experiments[0] if h.experiments else None
    return {
        "tag": h.run.tag,
        "workspace": h.run.workspace,
        "run_folder": str(run_folder),
        "state": state(h, alive(run_folder)),
        "phase": h.phase,
        "experiment": h.pending.number if h.pending else None,
        "experiments": h.proposals,
        "limit": h.engine.experiments if h.engine else None,
        "kept": h.count("keep"),
        "discarded": h.count("discard"),
        "crashed": h.count("crash"),
        "metric": State(h).metric,
        "best": best.measurement.value if best and best.measurement else None,
        "best_experiment": best.number if best else None,
        "best_commit": best.commit if best else None,
        "baseline": baseline.measurement.value if baseline and baseline.measurement else None,
        "backend": h.run.backend,
        "device": h.run.device,
        "agent": h.run.agent,
        "agent_options": dict(h.engine.agent_options) if h.engine else {},
        "unconfined": agent_words.runs_unconfined(h),
        "no_ideas": (agent_words.no_ideas(h.experiments[-1]) if h.experiments else "") or None,
        "spent": _spent(h),
        "max_dollars": h.engine.max_dollars if h.engine else None,
        "max_tokens": h.engine.max_tokens if h.engine else None,
        "waits": _waits(h),
        "agent_notes": [{"time": n.time, "experiment": n.number, "text": n.text} for n in h.memory],
        "started": h.started_at,
        "active_seconds": round(h.active_seconds, 1),
        "ended": as_typed(h.ended.message, h.run.tag, command) if h.ended else None,
        "imported_from": h.run.imported_from or None,
        "self_reported": bool(best and best.measurement and best.measurement.self_reported),
        "checkpoint_bytes": sum(sizes := checkpoint_bytes(run_folder)),
        "checkpoints": len(sizes),
        "paused": h.paused.reason if h.paused else None,
        "mend": as_typed(h.paused.mend, h.run.tag, command) if h.paused else None,
        "paused_since": h.paused_since or (h.pending.held_since if h.pending else None),
        "approval": h.approval,
        "waiting": h.waiting.number if h.waiting else None,
        "waiting_description": h.waiting.description if h.waiting else None,
        "again": _queued(h.asked_again, repeating),
        "doubted": [e.number for e in doubted(h)],
        "further_trials": c.as_json() if (c := comparison(h)) else None,
        "verdicts": verdicts(h),
        "repeating": repeating,
        "coming": [f"{a.command}: {a.effect}" for a in coming],
        "notes": [{"time": n.time, "experiment": n.number, "text": n.text, "rejected": n.rejected} for n in h.notes],
    }


def _spent(h: History) -> dict[str, Any]:
    """Settled calls, and the most that it can be with those that broke off or are under way."""
    s = h.spent
    return {
        "dollars": round(s.dollars, 6),
        "tokens": s.tokens,
        "cached_tokens": s.cached,
        "calls": s.calls,
        "most_dollars": round(s.worst_dollars, 6),
        "most_tokens": s.worst_tokens,
        "words": agent_words.bill(h),
    }


def _waits(h: History) -> dict[str, Any] | None:
    """What the agent waits for before it tries again, and until when."""
    if h.waits is None or agent_words.waits_seconds(h, time.time()) is None:
        return None
    return {"reason": h.waits.reason, "until": h.waits_since + h.waits.seconds}


def _queued(asked: tuple[int, ...], repeating: int | None) -> list[int]:
    """Those that another trial is asked for, without the one that is having it."""
    queued = list(asked)
    if repeating in queued:
        queued.remove(repeating)
    return queued


def state(h: History, living: bool) -> str:
    """running, waiting (for the user's word), paused, done, stopped, failed, or gone: an engine that left without a
    last word."""
    if h.ended:
        return h.ended.reason
    if not living:
        return "gone"
    if h.paused or (h.pending and h.pending.held_since):
        return "paused"
    return "waiting" if h.waiting else "running"


def status_text(run_folder: Path, known: dict[str, Any] | None = None) -> str:
    """The same for people. `known`: it, where it has been asked for."""
    s = known or status(run_folder)
    doing = ""
    if s["state"] == "running" and s["experiment"] is not None:
        again = ", once more" if s["repeating"] is not None else ""
        doing = f", {s['phase']} experiment {s['experiment']}{again}"
    imported = s["imported_from"]
    stands = "its engine is gone" if s["state"] == "gone" else s["state"]
    lines = [f"run {s['tag']}: {f'imported from {imported}' if imported else stands}{doing}"]
    if s["best"] is not None:
        gain = f", baseline {text.exact(s['baseline'])}" if s["best_experiment"] else ""
        believed = ", self-reported" if s["self_reported"] else ""
        lines.append(f"best {s['metric']} {text.exact(s['best'])} (experiment {s['best_experiment']}{gain}){believed}")
    lines += s["verdicts"]
    of = f" of {s['limit']}" if s["limit"] is not None else ""
    counts = f"{s['kept']} kept, {s['discarded']} discarded, {s['crashed']} crashed"
    worked = "" if imported else f"; {_span(s['active_seconds'])} at work"
    unconfined = f" ({agent_words.UNCONFINED})" if s["unconfined"] else ""
    agent = " ".join(filter(None, (s["agent"], str(s["agent_options"].get("model") or "")))) + unconfined
    runs_on = agent_words.PRODUCTS.get(s["backend"], s["backend"]) or "own task"
    where = "" if imported else f"{runs_on} on {s['device']}, agent {agent}, "
    each = f"experiment{'' if s['experiments'] == 1 else 's'}"
    lines.append(f"{s['experiments']} {each}{of} after the baseline: {counts}{worked}")
    lines.append(f"{where}in {s['run_folder']}")
    if s["checkpoints"]:
        stored = f"checkpoint{'s' if s['checkpoints'] > 1 else ''}"
        lines.append(f"{s['checkpoints']} {stored}, {s['checkpoint_bytes'] / 1e6:,.1f} MB")
    command, shows = resume_command(run_folder), command_for(run_folder, f"diff {s['waiting']}")
    goes_on = f"go on with: {command}" if command else "its folder lies in no repository, so it can only be looked at"
    mend = {
        "done": ""
        if imported
        else "; ".join(filter(None, (last_words(s["ended"]), for_more(s["ended"], s["agent"], command)))),
        "gone": f"{_why_gone(run_folder)}{goes_on}",
        "stopped": goes_on,
        "paused": f"since {_clock(s['paused_since'])}: {s['paused'] or 'by the user'}; " + (s["mend"] or goes_on),
        "failed": s["ended"],
        "waiting": f"#{s['waiting']} waits for your yes: {s['waiting_description']}; "
        f"{shows} shows it; {command_for(run_folder, 'approve')} "
        "answers, or reject in its place",
    }
    if s["waits"] and s["state"] == "running":
        again = text.time_of_day(s["waits"]["until"], "%H:%M:%S")  # in how long would be news to --watch each second
        lines.append(f"{agent_words.quoted(s['waits']['reason'])}: again at {again}")
    lines += [f"its ideas arm cannot work: {s['no_ideas']}"] if s["no_ideas"] else []
    lines += s["spent"]["words"]
    lines += _wishes(s)
    lines += [said] if (said := mend.get(s["state"])) else []
    return "\n".join(as_typed(text.one_line(line), s["tag"], command) for line in lines)


def _wishes(s: dict[str, Any]) -> list[str]:
    """What the user has asked for that is still in force."""
    lines = ["approval is on: every proposal waits for your yes"] if s["approval"] else []
    if s["approval"] and not s["imported_from"] and s["state"] not in ("running", "waiting", "paused"):
        lines[0] += f"; without: autoresearch resume {s['tag']} --no-approve"
    if s["waiting"] is not None and s["state"] != "waiting":
        lines.append(f"#{s['waiting']} waits for your yes once the run goes on: {s['waiting_description']}")
    if s["again"]:
        then = "after this one, " if s["repeating"] is not None else ""
        lines.append(f"asked for: {then}another trial of {', '.join(f'#{number}' for number in s['again'])}")
    lines += s["coming"] if s["state"] in ("running", "waiting", "paused") else []
    said = [n["text"] for n in s["notes"] if not n["rejected"]]
    if len(said) == 1:
        lines.append(f"your note to the agent: {said[0]}")
    elif said:
        lines.append(f"{len(said)} notes to the agent, the last first:")
        lines += [f"- {note}" for note in reversed(said[-_NOTES:])]
    return lines


def failed(run_folder: Path) -> bool:
    """Whether the run has ended because it could not go on."""
    ended = history(run_folder).ended
    return ended is not None and ended.reason == "failed"


def results(run_folder: Path) -> str:
    """results.tsv, derived afresh."""
    return results_tsv(history(run_folder))


def results_table(run_folder: Path) -> str:
    """The same for people."""
    from tui.results import table

    return table(history(run_folder), shutil.get_terminal_size().columns)


def diff(run_folder: Path, number: int | None) -> str:
    """What an experiment changed, headed by what it was about and what became of it. None: the one that waits for the
    user's yes or is under way, else the newest."""
    h = history(run_folder)
    pending = h.pending
    if number is None:
        begun = pending is not None and pending.proposed is not None
        number = pending.number if pending and begun else len(h.experiments) - 1
    if pending and pending.number == number and pending.proposed and not pending.again:
        took = f"\n{told}" if (told := agent_words.origin(pending)) else ""
        if pending.awaited:
            head = f"experiment {number}: {pending.proposed.description} (waits for your yes){took}"
            return f"{head}\n{pending.proposed.hypothesis}\n\n{pending.awaited.diff}"
        if pending.committed or number:
            changes = pending.committed.diff if pending.committed else "(not committed yet)"
            return f"experiment {number}: {pending.proposed.description} (under way){took}\n\n{changes}"
    for e in h.experiments:
        if e.number == number:
            score = f"{text.exact(e.measurement.value)}, " if e.measurement else ""
            score += "self-reported, " if e.measurement and e.measurement.self_reported else ""
            by_hand = " (edited by you)" if e.edited and BY_HAND not in e.description else ""
            head = f"experiment {number}: {e.description}{by_hand}\n"
            head += f"{score}{ruled(e)}\n"
            head += f"{told}\n" if (told := agent_words.origin(e)) else ""
            again = [text.exact(r.measurement.value) if r.measurement else r.reason for r in e.repeats]
            head += f"once more: {', '.join(again)}\n" if again else ""
            head += f"{doubtful}\n" if (doubtful := doubt(h, e)) else ""
            head += f"{e.hypothesis}\n" if e.hypothesis else ""
            return f"{head}\n{e.diff or f'({no_diff(h.run, number)})'}"
    last = pending.number if pending and pending.proposed else len(h.experiments) - 1
    known = "none is there yet" if last < 0 else "there is 0" if last == 0 else f"there are 0 to {last}"
    raise UsageError(f"experiment {number}: not in run {run_folder.name}; {known}")


def _why_gone(run_folder: Path) -> str:
    """An engine that could write nothing more could not say so either."""
    return "the disk is full; " if shutil.disk_usage(run_folder).free < LEAST_FREE_BYTES else ""


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _clock(when: float | None) -> str:
    return text.time_of_day(when) if when else "?"
