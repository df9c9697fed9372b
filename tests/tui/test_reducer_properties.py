"""Whatever a journal says, in whatever order, the folds add up and every row of every viewer can be painted."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from driving import cockpit
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from recorded_run import STARTED_AT, write_run
from rich.cells import cell_len
from textual.strip import Strip

from core import events as ev
from core import history as past
from core import records
from core.history import History
from tui import agent_words, feed, plain, told
from tui.asked import words as asked_words
from tui.away import Look, while_away
from tui.chart import LABEL_CELLS, QUANTITIES, View, draw, index_of, points, rail
from tui.diffs import Pair, diff_lines, side_by_side, wrapped
from tui.feed import State
from tui.glyphs import LEVELS
from tui.listing import FILTERS, Listing
from tui.live import Live, report, step_words
from tui.load import Load
from tui.standing import activity, counts, label, last_crash, standing
from tui.tail import parse, to_event
from tui.terminal import title
from tui.widgets.diff import marked
from tui.widgets.paint import Piece, crop, shorten
from tui.widgets.rows import finished, in_flight
from tui.widgets.status import Notice, curves, head, tiny, words, work

# The same examples every time, and none made smaller: that takes minutes; to have it, take `phases` away.
FEW = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

# --- any events ------------------------------------------------------------------------------------------------------

HOSTILE = (
    "", "a", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link", "\x9b2J", "\x1bP+q\x1b\\",
    "漢字\t\r\n", "−", "\ud800", "\u202eevil\u2066", "e\u0301\u200d👩\u200d🔬🇩🇪", "\x00\x07\x08\x7f", " ", "\n\n",
    "x" * 3000, "字" * 300,
    "over\rwritten", "--- a/x\n+++ b/x\n", "Error: x", "\u2028\u2029\x85", "[bold]markup[/bold] [/", "%s {0} {",
)  # fmt: skip
DIFFS = (
    "", "\n", "@@ -1 +1 @@\n-a\n+b\n",
    "@@ -1,2 +1,2 @@\n-\x1b[2J\tα\r\n+漢字\x00\r\n x\n\\ No newline at end of file\n",
    "diff --git a/x b/x\nBinary files a/x and b/x differ\n", "GIT binary patch\nliteral 3\nKcmZ\n",
    "@@ -0,0 +1 @@\n+" + "字" * 900,
    f"@@ -{'9' * 30} +{'9' * 30} @@\n+x\n", f"@@ -{'9' * 5000} +1 @@\n+x\n", "+no hunk\n-no hunk",
    "--- a\n+++ \x1b[31mb\n@@\n",
    "@@ -1,3 +1,3 @@\n" + "-old\n" * 40 + "+new\n" * 50,
)  # fmt: skip
HUGE = 10**400
NUMBERS = st.integers(-1, 5) | st.sampled_from([-(10**30), 10**30, HUGE])
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=30)
FLOATS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 10)
OPEN = st.sampled_from([
    {}, {"metric": {"name": "m", "direction": "max"}}, {"metric": 3, "task": [], "budget": {"startup_seconds": "x"}},
    {"metric": {"name": "\x1b[31m\n", "direction": 5}, "budget": {"startup_seconds": math.nan, "timeout_seconds": -1}},
    {"num_steps": 0, "tokens_per_second": math.inf, "a\nb": math.nan},
    {"num_steps": HUGE, "big": HUGE, "total_tokens_M": 1},
    {"commands": {"train": "x"}, "metric": {"name": ""}}, {"num_steps": -3, "total_tokens_M": "x"},
    {"dollars": HUGE, "tokens": -1, "calls": math.nan, "unconfined": True, "dropped": ["\x1b[2J", 3], "agent": 5},
    {"dollars": -0.5, "tokens": math.inf, "calls": 1, "unconfined": 1, "dropped": "x", "model": "\x1b[2J\n", "arm": []},
])  # fmt: skip
OUTCOMES = ("keep", "discard", "crash", "\x1b[2J")  # the last is of a newer engine, or of nobody
EDITS = st.sampled_from([{}, {"train.py": "x = 1\n"}, {"\x1b[31m": "\x00"}])
BY_ANNOTATION: dict[str, st.SearchStrategy[object]] = {
    "int": NUMBERS, "float": FLOATS, "str": TEXTS, "bool": st.booleans(),
    "Outcome": st.sampled_from(OUTCOMES), "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "Mapping[str, Any]": OPEN, "Mapping[str, str]": EDITS,
}  # fmt: skip
AGENTS = st.sampled_from(["search", "claude", "command:env:X /a/b c", "hybrid:command:", "command: ", "hybrid"]) | TEXTS
BY_NAME: dict[str, st.SearchStrategy[object]] = {"diff": st.sampled_from(DIFFS) | TEXTS, "agent": AGENTS}


def _value_of(field: dataclasses.Field[object]) -> st.SearchStrategy[object]:
    annotation = str(field.type)
    if field.name in BY_NAME:
        return BY_NAME[field.name]
    if annotation.startswith("Literal"):
        return st.sampled_from([word.strip(" \"'") for word in annotation[8:-1].split(",")])
    kind = annotation.removesuffix(" | None")
    return BY_ANNOTATION[kind] if kind == annotation else st.none() | BY_ANNOTATION[kind]


def _any(kind: type[ev.Event], **known: object) -> st.SearchStrategy[ev.Event]:
    """An event of this type; fields that are known are taken where the type has them."""
    fields = dataclasses.fields(kind)
    fixed = {name: st.just(value) for name, value in known.items() if name in {f.name for f in fields}}
    return st.builds(kind, **{f.name: fixed.get(f.name, _value_of(f)) for f in fields})


ANY_EVENT = st.one_of(*(_any(kind) for kind in records.TYPES.values()))


def _in_order(number: int, *kinds: type[ev.Event]) -> st.SearchStrategy[tuple[ev.Event, ...]]:
    return st.tuples(*(_any(kind, number=number) for kind in kinds))


@st.composite
def stretches(draw: st.DrawFn, number: int) -> list[ev.Event]:
    """An experiment as it goes, or one more trial of it; anything may have come between, something may be missing."""
    asked: tuple[type[ev.Event], ...] = draw(
        st.sampled_from([(), (ev.ApprovalAwaited, ev.Approved), (ev.ApprovalAwaited, ev.Rejected, ev.Proposed)])
    )
    last = draw(st.sampled_from([(ev.TrialDone, ev.Measured), (ev.Crashed,)]))
    trial = (ev.TrialStarted, ev.TrialReady, ev.TrialHeld, ev.TrialContinued, *last)
    thinks = (ev.ProgramRead, ev.CallReserved, ev.CallSettled, ev.AgentWaits, ev.CallReserved, ev.Remembered)
    kinds: tuple[type[ev.Event], ...] = (ev.Proposing, *thinks, ev.Proposed, *asked, ev.Committed, *trial)
    if last == (ev.Crashed,) and draw(st.booleans()):
        kinds += (*thinks, ev.RepairProposed, ev.Committed, *trial)
    kinds += (ev.Judged, ev.BranchMoved, ev.ExperimentDone)
    if draw(st.booleans()):
        kinds += (ev.AgainAsked, ev.AgainStarted, *trial, ev.AgainDone)
    found = list(draw(_in_order(number, *kinds)))
    if draw(st.integers(0, 3)) == 0:
        found.insert(draw(st.integers(0, len(found))), draw(ANY_EVENT))
    if draw(st.integers(0, 5)) == 0:
        del found[draw(st.integers(0, len(found) - 1))]
    return found[: draw(st.integers(len(found) // 2, len(found)))] if draw(st.integers(0, 5)) == 0 else found


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[ev.Event, float]]:
    """Anything a journal may say, each event with a time; clocks may jump."""
    found: list[ev.Event] = []
    if draw(st.integers(0, 4)):
        found += [draw(_any(ev.RunStarted)), draw(_any(ev.EngineStarted))]
    for number in range(draw(st.integers(0, 4))):
        found += draw(stretches(number))
    found += draw(st.lists(ANY_EVENT, max_size=6))
    wild = draw(st.integers(0, 3)) == 0
    times = (
        st.floats(allow_nan=False, allow_infinity=False) if wild else st.floats(STARTED_AT - 4000, STARTED_AT + 9000)
    )
    return [(event, draw(times)) for event in found]


REPORTS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["step", "loss", "progress", "tokens_per_second", "memory_mb", "eta_seconds", "mfu", "seconds", "type"]
        ),
        FLOATS | NUMBERS | TEXTS | st.none() | st.booleans(),
    ),
    max_size=4,
)


def as_read(stream: Iterable[tuple[ev.Event, float]]) -> Iterator[tuple[ev.Event, float]]:
    """The events as a viewer reads them: written by the engine, read from the file."""
    for event, at in stream:
        record = parse(json.dumps(records.to_record(event, at), default=str))
        assert record is not None
        found = to_event(record)
        if found is not None:
            yield found


# --- the folds -------------------------------------------------------------------------------------------------------


def adds_up(h: History) -> None:
    """What holds of every history."""
    numbers = [e.number for e in h.experiments]
    assert numbers == sorted(set(numbers)), "one experiment a number, in their order"
    kept = [e.number for e in h.experiments if e.verdict.outcome == "keep"]
    assert h.incumbent == (kept[-1] if kept else None), "the incumbent is the last kept experiment"
    assert h.best is None or h.best.number == h.incumbent
    assert h.active_seconds >= 0
    assert len(h.rejected) <= h.refused
    assert h.notes_read <= h.notes_asked <= len(h.notes)
    assert set(h.asked_again) <= set(numbers)
    assert h.repeats is None or h.repeats in numbers
    assert h.waiting is None or h.pending is not None
    assert h.next_number >= min(0, *numbers, h.pending.number if h.pending else 0)
    baseline_kept = sum(e.number <= 0 and e.verdict.outcome == "keep" for e in h.experiments)
    assert sum(h.count(outcome) for outcome in OUTCOMES) + baseline_kept == len(numbers)


@FEW
@given(streams())
def test_the_history_adds_up_and_is_the_same_each_time(stream: list[tuple[ev.Event, float]]) -> None:
    h = History()
    for event, at in stream:
        before = repr(h)
        after = past.reduce(h, event, at)
        assert repr(h) == before, "what was there is not changed"
        h = after
        adds_up(h)
    assert repr(past.fold(stream)) == repr(h)


@FEW
@given(streams(), st.integers(0, 60))
def test_the_viewers_fold_is_the_same_in_whatever_portions_it_is_read(
    stream: list[tuple[ev.Event, float]], cut: int
) -> None:
    read = list(as_read(stream))
    one_by_one = State(alive=True)
    for event, at in read:
        one_by_one = feed.reduce(one_by_one, event, at)
    assert repr(feed.fold(feed.fold(State(alive=True), read[:cut]), read[cut:])) == repr(one_by_one)
    h = one_by_one.history
    adds_up(h)
    for outcome in OUTCOMES:
        assert one_by_one.counts.get(outcome, 0) == h.count(outcome)
    assert (one_by_one.best and one_by_one.best.number) == h.incumbent
    live = one_by_one.live
    assert (live and (live.number, live.trial)) == (
        h.pending and (h.pending.trial or None) and (h.pending.number, h.pending.trial)
    )


# --- what is painted -------------------------------------------------------------------------------------------------


def drawable(words: str) -> None:
    """No control character, nothing that turns or hides what follows."""
    if not words.isprintable():
        bad = [c for c in words if c != " " and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert not bad, ascii(words)


def row(pieces: Iterable[Piece], width: int | None = None) -> None:
    """Drawable, and at most so wide."""
    whole = "".join(words for words, _ in pieces)
    drawable(whole)
    assert width is None or cell_len(whole) <= width, (width, whole)


def state_of(stream: list[tuple[ev.Event, float]], reports: list[dict[str, object]], alive: bool) -> State:
    state = feed.fold(State(alive=alive, engine_log=("its last words",)), as_read(stream))
    live = state.live or Live(0, 1)
    for record in reports:
        live = report(live, record)
    load = Load(cpu=250, gpu=97, used_mb=1e5, total_mb=1.4e5, watts=700, celsius=88)
    return dataclasses.replace(state, live=live, load=load)


@FEW
@given(streams(), REPORTS, st.booleans(), st.sampled_from([0.0, STARTED_AT, STARTED_AT + 5000, 1e12, -1e12]))
@example([(ev.RunPaused("", ""), 1e300)], [], True, 0.0)
@example([(ev.Steered("x"), -1e300)], [], True, 0.0)
def test_no_words_break_a_viewer(
    stream: list[tuple[ev.Event, float]], reports: list[dict[str, object]], alive: bool, now: float
) -> None:
    state = state_of(stream, reports, alive)
    h = state.history
    for event, _ in as_read(stream):
        for line in plain.tell(event, state):
            drawable(line)
    said = [
        standing(state, now).detail, activity(state), counts(state), label(state), last_crash(state, now),
        asked_words(state.asked), state.metric, while_away(h, Look(0.0, 0, 0), now),
        *(title(state, now, glyphs) for glyphs in LEVELS), *plain.summary(state, Path(".")),
        *(plain.introduce(state) if h.run else ()), *plain.attach(state), *map(step_words, reports),
        plain.waiting(state), agent_words.waits(h, now), *agent_words.bill(h), agent_words.where(h),
        *map(agent_words.origin, h.experiments),
    ]  # fmt: skip
    for line in said:
        drawable(line)
    for width in (1, 8, 20, 60, 79, 80, 100, 160, 220):
        tiny(state, now, width)
        for part in (head, work, curves):
            row(part(state, now, width), width if width >= 60 and part is not head else None)
        for notice in (None, Notice("failed", "no engine answers; start it again with: autoresearch resume " * 3)):
            for pieces in words(state, now, width, notice):
                row(pieces, width if width >= 20 else None)


@FEW
@given(streams())
def test_every_experiment_has_its_row_its_notes_and_its_place_in_the_plot(stream: list[tuple[ev.Event, float]]) -> None:
    h = feed.fold(State(), as_read(stream)).history
    entries = [*h.experiments, *([h.pending] if h.pending else [])]
    for entry, width in itertools.product(entries, (20, 48, 79, 144)):
        pieces = (
            finished(entry, width, h.incumbent, "training")
            if entry in h.experiments
            else in_flight(entry, width, "x", False)
        )
        row(shorten(pieces, width), width)
    for entry, width in itertools.product((*entries, None), (1, 10, 40, 90)):
        for words_, _ in told.notes(h, entry, width):
            drawable(words_)
            assert width < 40 or cell_len(words_) <= width, (width, words_)
    for narrowed in (Listing(h, filter, search) for filter in FILTERS for search in ("", "a")):
        for place in range(len(narrowed)):
            number = narrowed.number(place)
            assert number is not None
            found = narrowed.row_of(number)
            assert found is not None
            assert narrowed.number(found) == number
    for quantity, scale, axis in itertools.product(QUANTITIES, ("clip", "log"), ("number", "time")):
        found = points(h, quantity)
        for width, height in ((20, 2), (61, 9)):
            grid = draw(found, width, height, View("min", scale, axis), quantity)
            assert all(cell_len(label_) <= LABEL_CELLS for label_ in grid.labels)
            for drawn in (*grid.marked(index_of(found, 1)), rail(found, grid.at, width, 1)):
                assert len(drawn) == width
                row(drawn, width)


@FEW
@given(st.sampled_from(DIFFS) | st.text(alphabet="+-@ \\ab1,\n\t\r漢\x1b[", max_size=120), st.integers(8, 60))
def test_any_diff_has_its_lines(diff: str, width: int) -> None:
    lines = diff_lines(diff)
    for line in lines:
        drawable(line.text)
        assert "".join(words for words, _ in marked(line)) == line.text
        row(crop(marked(line), 3, width), width)
    for line in wrapped(lines, width):
        assert cell_len(line.text) <= max(8, width)
    sides = list(side_by_side(lines))
    both = [line for pair in sides if isinstance(pair, Pair) for line in (pair.left, pair.right) if line]
    for kind in "+-":
        assert [line.text for line in both if line.kind == kind] == [line.text for line in lines if line.kind == kind]


@pytest.mark.parametrize("size", [(20, 5), (60, 15), (80, 24), (120, 40), (200, 60)])
async def test_every_line_on_the_screen_is_as_wide_as_its_place(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = write_run(tmp_path / "nov20", 3)
    async with cockpit(folder, size=size) as (app, pilot):
        app.feed.read = list  # nothing more comes from the folder
        screen = app.research
        placed = [screen.status, screen.plot, screen.experiments, screen.key_bar]
        placed += [screen.diffs.view, screen.log_tail, screen.notes]

        def painted(strip: Strip, width: int) -> None:
            assert strip.cell_length == width
            drawable(strip.text)

        @settings(FEW, max_examples=25)
        @given(streams(), REPORTS, st.booleans(), st.sampled_from([STARTED_AT, -1e12, 1e12]))
        def paints(
            stream: list[tuple[ev.Event, float]], reports: list[dict[str, object]], alive: bool, now: float
        ) -> None:
            state = state_of(stream, reports, alive)
            screen.show(state, now, None)
            for number in (*(e.number for e in state.history.experiments), None):
                screen.experiments.select(number)
                screen.show(state, now, Notice("done", "said"))
                for widget in placed:
                    width = getattr(widget, "scrollable_content_region", widget.size).width
                    for y in range(widget.size.height):
                        painted(widget.render_line(y), width)

        paints()
        await pilot.pause()
        assert app.is_running
