"""Notes of the user's to the agent: recorded whole, read once as new, and said honestly where nobody reads them."""

from __future__ import annotations

import dataclasses
import random
import threading
import typing

import pytest
from conftest import commit_all, history, rates_agent, until, waits
from test_approval import events
from thinker import close, record

from core import agents, control, opening, records
from core import events as ev
from core.commands import digest
from core.errors import UsageError
from core.experiment import Proposal
from core.history import History, fold, reduce
from core.launch import Options
from core.loop import approve, commit, conclude, decide, move_branch, propose
from core.run import Run, drain


class Reader:
    """An agent that reads notes, and remembers what it was asked."""

    reads_notes = True
    repairs = 0

    def __init__(self, run: Run) -> None:
        self.run = run
        self.asked: list[agents.Request] = []
        self.meanwhile: list[tuple[str, dict[str, object]]] = []  # commands that arrive while it thinks
        self.effects: list[str] = []

    def propose(self, request: agents.Request) -> Proposal:
        self.asked.append(request)
        while self.meanwhile:
            command, details = self.meanwhile.pop(0)
            self.effects.append(control.send(self.run.folder, command, **details))
        text = request.sources["train.py"].replace("0.5", f"0.{len(self.asked)}")
        return Proposal({"train.py": text}, f"step {len(self.asked)}", "")


@pytest.fixture
def run(toy):
    """A run in this process, past its baseline, with an agent that reads notes."""
    run = opening.open_run(Options(str(toy), agent=rates_agent(toy), tag="t"), lambda line: None)
    run.agent = Reader(run)
    experiment(run)
    yield run
    close(run)


def experiment(run: Run) -> None:
    """One turn of the loop with an invented measurement."""
    record(run, propose, commit)
    run.record(ev.Measured(run.in_flight.number, 1, 0.5, 1.0, 1.0, 1.0))
    record(run, decide, move_branch, conclude)


def texts(notes: tuple) -> list[str]:
    return [note.text for note in notes]


def test_every_note_is_in_each_request_and_new_until_the_agent_has_answered(run):
    send = lambda text: control.send(run.folder, "steer", text=text)  # noqa: E731
    assert send("try depth") == "the agent reads it before its next proposal"
    assert send("  keep it\x1b[31m short\r\n\x07") == "the agent reads it before its next proposal"
    run.agent.meanwhile = [("steer", {"text": "not so fast"})]
    experiment(run)
    assert run.agent.effects == ["the agent is at a proposal now; it reads this before the next one"]
    first = run.agent.asked[-1]
    assert texts(first.notes) == texts(first.new_notes) == ["try depth", "keep it short"]
    experiment(run)
    second = run.agent.asked[-1]
    assert texts(second.notes) == ["try depth", "keep it short", "not so fast"]
    assert texts(second.new_notes) == ["not so fast"]
    experiment(run)
    assert texts(run.agent.asked[-1].notes) == ["try depth", "keep it short", "not so fast"]
    assert not run.agent.asked[-1].new_notes


def test_a_note_said_while_the_agent_is_refused_is_new_to_its_next_try(run):
    run.agent.meanwhile = [("steer", {"text": "something else"})]
    run.agent.asked = [None] * 4  # its next step is 0.5, as the incumbent has it
    record(run, propose)
    refused, again = run.agent.asked[4:]
    assert refused.number == again.number == 1
    assert not refused.notes
    assert texts(again.new_notes) == ["something else"]


def test_why_a_proposal_was_rejected_is_new_to_the_next_asking(run):
    record(run, propose)
    run.record(ev.ApprovalAwaited(1, ""))
    effect = control.send(run.folder, "reject", number=1, reason="too bold")
    assert effect == "#1 is rejected; the agent reads why, and proposes something else"
    record(run, propose)
    request = run.agent.asked[-1]
    assert [(n.text, n.rejected) for n in request.new_notes] == [("too bold", "step 1")]
    assert request.number == 1


def test_what_was_rejected_is_new_to_nobody_but_the_user(run):
    record(run, propose)
    rejected = run.history.pending.proposed.edits
    run.record(ev.ApprovalAwaited(1, ""))
    control.send(run.folder, "reject", number=1, reason="no")
    assert not run.proposals.request().is_new(rejected)
    with pytest.raises(agents.Refused, match="the user has rejected this very source"):
        run.proposals.checked(Proposal(rejected, "once more", ""))
    record(run, propose)
    run.record(ev.ApprovalAwaited(1, ""))
    assert (
        control.send(run.folder, "approve", number=1, edits=rejected)
        == "#1 begins now, as you edited it: RATE 0.5 → 0.1 (edited by hand)"
    )


def test_turned_off_just_before_it_would_wait_a_proposal_does_not_wait(run, monkeypatch):
    control.send(run.folder, "approval-on")
    record(run, propose)
    off, diff = threading.Thread(target=control.send, args=(run.folder, "approval-off")), run.diff

    def meanwhile(proposed: ev.Proposed) -> str:
        off.start()
        off.join(1.0)  # it may be answered now, or when the proposal is shown
        return diff(proposed)

    monkeypatch.setattr(run, "diff", meanwhile)
    engine = threading.Thread(target=record, args=(run, approve), daemon=True)
    engine.start()
    engine.join(30)
    assert not engine.is_alive()
    off.join(30)
    assert run.history.waiting is None
    assert not run.history.approval


