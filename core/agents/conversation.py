"""The conversation about one proposal: turns with tools until the model submits, gives up, or runs out of turns.

Every answer is kept before it is acted on. A conversation that a killed engine left is gone through again from what was
kept: the tools work in memory and answer the same, so nothing is asked, paid or written down twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from core.agents import Refused, Request
from core.agents.answers import Answer
from core.agents.calls import OVERHEAD, Ask, Calls, Turn
from core.agents.editing_tools import TOOLS, Draft, Result
from core.agents.prompt import Prompt
from core.experiment import Proposal
from core.log import plain

MOST_TURNS = 12
MOST_WRONG = 10  # tool calls in one conversation that could not be carried out
MOST_CALLS = 40  # tools in one answer
LARGEST_REQUEST = 6 * 2**20  # bytes

HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}  # between two proposals lies a trial of minutes
SUBMIT = "You have not submitted. Finish your edits now and call submit; an answer without it is thrown away."
SHORTER = (
    "Your last answer was cut off at {limit:,} tokens and thrown away as a whole, so none of its edits were made. "
    "Answer again and shorter: think less, and use small edits in place of a whole file."
)
_NO_JSON = Result("the input of this call is no JSON object, so nothing was done; send it again", is_error=True)
_TOO_MANY = Result(f"more than {MOST_CALLS} calls in one answer; nothing was done for this one", is_error=True)
_AFTER_WRONG = Result(
    "not submitted: a call before this one in the same answer could not be carried out; look at it, then submit",
    is_error=True,
)


class Conversation:
    """One conversation. `common`: what every request of it says besides the messages, its cached part included."""

    def __init__(
        self,
        request: Request,
        told: Prompt,
        common: Mapping[str, Any],
        calls: Calls,
        read: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self._request = request
        self._common = common
        self._calls = calls
        known = {note.text for note in request.history.memory if note.number == request.number}
        remember = lambda text: None if text in known else request.desk.remember(text)  # noqa: E731
        self._draft = Draft(request.sources, request.is_new, remember, read)
        self._marked = any("cache_control" in block for block in common["system"])
        mark = HOUR if self._marked else {}
        lasting = [{"type": "text", "text": text, **mark} for text in told.lasting]
        self._hour = _size([self._common.get("system"), self._common.get("tools"), lasting])
        first = [*lasting, {"type": "text", "text": told.latest}]
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": first}]
        self._turns = self._tokens = self._output = self._wrong = 0
        self._dollars: float | None = 0.0
        self._reminded = self._cut = False

    def proposal(self) -> Proposal:
        """What the model submits. Raises Refused, Unable, CalledOff or CapReached."""
        kept = self._kept()
        while self._turns < MOST_TURNS:
            turn = kept.pop(0) if kept else self._calls.turn(self.ask(), self._request.desk)
            self._count(turn)
            self._take(turn.answer)
            if self._draft.submitted:
                description, hypothesis = self._draft.submitted
                return Proposal(self._draft.edits, description, hypothesis, self._details())
        raise Refused(f"the model did not submit within {MOST_TURNS} turns")

    def ask(self) -> Ask:
        """The next request, and the most tokens it can come to: a token is at least one byte of what is sent."""
        messages, last = self._messages, self._messages[-1]
        if self._marked and last["role"] == "user":
            content = [*last["content"][:-1], {**last["content"][-1], "cache_control": {"type": "ephemeral"}}]
            messages = [*messages[:-1], {**last, "content": content}]
        body = {**self._common, "messages": messages}
        size = _size(body)
        if size > LARGEST_REQUEST:
            raise Refused(f"the conversation grew beyond {LARGEST_REQUEST:,} bytes")
        rest = size - self._hour + self._output + OVERHEAD  # a thought comes back sealed: it counts as it was made
        return Ask(body, self._hour, rest, self._common["max_tokens"])

    def _kept(self) -> list[Turn]:
        """The turns that an engine which was killed has kept; the last of them is settled if it did not get to that.

        Those of another model, as after a resume with --model, are dropped: what they did cost stays counted.
        """
        turns = []
        for record in self._request.desk.kept():
            try:
                turns.append(Turn.read(record))
            except (KeyError, TypeError, ValueError):
                break  # of another version: what was paid for it is counted, and it is asked anew from here on
        for turn in turns:
            if turn.call in self._request.history.spent.open:
                turn.settle(self._request.desk)
        if any(turn.model != self._common["model"] for turn in turns):
            self._request.desk.forget()
            self._request.desk.say("\n[begins anew: the answers so far are another model's]\n")
            return []
        if turns:
            self._request.desk.say(f"\n[goes on after {len(turns)} answers that an earlier engine got]\n")
        return turns

    def _count(self, turn: Turn) -> None:
        self._turns += 1
        self._tokens += turn.answer.usage.tokens
        self._output += turn.answer.usage.output
        known = self._dollars is not None and turn.dollars is not None
        self._dollars = (self._dollars or 0.0) + (turn.dollars or 0.0) if known else None

    def _details(self) -> dict[str, Any]:
        dollars = None if self._dollars is None else round(self._dollars, 6)
        model = self._common["model"]
        return {"agent": "claude", "model": model, "calls": self._turns, "tokens": self._tokens, "dollars": dollars}

    def _take(self, answer: Answer) -> None:
        """Act on an answer. Raises Refused where it ends the conversation."""
        match answer.stop_reason:
            case "refusal":
                why = " ".join(plain(answer.refusal).split())[:300]
                raise Refused(f"the model declined to answer{f' ({why})' if why else ''}")
            case "model_context_window_exceeded":
                raise Refused("the conversation no longer fits into the model's context; nothing of it was used")
            case "max_tokens":
                limit = self._common["max_tokens"]
                if self._cut:
                    raise Refused(f"the model's answer was cut off twice at {limit:,} tokens; nothing of it was used")
                self._cut = True
                self._tell([{"type": "text", "text": SHORTER.format(limit=limit)}])
                return
        if answer.content:
            self._messages.append({"role": "assistant", "content": _sendable(answer.content)})
        calls = [block for block in answer.content if block["type"] == "tool_use"]
        if calls:
            self._tell(self._results(answer, calls))
        elif answer.stop_reason != "pause_turn" or not answer.content:
            if self._reminded:
                raise Refused("the model ended its answer twice without a submit")
            self._reminded = True
            self._tell([{"type": "text", "text": SUBMIT}])

    def _results(self, answer: Answer, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Carry the calls out in their order, as far as to an accepted submit."""
        blocks: list[dict[str, Any]] = []
        wrong = 0
        for k, call in enumerate(calls):
            if self._draft.submitted:
                break
            if k >= MOST_CALLS:
                result = _TOO_MANY
            elif call["id"] in answer.unreadable:
                result = _NO_JSON
            elif call["name"] == "submit" and wrong:
                result = _AFTER_WRONG
            else:
                result = self._draft.use(call["name"], call["input"])
            wrong += result.is_error
            self._request.desk.say(_shown(call, result))
            said = {"type": "tool_result", "tool_use_id": call["id"], "content": result.text}
            blocks.append(said | ({"is_error": True} if result.is_error else {}))
        self._wrong += wrong
        if self._wrong > MOST_WRONG and not self._draft.submitted:
            last = next(b["content"] for b in reversed(blocks) if b.get("is_error"))
            raise Refused(
                f"more than {MOST_WRONG} of the model's tool calls could not be carried out; the last: {last}"
            )
        return blocks

    def _tell(self, blocks: list[dict[str, Any]]) -> None:
        """Say it to the model: in the message that still waits for an answer, or in a new one."""
        if self._messages[-1]["role"] == "user":
            last = self._messages[-1]
            self._messages[-1] = {**last, "content": [*last["content"], *blocks]}
        else:
            self._messages.append({"role": "user", "content": blocks})


def common(
    model: str, stable: tuple[str, ...], max_tokens: int, extra: Mapping[str, Any], marked: bool = True
) -> dict[str, Any]:
    """What every request of a conversation has in common. `marked`: its end is marked for the server's cache."""
    system: list[dict[str, Any]] = [{"type": "text", "text": text} for text in stable]
    if system and marked:
        system[-1] |= HOUR
    return {"model": model, "max_tokens": max_tokens, "system": system, "tools": list(TOOLS), **extra}


def _shown(call: Mapping[str, Any], result: Result) -> str:
    """A call and its answer on one line, for people."""
    path = call["input"].get("path") or call["input"].get("description") or ""
    answer = result.text if len(result.text) < 300 and "\n" not in result.text else f"{len(result.text):,} characters"
    what = " ".join(f"{call['name']} {path}".split())[:120]
    return plain(f"[{what}: {answer}]\n")


def _sendable(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without lone surrogates, which a model can write and no request can hold."""
    whole = json.dumps(content, ensure_ascii=False)
    clean: list[dict[str, Any]] = json.loads(whole.encode("utf-8", "replace").decode())
    return clean


def _size(value: Any) -> int:
    """Bytes of it in JSON, which is how it is sent."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
