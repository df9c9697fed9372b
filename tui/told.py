"""What is said of an experiment in words: in short above its diff, at length in the notes. Pure: no widget, no file."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from core.events import RunStarted
from core.experiment import Experiment, Measurement
from core.history import History, Pending
from core.notes import Note
from tui import agent_words, text
from tui.repeats import comparison, doubt, further, judgement, mean_of
from tui.tail import as_float

Words = tuple[str, str]  # a row, and its style in app.tcss

_HEX = re.compile(r"[0-9a-f]{7,64}")
_LONGEST = 12  # rows of a paragraph above the diff at most
_MOST_ROWS = 400  # of a paragraph in the notes at most
_MOST_NOTES = 50
_MOST_FINDINGS = 8
_STYLES = {"keep": "kept", "discard": "discarded", "crash": "crashed"}


def folded(line: str, width: int) -> list[str]:
    """A clean line in rows of at most `width` cells, broken between words."""
    width = max(8, width)
    if line.isascii():
        return textwrap.wrap(line, width)
    rows: list[str] = []
    for word in line.split():
        if rows and cell_len(rows[-1]) + 1 + cell_len(word) <= width:
            rows[-1] += f" {word}"
        else:
            rows += chop_cells(word, width) or [word]
    return rows


def _paragraph(words: str, width: int, most: int) -> list[str]:
    return [row for line in text.clean_lines(words) for row in folded(line, width)][:most]


def _head(entry: Experiment | Pending, beside: Experiment | None = None) -> Words:
    """The verdict and its figures; of what has none yet, why. `beside`: what the figures are compared with."""
    if isinstance(entry, Experiment):
        verdict, m = entry.verdict, entry.measurement
        figures = f"  {text.exact(m.value)}  {text.delta(entry.delta)}" if m else ""
        if m and beside is not None:
            difference = text.delta(m.value - beside.measurement.value) if beside.measurement else ""
            figures = f"  {text.exact(m.value)}  {difference} to #{beside.number}"
        said = text.one_line(ruled(entry))
        head = f"{text.GLYPHS.get(verdict.outcome, '?')} {said}{figures}"
        return head.rstrip(), _STYLES.get(verdict.outcome, "")
    if entry.awaited:
        return f"{text.WAITING} waits for your yes", "pausing"
    return "no verdict yet", "live"  # whether it runs, is held or was cut off stands in the list


def ruled(entry: Experiment) -> str:
    """`discard: worse`; a verdict of which no more is known is one word."""
    verdict = entry.verdict
    return f"{verdict.outcome}: {verdict.reason}" if verdict.reason not in ("", verdict.outcome) else verdict.outcome


def no_diff(run: RunStarted | None, number: int) -> str:
    """Why there is no diff of an experiment."""
    if run is not None and run.imported_from:
        gone = f"the repository of {run.imported_from} does not hold its commit"
        return "the baseline, as its table has it" if number == 0 else f"no diff: {gone}"
    return "no change: the baseline" if number == 0 else "no diff was recorded"


def _said(entry: Experiment | Pending) -> tuple[str, str]:
    """Description and hypothesis."""
    if isinstance(entry, Experiment):
        return entry.description, entry.hypothesis
    return (entry.proposed.description, entry.proposed.hypothesis) if entry.proposed else ("", "")


def about(entry: Experiment | Pending, width: int, brief: bool, beside: Experiment | None = None) -> Iterator[Words]:
    """The words above the diff: verdict, description, hypothesis, in rows of `width`; `brief`: in one."""
    head, style = _head(entry, beside)
    description, hypothesis = _said(entry)
    if brief:
        yield f"{head}  {text.one_line(hypothesis)}".rstrip(), style
        return
    commit = f"  {_commit(entry, 7)}".rstrip() if isinstance(entry, Experiment) else ""
    yield f"#{entry.number} {head}{commit}", style
    yield from ((row, "strong") for row in _paragraph(description, width, _LONGEST))
    yield from ((row, "dim") for row in _paragraph(hypothesis, width, _LONGEST))
    yield "", ""


def notes(history: History, entry: Experiment | Pending | None, width: int) -> list[Words]:
    """All that is known of an experiment beside its diff and log, in rows of `width` cells. Without one, or of the
    baseline: what is known of the run."""
    rows: list[Words] = []
    if entry is not None:
        rows += [
            (f"#{entry.number} {row}" if not i else row, style) for i, (row, style) in enumerate(_titled(entry, width))
        ]
        rows += _once_more(history, entry, width)
        rows += _hypothesis(entry, width)
        rows += _run(history, width) if entry.number == 0 else []
        rows += _facts(history, entry, width)
        rows += _repeats(history, entry, width)
        rows += _crash(entry, width)
        rows += _agent(history, entry, width)
        rows += _told(history, entry.number, width)
        rows += _remembered(history, entry.number, width)
        rows += _refused(history, entry, width)
    else:
        rows += _run(history, width)
    while rows and not rows[-1][0]:
        rows.pop()
    return rows or [("nothing is known yet", "dim")]


def _titled(entry: Experiment | Pending, width: int) -> Iterator[Words]:
    head, style = _head(entry)
    yield from ((row, style) for row in folded(head, width - 5))
    yield from ((row, "strong") for row in _paragraph(_said(entry)[0], width, _MOST_ROWS))
    if entry.edited:
        yield from ((row, "pausing") for row in folded("edited by hand before it was approved", width))
    if agent_words.unconfined(entry):
        yield from ((row, "pausing") for row in folded("unconfined: its agent ran with your rights", width))
    yield from ((row, "pausing") for row in _paragraph(agent_words.repairs(entry), width, _LONGEST))
    yield "", ""


def _section(title: str, rows: Sequence[Words]) -> list[Words]:
    return [(title, "accent"), *rows, ("", "")] if rows else []


def _once_more(history: History, entry: Experiment | Pending, width: int) -> list[Words]:
    """What its further trials say of its step; those of the best, of the whole gain."""
    if not isinstance(entry, Experiment):
        return []
    whole = comparison(history) if entry.number == history.incumbent else None
    said = [(row, "strong") for row in folded(judgement(whole), width)] if whole else []
    return _section("once more", said + [(row, "pausing") for row in folded(doubt(history, entry), width)])


def _hypothesis(entry: Experiment | Pending, width: int) -> list[Words]:
    return _section("hypothesis", [(row, "") for row in _paragraph(_said(entry)[1], width, _MOST_ROWS)])


def _commit(entry: Experiment, digits: int) -> str:
    """Of an imported run the first may be none: there stands a word."""
    return entry.commit[:digits] if _HEX.fullmatch(entry.commit) else ""


def _facts(history: History, entry: Experiment | Pending, width: int) -> list[Words]:
    if not isinstance(entry, Experiment):
        return []
    facts: list[str] = []
    m = entry.measurement
    if m and entry.incumbent is not None:
        was = "" if entry.delta is None else f" ({text.exact(m.value - entry.delta)})"
        facts.append(f"judged by #{entry.incumbent}{was}")
        facts += _other_steps(history, entry, m)
    if m:
        took = f"trained {text.seconds(m.train_seconds)}, {text.seconds(m.total_seconds)} in all, "
        facts.append(f"{took if m.total_seconds else ''}peak {text.memory(m.peak_memory_mb)}")
        imported = history.run is not None and history.run.imported_from
        why = "as its table has it" if imported else "the task has no evaluator"
        facts += [f"self-reported: {why}"] * m.self_reported
        facts += [f"{text.one_line(name)} {found}" for name, found in _findings(m)]
    lines = f"{entry.lines} lines" if entry.lines else ""
    facts += filter(None, [", ".join(filter(None, [_commit(entry, 10) and f"commit {_commit(entry, 10)}", lines]))])
    facts += [text.one_line(no_diff(history.run, entry.number))] if entry.number and not entry.diff else []
    return _section("measured", [(row, "dim") for fact in facts for row in folded(fact, width)])


def _other_steps(history: History, entry: Experiment, m: Measurement) -> list[str]:
    """Scores after another number of steps compare another thing than they seem to: where a fifth more or less."""
    judge = next((e.measurement for e in history.experiments if e.number == entry.incumbent), None)
    had, was = (as_float(found.findings.get("num_steps")) if found else None for found in (m, judge))
    if not had or not was or min(had, was) <= 0 or max(had, was) <= 1.2 * min(had, was) or not math.isfinite(had + was):
        return []
    return [f"{had:,.0f} steps; #{entry.incumbent}, by which it was judged, had {was:,.0f}"]


def _findings(m: Measurement) -> list[tuple[str, str]]:
    numbers = [(name, as_float(value)) for name, value in m.findings.items()]
    return [(name, f"{x:.6g}") for name, x in numbers if x is not None and math.isfinite(x)][:_MOST_FINDINGS]


def _repeats(history: History, entry: Experiment | Pending, width: int) -> list[Words]:
    if not isinstance(entry, Experiment):
        return []
    pending = history.pending
    rows: list[Words] = []
    if entry.repeats:
        trials = [(entry.trial, entry.measurement, entry.verdict.reason)]
        trials += [(r.trial, r.measurement, r.reason) for r in entry.repeats]
        for trial, m, reason in trials:
            judged = ", which was judged" if trial == entry.trial else ""
            rows.append((f"trial {trial}  {text.exact(m.value) if m else text.one_line(reason)}{judged}", ""))
        if len(values := further(entry)) > 1:
            spread = max(values) - min(values)
            told = f"the {len(values)} further ones: mean {text.score(mean_of(values))}, spread {text.score(spread)}"
            rows.append((told, "strong"))
    if pending and pending.again and pending.number == entry.number:
        rows.append(("another trial is under way", "live"))
    elif waiting := history.asked_again.count(entry.number):
        rows.append((f"{waiting} more asked for: after the experiment under way", "live"))
    return _section("trials", [(part, style) for row, style in rows for part in folded(row, width)])


def _crash(entry: Experiment | Pending, width: int) -> list[Words]:
    tail = entry.log_tail if isinstance(entry, Experiment) else entry.crashed.log_tail if entry.crashed else ""
    lines = text.clean_lines(tail)[-_MOST_ROWS:]
    return _section(
        "the end of its log", [(row, "crashed") for line in lines for row in chop_cells(line, width) or [""]]
    )


def _told(history: History, number: int, width: int) -> list[Words]:
    """What the user told the agent, and what the user rejected, before this experiment was proposed; the last first."""
    before = [note for note in history.notes if note.number <= number][-_MOST_NOTES:]
    said = [row for note in reversed(before) if not note.rejected for row in _note(note, width)]
    rejected = [row for note in reversed(before) if note.rejected for row in _note(note, width)]
    return _section("you rejected", rejected) + _section("you told the agent", said)


def _agent(history: History, entry: Experiment | Pending, width: int) -> list[Words]:
    """Who proposed it, what that did cost, what was dropped of it; of the one under way, what the run has spent."""
    details = agent_words.details_of(entry)
    who = ", ".join(text.one_line(str(details[key])) for key in ("agent", "model") if details.get(key))
    arm = text.one_line(str(details.get("arm") or ""))
    who = f"{who or 'the agent'}, of its {arm}" if arm else who
    said = [f"proposed by {who}"] if who else []
    said += [f"its ideas arm could not be asked: {why}"] if (why := agent_words.no_ideas(entry)) else []
    said += [cost] if (cost := agent_words.cost(entry)) else []
    said += [dropped] if (dropped := agent_words.dropped(entry)) else []
    said += agent_words.bill(history) if isinstance(entry, Pending) else []
    return _section("the agent", [(row, "dim") for line in said for row in _paragraph(line, width, _LONGEST)])


def _remembered(history: History, number: int, width: int) -> list[Words]:
    """What the agent wrote down for itself up to this experiment, the last first."""
    before = [note for note in history.memory if note.number <= number][-_MOST_NOTES:]
    rows: list[Words] = []
    for note in reversed(before):
        rows.append((f"while at #{note.number}, {text.time_of_day(note.time)}", "dim"))
        rows += [(f"  {row}", "") for row in _paragraph(note.text, width - 2, _MOST_ROWS)]
    return _section("the agent's notes to itself", rows)


def _note(note: Note, width: int) -> Iterator[Words]:
    what = f"proposed as #{note.number}" if note.rejected else f"for #{note.number} on"
    yield f"{what}, {text.time_of_day(note.time)}", "dim"
    words = note.text
    if note.rejected:
        described = text.one_line(note.rejected)
        words = f"{described}: {note.text}" if note.text.strip() else described
    yield from ((f"  {row}", "") for row in _paragraph(words, width - 2, _MOST_ROWS))


def _refused(history: History, entry: Experiment | Pending, width: int) -> list[Words]:
    last = history.last_refusal
    told = any(note.rejected and note.number == entry.number for note in history.notes)
    if last is None or last.number != entry.number or told:
        return []
    rows = [(row, "dim") for row in _paragraph(f"{text.one_line(last.description)}: {last.reason}", width, _LONGEST)]
    return _section("a proposal refused before it", rows)


def _run(history: History, width: int) -> list[Words]:
    run = history.run
    if run is None:
        return []
    where = f"{run.workspace}/{run.task_folder}".rstrip("/")
    limits = f"{text.seconds(run.train_seconds)} of training each"
    own = (history.plan, limits, f"in {where}, from commit {run.base[:10]}")
    said = (*(() if run.imported_from else own), *run.notes, *agent_words.bill(history))
    return _section("the run", [(row, "dim") for line in said for row in _paragraph(line, width, _MOST_ROWS)])
