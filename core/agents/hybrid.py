"""The agent `hybrid`: the search proposes numbers, another agent proposes ideas, and a bandit shares the experiments.

Whose turn it is follows from the journal alone: what each arm has gained an experiment, of late above all, over what
an experiment of it costs. The cost is the time of the trial, and the dollars that the ideas arm tells, by an hour's
price; where it tells none, the time that it thinks. Neither arm is ever left for good: each has its turn now and then.

An ideas arm that cannot work does not stop the run. Its reason and mend become a refusal in the journal, numbers go on,
and it is asked again a few experiments later.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from core.agents import Agent, Exhausted, Refused, Request, Unable
from core.agents.scripted import Scripted
from core.agents.search import Search
from core.experiment import Experiment, Proposal
from core.facts import fact
from core.history import History

Arm = Literal["numbers", "ideas"]
DOLLARS_AN_HOUR = 2.0  # what an hour of the machine is taken to be worth: a rented card's usual price
ASK_AGAIN = 8  # experiments until an ideas arm that could not work is asked again
_ARMS: tuple[Arm, Arm] = ("ideas", "numbers")
_UNABLE, _GO_ON = "the ideas arm cannot work: ", "; numbers go on"
_PRIOR: Mapping[Arm, tuple[float, float]] = {"numbers": (0.4, 2.0), "ideas": (0.4, 2.0)}  # expected gain, how firmly
_FORGETS = 0.97  # weight of an experiment against the next one of its arm
_MOST = 4.0  # a gain counts for so much at most, in units of the run's usual difference
_DECIDED = 2  # a hope twice as high gets two to this power as many experiments
_PATIENCE = 12  # experiments after which it is an arm's turn whatever it has brought


class Hybrid:
    """Two agents and a bandit. Its proposals' details are those of the arm, with `arm` and the seconds it took."""

    def __init__(self, seed: int, ideas: Agent) -> None:
        self._seed, self._ideas = seed, ideas
        self._numbers = Search(seed)
        self.reads_notes, self.repairs = ideas.reads_notes, ideas.repairs

    def warm(self) -> None:
        """Import what the proposals will need; worth doing while the baseline trains."""
        self._numbers.warm()

    def propose(self, request: Request) -> Proposal:
        """A proposal of the arm whose turn it is, or of the other where that one has none. Raises Refused, CalledOff;
        Unable or Exhausted where neither arm can go on."""
        if request.crash:
            return self._repair(request)
        history = request.history
        last = _no_ideas(history, request.number)
        if last is not None and request.number - last.asked < ASK_AGAIN:
            return self._number(request, last)
        rng = random.Random(f"arm {self._seed} {request.number}")
        if last is None and turn(history, request.direction, rng) == "numbers":
            return self._number(request)
        if (
            history.last_refusal and history.last_refusal.number == request.number
        ):  # the ideas had their turn, and nothing came of it
            proposal = self._number(request)
            return replace(proposal, details={**proposal.details, "passed": "ideas"})
        try:
            return self._asked(self._ideas, "ideas", request)
        except (Unable, Exhausted) as trouble:
            why_not = NoIdeas(request.number, _words(trouble))
        if last is None or why_not.reason != last.reason:
            raise Refused(f"{_UNABLE}{why_not.reason}{_GO_ON}")
        return self._number(request, why_not)

    def _number(self, request: Request, why_not: NoIdeas | None = None) -> Proposal:
        """The search's proposal. Where it has none the ideas arm is asked, and its trouble is the run's."""
        try:
            proposal = self._asked(self._numbers, "numbers", request)
        except (Refused, Exhausted):
            return self._asked(self._ideas, "ideas", request)
        if why_not is None:
            return proposal
        request.desk.say(f"{_UNABLE}{why_not.reason}; asked again at experiment {why_not.asked + ASK_AGAIN}\n")
        told = {"asked": why_not.asked, "reason": why_not.reason}
        return replace(proposal, details={**proposal.details, "no_ideas": told})

    def _asked(self, agent: Agent, arm: Arm, request: Request) -> Proposal:
        if isinstance(agent, Scripted):  # it counts experiments to know which patch is next: only its own are meant
            mine = sum(e.details.get("arm") == "ideas" for e in request.history.experiments)
            request = replace(request, number=mine + 1)
        began = time.monotonic()
        proposal = agent.propose(request)
        seconds = round(time.monotonic() - began, 1)
        return replace(proposal, details={**proposal.details, "arm": arm, "seconds": seconds})

    def _repair(self, request: Request) -> Proposal:
        """The arm's own mend. A number that crashed is a bad number; there is nothing to mend."""
        pending = request.history.pending
        if pending is None or pending.proposed is None or pending.proposed.details.get("arm") != "ideas":
            raise Refused("it is a change of the search's, which repairs nothing")
        try:
            return self._asked(self._ideas, "ideas", request)
        except Unable as trouble:
            raise Refused(f"{_UNABLE}{_words(trouble)}") from None