def test_agents_that_read_no_prose_are_named(toy, engines):
    (toy / "train.py").write_text("import time\ntime.sleep(0.5)\n" + (toy / "train.py").read_text())
    commit_all(toy)
    for name, kind in ((rates_agent(toy), "scripted"), ("search", "search")):
        folder = engines(Options(str(toy), agent=name, tag=kind, approve=True))
        effect = control.send(folder, "steer", text="try depth")
        assert effect == f"recorded; but the {kind} agent reads no notes, so it changes nothing in its proposals"
        waits(folder, 1)
        control.send(folder, "stop")
        until(lambda folder=folder: not control.alive(folder))
        assert texts(history(folder).notes) == ["try depth"]
        assert [a.command for a in events(folder, ev.Acknowledged)] == ["steer", "stop"]


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({}, "must be text"),
        ({"text": ["a"]}, "must be text"),
        ({"text": ""}, "nothing is said"),
        ({"text": " \x1b[31m\n"}, "nothing is said"),
        ({"text": "x" * 4001}, "4,001 characters; the limit is 4,000"),
        ({"text": "x", "to": "agent"}, "takes no 'to'"),
        ({"text": "x", "\x1b[31m": 1}, "takes no ''"),
    ],
)
def test_what_is_no_note_is_refused_and_not_recorded(run, details, said):
    before = (run.folder / "journal.jsonl").read_bytes()
    with pytest.raises(UsageError, match=said):
        control.send(run.folder, "steer", **details)
    assert (run.folder / "journal.jsonl").read_bytes() == before
    assert control.send(run.folder, "steer", text="é" * 4000)
    assert run.history.notes[-1].text == "é" * 4000


def test_a_full_disk_is_said_and_nothing_counts(run, monkeypatch):
    def full(event: ev.Event) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run._journal, "append", full)
    with pytest.raises(UsageError, match="No space left on device"):
        control.send(run.folder, "steer", text="try depth")
    assert not run.history.notes


def any_event(draw: random.Random) -> ev.Event:
    """An event of any kind with any fields: small numbers, so that they meet."""
    kind = draw.choice(list(records.TYPES.values()))
    return kind(**{f.name: any_value(draw, str(f.type)) for f in dataclasses.fields(kind)})


def any_value(draw: random.Random, annotation: str) -> typing.Any:
    choices = {
        "int": draw.randint(-1, 4), "float": draw.uniform(0, 2), "str": draw.choice(["", "x", "done"]),
        "bool": draw.random() < 0.5, "None": None, "Outcome": draw.choice(["keep", "discard", "crash"]),
        "tuple[str, ...]": ("n",),
    }  # fmt: skip
    if annotation.startswith("Mapping"):
        return draw.choice([{}, {"train.py": "x"}, None] if "None" in annotation else [{}, {"train.py": "x"}])
    if annotation.startswith("Literal"):
        return "done"
    return choices[draw.choice(annotation.split(" | "))]


@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_events_makes_the_fold_raise(seed):
    draw = random.Random(seed)
    h = History()
    for k in range(400):
        h = reduce(h, any_event(draw), float(k))
        assert h.phase in typing.get_args(typing.get_type_hints(History)["phase"])
        assert (h.waiting is None) or h.pending.awaited
        assert h.repeats is None or any(e.number == h.repeats for e in h.experiments)
        assert 0 <= h.notes_read <= h.notes_asked <= len(h.notes)
        assert h.standing_still in (True, False)
        assert h.next_number >= -1
        assert h.count("keep") <= h.proposals <= len(h.experiments)


def test_the_words_of_the_user_survive_the_journal(tmp_path):
    said = [ev.Steered("a\nb"), ev.Approved(1, {"train.py": "x"}), ev.Approved(1), ev.Rejected(1, "é"),
            ev.ApprovalTurned(True), ev.ApprovalAwaited(1, "--- a\n"), ev.AgainAsked(0), ev.AgainStarted(0),
            ev.AgainDone(0)]  # fmt: skip
    assert [records.from_record(records.to_record(event, 1.0)) for event in said] == said
    assert fold((event, 1.0) for event in said).approval


def test_an_answer_does_not_hit_another_proposal_that_took_the_number(run):
    record(run, propose)
    run.record(ev.ApprovalAwaited(1, "the first"))
    control.send(run.folder, "reject", number=1, seen=digest("the first"))
    record(run, propose)
    run.record(ev.ApprovalAwaited(1, "the second"))
    for command in ("approve", "reject"):
        with pytest.raises(UsageError, match="another #1 waits by now; look at it first"):
            control.send(run.folder, command, number=1, seen=digest("the first"))
    assert run.history.waiting is not None
    assert control.send(run.folder, "approve", number=1, seen=digest("the second")) == "#1 begins now"


def test_as_the_loop_ends_no_command_is_taken_any_more(run):
    assert run.goes_on()
    assert control.send(run.folder, "stop") == "stops after this experiment"
    assert control.send(run.folder, "resume") == "goes on"
    assert run.goes_on()
    control.send(run.folder, "stop")
    assert not run.goes_on()
    for command, details in (("resume", {}), ("again", {"number": 0}), ("steer", {"text": "x"})):
        with pytest.raises(UsageError, match="the run has just ended; go on with: autoresearch resume t"):
            control.send(run.folder, command, **details)
    ended = drain(run)
    assert (ended.reason, run.history.asked_again, run.history.notes) == ("stopped", (), ())
