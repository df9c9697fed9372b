"""The truth on disk: every event comes back as it went in, and damage at the end costs the damaged line only."""

from __future__ import annotations

import dataclasses
import errno
import json
import resource
import typing
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core.journal
from core import events as ev
from core import records
from core.errors import RunFailed
from core.history import History, fold, reduce
from core.journal import Journal, read

TEXT = st.text(max_size=20)
NUMBERS = st.integers(0, 30)
FIELDS = {
    "int": NUMBERS,
    "int | None": st.none() | NUMBERS,
    "float": st.floats(0, 1e6),
    "float | None": st.none() | st.floats(0, 1e6),
    "str": TEXT,
    "str | None": st.none() | TEXT,
    "bool": st.booleans(),
    "Mapping[str, str]": st.dictionaries(TEXT, TEXT, max_size=2),
    "Mapping[str, str] | None": st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    "Mapping[str, Any]": st.dictionaries(TEXT, st.none() | NUMBERS | TEXT, max_size=2),
    "tuple[str, ...]": st.lists(TEXT, max_size=2).map(tuple),
    "Outcome": st.sampled_from(["keep", "discard", "crash"]),
    'Literal["done", "stopped", "failed"]': st.sampled_from(["done", "stopped", "failed"]),
}


def one_of(kind: type) -> st.SearchStrategy:
    return st.builds(kind, **{f.name: FIELDS[str(f.type).replace("'", '"')] for f in dataclasses.fields(kind)})


EVENTS = st.one_of([one_of(kind) for kind in records.TYPES.values()])


@given(EVENTS)
def test_every_event_survives_the_journal_line(event):
    line = json.dumps(records.to_record(event, 1.5), ensure_ascii=True)
    assert records.from_record(json.loads(line)) == event


@given(st.lists(EVENTS, max_size=25))
def test_the_fold_takes_any_order_of_events(stream):
    h = fold((event, float(k)) for k, event in enumerate(stream))
    assert h.best is None or h.best.verdict.outcome == "keep"
    assert h.next_number >= 0


def test_every_event_type_is_listed():
    assert set(records.TYPES.values()) == set(typing.get_args(ev.Event))
    assert len(records.TYPES) == 35


@pytest.mark.parametrize("torn", [b"", b"{", b'{"type":"ExperimentDone","time":1.0,"number":2}', b"\xff\xfe\x00"])
def test_a_torn_tail_is_passed_over_and_dropped(tmp_path, torn):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(ev.Proposing(1, 0))
    journal.append(ev.ProposalRefused(1, "no edit", "ünïcode ☃ \ud800"))
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [type(e) for e, _ in read(path, strict=True)] == [ev.Proposing, ev.ProposalRefused]
    Journal(path).close()
    assert path.read_bytes() == whole


def test_a_torn_tail_without_any_newline(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"x" * 200_000)
    Journal(path).close()
    assert path.read_bytes() == b""


def test_unknown_types_are_skipped_and_foreign_lines_named(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text(
        '{"type":"FromTheFuture","time":1}\n{"type":"Proposing","time":1,"number":3,"incumbent":0,"new":1}\n'
    )
    assert [e for e, _ in read(path, strict=True)] == [ev.Proposing(3, 0)]
    path.write_text("what is this\n" + path.read_text())
    assert [e for e, _ in read(path)] == [ev.Proposing(3, 0)]
    with pytest.raises(RunFailed, match="line 1"):
        list(read(path, strict=True))


def test_time_between_engines_is_not_work():
    h = reduce(History(), ev.EngineStarted(1, False), 100.0)
    h = reduce(h, ev.Proposing(0, None), 110.0)
    h = reduce(h, ev.EngineStarted(2, True), 5000.0)
    h = reduce(h, ev.Proposing(0, None), 5001.0)
    h = reduce(h, ev.RunEnded("stopped", ""), 5002.0)
    h = reduce(h, ev.EngineStarted(3, True), 9000.0)
    assert h.active_seconds == 12.0


def test_what_a_full_disk_refused_is_not_written_later(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(ev.Steered("before"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))  # half a line fits
    try:
        with pytest.raises(OSError, match="large"):
            journal.append(ev.Rejected(3, "no"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.append(ev.Approved(3))
    journal.close()
    assert [event for event, _ in read(path, strict=True)] == [ev.Steered("before"), ev.Approved(3)]


def test_a_line_that_cannot_be_made_durable_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    with monkeypatch.context() as broken:
        broken.setattr(core.journal, "sync", Mock(side_effect=OSError(errno.EIO, "I/O error")))
        with pytest.raises(OSError, match="I/O"):
            journal.append(ev.Steered("once"))
    journal.append(ev.Steered("once"))
    journal.close()
    assert [event for event, _ in read(path, strict=True)] == [ev.Steered("once")]
