"""A run folder is followed whatever lies in it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_run import write_run

from core import events as ev
from core import records
from tui.chart import LABEL_CELLS, QUANTITIES, View, draw, index_of, points, rail
from tui.feed import Feed, State, find, reduce
from tui.listing import Listing
from tui.live import CURVE_POINTS, Live, report
from tui.plain import summary, tell
from tui.standing import standing
from tui.tail import Lines, Tail, parse, to_event
from tui.widgets.status import head, tiny, words, work


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_run(tmp_path / "nov20", 18)


def test_a_recorded_run_adds_up(recorded: Path) -> None:
    feed = Feed(recorded)
    feed.read()
    state = feed.state
    assert (state.tag, state.metric, state.direction) == ("nov20", "val_bpb", "min")
    assert [e.number for e in state.history.experiments] == list(range(18))
    assert state.best is not None
    assert state.best.number == 13
    assert state.live is not None
    assert (state.live.number, state.live.step) == (18, 67)
    assert state.log is not None
    assert state.log.number == 18
    assert state.alive is False
    assert feed.read() == []
    assert feed.state is state, "nothing new: nothing to paint"


def test_lines_are_taken_once_and_only_when_complete(recorded: Path) -> None:
    whole = (recorded / "journal.jsonl").read_bytes()
    (recorded / "journal.jsonl").write_bytes(b"")
    feed = Feed(recorded)
    seen: list[str] = []
    for start in range(0, len(whole), 4999):
        with (recorded / "journal.jsonl").open("ab") as file:
            file.write(whole[start : start + 4999])
        seen += [line.verbatim for line in feed.read()]
    assert "\n".join(seen) + "\n" == whole.decode()
    assert len(feed.state.history.experiments) == 18


def test_torn_and_foreign_lines_are_passed_over(recorded: Path) -> None:
    journal = recorded / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = [
        b"{torn\n", b"\xff\xfe\n", b"[1, 2]\n", b"\n", b'{"type": "FromTheFuture", "time": 1}\n',
        b"[" * 100_000 + b"\n",
        b'{"type": "Judged", "time": 1.0, "number": "x", "outcome": 5, "reason": [], "incumbent": {}, "delta": "y"}\n',
        b'{"type": "ExperimentDone", "time": NaN, "number": 3}\n', b'{"type": "ExperimentDone"}\n',
    ]  # fmt: skip
    mixed = [part for i, line in enumerate(lines) for part in (foreign[i % len(foreign)], line)]
    journal.write_bytes(b"".join(mixed) + b'{"type": "Exper')
    feed = Feed(recorded)
    feed.read()
    while feed.behind:
        feed.read()
    assert len(feed.state.history.experiments) == 18
    assert feed.state.best is not None
    assert feed.state.best.number == 13


def test_whole_edits_are_not_held_in_memory(recorded: Path) -> None:
    feed = Feed(recorded)
    events = [line.event for line in feed.read()]
    assert all(not event.edits for event in events if isinstance(event, ev.Proposed))


def test_a_journal_that_begins_anew_is_read_anew(recorded: Path, tmp_path: Path) -> None:
    feed = Feed(recorded)
    feed.read()
    other = write_run(tmp_path / "other", 3)
    (other / "journal.jsonl").replace(recorded / "journal.jsonl")
    feed.read()
    assert len(feed.state.history.experiments) == 3


def test_telemetry_may_be_cut_short_or_missing(recorded: Path) -> None:
    feed = Feed(recorded)
    feed.read()
    telemetry = recorded / "trials" / "18-1" / "telemetry.jsonl"
    telemetry.write_text('{"step": 3, "loss": NaN, "progress": null}\nnonsense\n{"step": 4, "lo')
    feed.read()
    assert feed.state.live is not None
    assert feed.state.live.step == 3
    assert feed.state.live.loss_curve.points == ()
    telemetry.unlink()
    feed.read()
    assert feed.state.live.step == 3


def test_a_run_folder_may_vanish_or_never_have_been(recorded: Path, tmp_path: Path) -> None:
    for folder in (recorded, tmp_path / "nowhere"):
        feed = Feed(folder)
        feed.read()
        if folder.exists():
            folder.rename(tmp_path / "moved")
        assert feed.read() == []


def test_the_wanted_log_is_the_last_trials(recorded: Path) -> None:
    journal = (recorded / "journal.jsonl").read_text().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(journal) if '"TrialReady"' in line and '"number": 4' in line)
    again = records.to_record(ev.TrialVoid(4, 1, "power"), 1.0), records.to_record(ev.TrialStarted(4, 2, 42, 1), 1.0)
    journal[cut:cut] = [json.dumps(record) + "\n" for record in again]
    (recorded / "journal.jsonl").write_text("".join(journal))
    (recorded / "trials" / "4-2").mkdir()
    (recorded / "trials" / "4-2" / "log").write_text("second \x1b[31mtrial\x1b[0m\n")
    feed = Feed(recorded)
    feed.wanted = 4
    feed.read()
    assert feed.state.log is not None
    assert (feed.state.log.number, feed.state.log.lines) == (4, ("second trial",))


def test_a_trial_that_prints_next_to_nothing_is_told_from_its_telemetry(recorded: Path) -> None:
    log = recorded / "trials" / "18-1" / "log"
    log.write_text("")
    feed = Feed(recorded)
    feed.read()
    assert feed.state.log is not None
    assert feed.state.log.lines[-1] == "step    67   0:09  loss 3.8105  59.6k tok/s"
    log.write_text("cpu: attention sdpa\n")
    feed.read()
    assert feed.state.log.lines[0] == "cpu: attention sdpa"
    assert feed.state.log.lines[-1] == "step    67   0:09  loss 3.8105  59.6k tok/s"
    summary = ("cpu: attention sdpa", "---", "val_bpb: 2.3", "num_steps: 67")
    log.write_text("\n".join(summary) + "\n")
    feed.read()
    assert (feed.state.log.lines[0], *feed.state.log.lines[-3:]) == summary
    assert feed.state.log.lines[-4] == "step    67   0:09  loss 3.8105  59.6k tok/s"
    log.write_text("\n".join(f"line {i}" for i in range(9)) + "\n---\nval_bpb: 2.3\n")
    feed.read()
    assert not any(line.startswith("step") for line in feed.state.log.lines), "it speaks for itself"


def test_a_long_log_shows_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {i}\n" for i in range(100_000)))
    lines = Tail(tmp_path / "log").read()
    assert lines is not None
    assert lines[-1] == "line 99999"
    assert len(lines) < 10_000


def test_a_line_longer_than_a_reading_comes_whole(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"x" * 3_000_000 + b"\nshort\n")
    reader = Lines(tmp_path / "journal")
    lines = reader.read()
    while reader.more:
        lines += reader.read()
    assert [len(line) for line in lines] == [3_000_000, 5]


def test_the_loss_curve_stays_short() -> None:
    live = Live(1, 1)
    for step in range(5000):
        live = report(live, {"step": step, "loss": 5000.0 - step})
    assert len(live.loss_curve.points) <= CURVE_POINTS
    assert live.loss_curve.points[0] == 5000.0
    assert live.loss_curve.points[-1] < 200.0
    assert list(live.loss_curve.points) == sorted(live.loss_curve.points, reverse=True)


# --- whatever order events come in -----------------------------------------------------------------------------------

NUMBERS = st.integers(-1, 4)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
BY_ANNOTATION = {
    "int": NUMBERS,
    "float": FLOATS,
    "str": st.sampled_from(["", "a", "\x1b[31m", "漢字\t\r\n", "−"]),
    "bool": st.booleans(),
    "Outcome": st.sampled_from(["keep", "discard", "crash"]),
    "tuple[str, ...]": st.just(("note",)),
    "int | None": st.none() | NUMBERS,
    "float | None": st.none() | FLOATS,
    "str | None": st.none() | st.just("c"),
}


def value_of(field: dataclasses.Field[object]) -> st.SearchStrategy[object]:
    annotation = str(field.type)
    if annotation.startswith("Literal"):
        return st.sampled_from([word.strip(" \"'") for word in annotation[8:-1].split(",")])
    if annotation.startswith("Mapping"):
        return st.sampled_from([{}, {"metric": {"name": "m", "direction": "max"}}, {"metric": 3, "task": []}])
    return BY_ANNOTATION[annotation]


EVENTS = st.one_of(
    *(st.builds(kind, **{f.name: value_of(f) for f in dataclasses.fields(kind)}) for kind in records.TYPES.values())
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.floats(0, 2e9)), max_size=30), st.booleans())
def test_no_order_of_events_breaks_a_viewer(stream: list[tuple[ev.Event, float]], alive: bool) -> None:
    state = State(alive=alive)
    for event, at in stream:
        state = reduce(state, event, at)
        tell(event, state)
    standing(state, 1.0)
    summary(state, Path("."))
    for width in (20, 80, 200):
        for row in (head, work):
            row(state, 1.0, width)
        words(state, 1.0, width, None)
        tiny(state, 1.0, width)
    for quantity, scale, axis in itertools.product(QUANTITIES, ("clip", "log"), ("number", "time")):
        found = points(state.history, quantity)
        grid = draw(found, 60, 8, View(state.direction, scale, axis), quantity)
        assert all(len(label) <= LABEL_CELLS for label in grid.labels)
        assert all(len(row) == 60 for row in grid.marked(index_of(found, 1)))
        assert len(rail(found, grid.at, 60, 1)) == 60
    for narrowed in (Listing(state.history), Listing(state.history, "kept"), Listing(state.history, "", "a")):
        for row in range(len(narrowed)):
            number = narrowed.number(row)
            assert number is not None
            assert narrowed.row_of(number) is not None
            find(state.history, number)


@given(st.binary(max_size=200) | st.from_regex(rb'\{"type": "(Judged|Measured|Proposed)".{0,80}\}'))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    record = parse(line)
    if record is not None:
        to_event(record)
        assert report(Live(1, 1), record).number == 1


def test_numbers_beyond_all_measure_are_survived() -> None:
    record = parse(b'{"step": 1e999, "loss": -Infinity, "eta_seconds": ' + b"9" * 400 + b"}")
    assert record is not None
    live = report(Live(1, 1), record)
    assert live.step is None
    assert live.loss == -math.inf
    assert json.dumps(live.eta_seconds) == "null"