# --- an ideas arm that cannot work -----------------------------------------------------------------------------------


@fact
class NoIdeas:
    """The ideas arm was asked for this experiment, and could not work."""

    asked: int
    reason: str


def _no_ideas(history: History, number: int) -> NoIdeas | None:
    """When and why the ideas arm could last not work; None where it has worked since, or always."""
    refused = history.last_refusal
    if refused and refused.number == number and refused.reason.startswith(_UNABLE):
        return NoIdeas(number, refused.reason.removeprefix(_UNABLE).removesuffix(_GO_ON))
    for e in reversed(history.experiments):
        told = e.details.get("no_ideas")
        if isinstance(told, Mapping) and isinstance(told.get("asked"), int):
            return NoIdeas(told["asked"], str(told.get("reason", "")))
        if "ideas" in (e.details.get("arm"), e.details.get("passed")):
            return None
    return None


def _words(trouble: Unable | Exhausted) -> str:
    return f"{trouble.reason}; {trouble.mend}" if isinstance(trouble, Unable) else str(trouble)


# --- the bandit ------------------------------------------------------------------------------------------------------


def turn(history: History, direction: Literal["min", "max"], rng: random.Random) -> Arm:
    """An arm, drawn by what there is to hope of it at its cost: of a few noisy gains, the better half may be luck."""
    mine: dict[Arm, list[Experiment]] = {
        arm: [e for e in history.experiments if e.details.get("arm") == arm] for arm in _ARMS
    }
    for arm, other in (_ARMS, _ARMS[::-1]):
        if len(mine[arm]) < 2 and len(mine[other]) >= 3 and not any("passed" in e.details for e in mine[other]):
            return arm
        had = [e for e in history.experiments[-_PATIENCE:] if arm in (e.details.get("arm"), e.details.get("passed"))]
        if len(history.experiments) > _PATIENCE and not had:
            return arm
    gains, costs = {arm: _gains(arm, history, direction) for arm in _ARMS}, _costs(mine, history)

    def hope(arm: Arm) -> float:
        expected, firmly = _PRIOR[arm]
        weights = [_FORGETS ** (len(gains[arm]) - 1 - i) for i in range(len(gains[arm]))]
        gained = expected * firmly + sum(w * g for w, g in zip(weights, gains[arm], strict=True))
        return (gained / (firmly + sum(weights)) / costs[arm]) ** _DECIDED

    return rng.choices(_ARMS, [hope(arm) for arm in _ARMS])[0]


def _gains(arm: Arm, history: History, direction: Literal["min", "max"]) -> list[float]:
    """What each turn of an arm has brought the run: nothing, or by how much it was better, in units of the usual
    difference. A turn of which nothing came is told by the experiment that took its place."""
    sign = 1.0 if direction == "min" else -1.0
    differences = sorted(abs(e.delta) for e in history.experiments if e.delta)
    unit = differences[len(differences) // 2] if differences else 1.0
    return [
        min(_MOST, max(0.0, -sign * (e.delta or 0.0) / unit))
        if e.details.get("arm") == arm and e.verdict.outcome == "keep"
        else 0.0
        for e in history.experiments
        if arm in (e.details.get("arm"), e.details.get("passed"))
    ]


def _costs(mine: Mapping[Arm, list[Experiment]], history: History) -> dict[Arm, float]:
    """Of an experiment of each arm, in seconds of the machine, and relative to the cheaper arm: 1 or more."""
    trials = [e.measurement.total_seconds for e in history.experiments if e.measurement and e.measurement.total_seconds]
    trial = max(1.0, sum(trials) / len(trials)) if trials else 60.0
    costs = {arm: trial + _mean([_price(e) for e in mine[arm]]) for arm in _ARMS}
    least = min(costs.values())
    return {arm: cost / least for arm, cost in costs.items()}


def _price(experiment: Experiment) -> float:
    """Seconds of the machine that the proposal was worth: by its dollars, or by its time where it tells none."""
    dollars, seconds = experiment.details.get("dollars"), experiment.details.get("seconds")
    if isinstance(dollars, int | float) and dollars > 0:
        return dollars / DOLLARS_AN_HOUR * 3600
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
