"""One call of a model, paid for honestly: set aside before it, settled after it, tried again where that helps.

For ever where a try costs nothing; answers that break off may each be charged, so after some of them the user is asked.

What a call did cost is never counted as less than it can have been. One that broke off after its usage was reported
counts with that input and the longest output; one of which nothing is known counts as it was set aside.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from core.agents import CalledOff, Desk, Unable
from core.agents.answers import Answer
from core.agents.prices import Price
from core.facts import fact
from core.spending import Usage

FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0  # seconds
_TRUSTED = 8  # tries of one turn after which a server's word that it is ready soon counts for less
MOST_BROKEN = 10  # tries of one turn that came to nothing and may each have been charged
OVERHEAD = 4000  # tokens that a server may add to a prompt of its own: how tools are used, marks of each turn


class Trouble(Exception):
    """A call that came to nothing, in words for the user.

    mend: set where waiting does not help: what the user must do. after: the seconds that the server asks us to wait.
    spent: what it did cost at most, where that is known; None: as it was set aside.
    provoked: whether it was what we sent that the server minds.
    """

    def __init__(
        self,
        reason: str,
        *,
        mend: str = "",
        after: float | None = None,
        spent: Usage | None = None,
        provoked: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.mend, self.after, self.spent, self.provoked = reason, mend, after, spent, provoked

    @property
    def charged(self) -> bool:
        """Whether it may have cost something."""
        return self.spent != Usage()


@fact
class Ask:
    """What a call sends, and the most it can cost in tokens: `hour` of them may be cached for an hour."""

    body: Mapping[str, Any]
    hour: int
    rest: int
    output: int


@fact
class Turn:
    """An answer and what it did cost, as it is kept. `model`: whose it is; another one's is of no use to a model."""

    answer: Answer
    call: int
    dollars: float | None
    model: str = ""

    def settle(self, desk: Desk) -> None:
        """Settle its call. What no server has counted counts as it was set aside."""
        if self.answer.counted:
            desk.settle(self.call, self.answer.usage, self.dollars)

    def record(self) -> dict[str, Any]:
        return {"turn": asdict(self)}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Turn:
        turn = record["turn"]
        answer = {**turn["answer"], "usage": Usage(**turn["answer"]["usage"])}
        answer["unreadable"] = tuple(answer["unreadable"])
        return cls(Answer(**answer), turn["call"], turn["dollars"], turn.get("model", ""))


class Calls:
    """The calls of one model at one price. `exchange` makes one, or raises Trouble, CalledOff or agents.Refused."""

    def __init__(
        self,
        model: str,
        price: Price | None,
        exchange: Callable[[Mapping[str, Any], Desk], Answer],
        chance: random.Random | None = None,
    ) -> None:
        self._model = model
        self._price = price
        self._exchange = exchange
        self._chance = chance or random.Random()

    def worst(self, ask: Ask) -> float | None:
        """The most that this call can cost, in dollars."""
        return self._price.worst(ask.hour, ask.rest, ask.output) if self._price else None

    def turn(self, ask: Ask, desk: Desk) -> Turn:
        """An answer, kept before it is settled, so that no engine that is killed pays for it twice.

        Raises Unable, CalledOff, agents.CapReached or agents.Refused.
        """
        tries = broken = 0
        while True:
            if desk.stopping:
                raise CalledOff
            call = desk.reserve(self._model, ask.hour + ask.rest + ask.output, self.worst(ask))
            try:
                answer = self._exchange(ask.body, desk)
            except Trouble as trouble:
                if trouble.spent is not None:
                    desk.settle(call, trouble.spent, self._dollars(trouble.spent, trouble.spent.cache_write))
                if trouble.provoked:
                    desk.forget()  # or every resume would go through the same conversation to the same refusal
                if trouble.mend:
                    raise Unable(trouble.reason, trouble.mend) from None
                broken += trouble.charged and self.worst(ask) != 0.0
                if broken >= MOST_BROKEN:
                    reason = (
                        f"{broken} answers in a row broke off; each may have been charged (the last: {trouble.reason})"
                    )
                    raise Unable(reason, "look at the server and the way to it, then say resume") from None
                seconds, reason = self._patience(trouble, tries)
                tries += 1
                desk.say(f"\n[{reason}]\n")
                if not desk.wait(seconds, reason):
                    raise CalledOff from None
                continue
            cost = self._dollars(answer.usage, answer.hour_writes) if answer.counted else self.worst(ask)
            turn = Turn(answer, call, cost, self._model)
            desk.keep(turn.record())
            turn.settle(desk)
            return turn

    def _dollars(self, usage: Usage, hour_writes: int) -> float | None:
        return self._price.dollars(usage, hour_writes) if self._price else None

    def _patience(self, trouble: Trouble, tries: int) -> tuple[float, str]:
        """How long to wait before the next try, and why, in words."""
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries, 16)) * self._chance.uniform(0.75, 1.0)
        if trouble.after is None:
            return backoff, trouble.reason
        if trouble.after > LONGEST_WAIT:
            return LONGEST_WAIT, f"{trouble.reason}; the server asks for {spell(trouble.after)}, tried again sooner"
        least = min(backoff, 1.0 if tries < _TRUSTED else 60.0)  # "at once" again and again would fill the journal
        return max(trouble.after, least), trouble.reason


def spell(seconds: float) -> str:
    """A long time in words: 90 s, 12 min, 24 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"
