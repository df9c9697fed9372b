"""What calls cost: set aside before, settled after, never less than a server can have charged, never over a cap."""

from __future__ import annotations

import random

import pytest
from claude_desk import PRICE_IN, PRICE_OUT, SOURCE, claude, propose, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages_server import MessagesServer, Step, cut, edit, edit_and_submit, error_in_stream, reply, status, text, tool

from core.agents import CapReached, Refused, Unable
from core.agents.calls import Turn
from core.agents.claude import MAX_TOKENS
from core.desk import Paper
from core.errors import UsageError
from core.history import History
from core.spending import Spent, Usage

GOOD = edit_and_submit("0.5", "0.4")
FASTER = {"train.py": SOURCE.replace("0.5", "0.4")}
LOOK = reply(tool("read_file", path="train.py"))


class Dies(BaseException):
    """The engine is killed."""


class Mortal(Paper):
    """A desk whose engine dies at the step of that number: before it, or once it is durable."""

    def __init__(self, folder, step: int, before: bool) -> None:
        super().__init__(folder)
        self.left, self.before = step, before

    def _step(self, act):
        self.left -= 1
        if self.left == 0 and self.before:
            raise Dies
        done = act()
        if self.left == 0:
            raise Dies
        return done

    def reserve(self, *words):
        return self._step(lambda: super(Mortal, self).reserve(*words))

    def settle(self, *words):
        return self._step(lambda: super(Mortal, self).settle(*words))

    def keep(self, *words):
        return self._step(lambda: super(Mortal, self).keep(*words))


def spent(desk: Paper) -> float:
    """What the desk counts: settled calls, and those that are open as they were reserved."""
    return desk._worst[1]


def reborn(desk: Paper, folder) -> tuple[Paper, History]:
    """The desk and the history that a new engine reads from what is durable."""
    new = Paper(folder)
    new.reserved, new.settled = list(desk.reserved), dict(desk.settled)
    new.turns, new.notes = list(desk.turns), list(desk.notes)
    book = Spent()
    for call, (_, tokens, dollars) in enumerate(desk.reserved):
        book = book.reserved(call, tokens, dollars)
    for call, (usage, dollars) in desk.settled.items():
        book = book.settled(call, usage, dollars)
    return new, History(spent=book)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", range(1, 10))
def test_a_kill_at_any_step_pays_nothing_twice_and_counts_everything(tmp_path, step, before):
    with MessagesServer([LOOK, reply(edit("0.5", "0.4")), GOOD], default=edit_and_submit("0.4", "0.3")) as server:
        desk = Mortal(tmp_path, step, before)
        agent = claude(server)
        with pytest.raises(Dies):
            agent.propose(request(tmp_path, desk=desk))
        asked_before, kept = len(server.requests), len(desk.turns)
        after, history = reborn(desk, tmp_path)
        proposal = agent.propose(request(tmp_path, desk=after, history=history))
        assert proposal.edits
        lost = asked_before - kept  # an answer that was not durable yet is asked for again, and counted
        assert lost in (0, 1)
        assert len(server.requests) == proposal.details["calls"] + lost
        assert spent(after) >= server.dollars(PRICE_IN, PRICE_OUT) - 1e-9
        open_calls = set(range(len(after.reserved))) - set(after.settled)
        assert len(open_calls) <= 1
        assert not open_calls & {turn["turn"]["call"] for turn in after.turns}


def test_a_conversation_that_goes_on_is_the_same_to_its_byte(tmp_path):
    steps = [LOOK, reply(edit("0.5", "0.4")), GOOD]
    with MessagesServer([*steps, GOOD]) as server:
        desk = Mortal(tmp_path, 7, True)  # before the third call is reserved
        with pytest.raises(Dies):
            propose(server, request(tmp_path, desk=desk))
        second = server.requests[1]
        after, history = reborn(desk, tmp_path)
        with pytest.raises(Unable):  # 0.5 is there no more: it was edited before the kill; the script is over then
            propose(server, request(tmp_path, desk=after, history=history))
        third = server.requests[2]
    assert third["system"] == second["system"]
    assert third["tools"] == second["tools"]
    assert len(server.told(2)) == len(server.told(1)) + 2
    assert server.told(2)[: len(server.told(1))] == server.told(1)


def test_turns_that_cannot_be_read_are_asked_anew(tmp_path):
    desk = Paper(tmp_path)
    desk.turns = [{"turn": {"answer": {"content": []}}}, {"other": 1}]
    with MessagesServer([GOOD]) as server:
        assert propose(server, request(tmp_path, desk=desk)).edits == FASTER


@pytest.mark.parametrize("calls", [0, 1, 2, 3])
def test_the_cap_holds_in_the_middle_of_a_conversation(tmp_path, calls):
    with MessagesServer([], default=LOOK) as server:
        probe = Paper(tmp_path)
        with pytest.raises(Refused):
            propose(server, request(tmp_path, desk=probe))
        needed = sum(dollars for _, dollars in list(probe.settled.values())[:calls]) + probe.reserved[calls][2]
    with MessagesServer([], default=LOOK) as server:
        desk = Paper(tmp_path, max_dollars=needed - 1e-6)
        with pytest.raises(CapReached, match=r"the cap is \$"):
            propose(server, request(tmp_path, desk=desk))
        assert len(server.requests) == calls
        assert server.dollars(PRICE_IN, PRICE_OUT) <= spent(desk) <= needed


def test_a_cap_on_tokens_holds_without_a_price(tmp_path):
    desk = Paper(tmp_path, max_tokens=50_000)
    with MessagesServer([], default=LOOK) as server:
        with pytest.raises(CapReached, match="the cap is 50,000"):
            propose(server, request(tmp_path, desk=desk), model="local")
        used = sum(i + o for i, o in server.charged)
        assert 0 < used <= 50_000


def test_a_cap_on_dollars_wants_a_price(tmp_path):
    with MessagesServer([GOOD]) as server:
        with pytest.raises(UsageError, match="--price IN/OUT"):
            propose(server, request(tmp_path, desk=Paper(tmp_path, max_dollars=5)), model="local")
        assert server.requests == []
        desk = Paper(tmp_path, max_dollars=5)
        proposal = propose(server, request(tmp_path, desk=desk), model="local", price_in=1, price_out=2)
    assert proposal.details["dollars"] == pytest.approx(server.dollars(1, 2), abs=1e-6)


moves = st.sampled_from(["look", "cut early", "cut late", "storm", "in stream", "long", "declined", "done", "nothing"])


def step(move: str, chance: random.Random):
    match move:
        case "look":
            return reply(tool("read_file", path="train.py"), output=chance.randint(1, MAX_TOKENS))
        case "cut early":
            return cut(GOOD, chance.choice([-1, 0]))
        case "cut late":
            return cut(reply(text("x" * 400), edit("0.5", "0.4"), output=MAX_TOKENS), chance.randint(1, 9))
        case "storm":
            return status(chance.choice([429, 500, 529]))
        case "in stream":
            return error_in_stream("overloaded_error", GOOD.events[: chance.randint(1, 9)])
        case "long":
            return reply(text("x" * 100), stop="max_tokens", output=MAX_TOKENS)
        case "declined":
            return reply(stop="refusal")
        case "nothing":
            return reply(text("Hm."))
    return GOOD


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(moves, max_size=10), st.integers(0, 2**32), st.floats(0.5, 4))
def test_whatever_happens_the_count_is_never_low_and_the_cap_never_passed(tmp_path, script, seed, cap):
    chance = random.Random(seed)
    desk = Paper(tmp_path, max_dollars=cap)
    with MessagesServer([step(move, chance) for move in script], default=GOOD) as server:
        agent = claude(server)
        for _ in range(4):
            try:
                agent.propose(request(tmp_path, desk=desk))
                desk.turns.clear()
            except Refused:
                desk.turns.clear()
            except CapReached:
                break
        charged = server.dollars(PRICE_IN, PRICE_OUT)
    assert charged <= spent(desk) + 1e-9
    assert spent(desk) <= cap + 1e-9


def uncounted(step: Step, *kinds: str) -> Step:
    """The same, from a server that does not say what it used in events of these kinds."""
    events = []
    for event in step.events:
        bare = {key: value for key, value in event.items() if key != "usage"}
        events.append(bare | {"bare": True} if event["type"] in kinds else event)
    return Step(events=tuple(events), output=step.output)


@pytest.mark.parametrize("kinds", [("message_start",), ("message_delta",), ("message_start", "message_delta")])
def test_what_a_server_does_not_count_counts_as_it_was_set_aside(tmp_path, kinds):
    desk = Paper(tmp_path)
    with MessagesServer([uncounted(GOOD, *kinds)]) as server:
        proposal = propose(server, request(tmp_path, desk=desk))
    assert proposal.edits == FASTER
    assert desk.settled == {}
    assert proposal.details["dollars"] == pytest.approx(desk.reserved[0][2], abs=1e-6)


def test_a_turn_is_read_back_as_it_was():
    from core.agents.answers import Answer

    answer = Answer([{"type": "text", "text": "x"}], "tool_use", Usage(1, 2, 3, 4), 3, ("a",), "why", False)
    turn = Turn(answer, 7, 0.25)
    assert Turn.read(turn.record()) == turn
