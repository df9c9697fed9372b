"""The agent `hybrid` with a scripted model of ideas, against the search alone, on the made-up objective of `search`.

    python bench/hybrid.py [--seeds 20] [--experiments 40]

The scripted model has a list of ideas that the search cannot have, in an order of its own, and looks at no results:
in the world "good ideas" four in ten help, in the world "poor ideas" none does, so that a good share for the model in
one is a bad one in the other. Every tenth answer is refused. It says that a proposal has cost nothing, 1 or 10 cents,
beside trials of 20 seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from objective import IDEAS
from search import arguments, compare

from core.agents import Agent, Refused, Request
from core.agents.hybrid import Hybrid
from core.agents.search import Search
from core.experiment import Proposal


@dataclass
class ScriptedIdeas:
    """Its ideas, each once, on the incumbent. dollars: what each says that it has cost."""

    seed: int
    dollars: float
    reads_notes: bool = True
    repairs: int = 0

    def propose(self, request: Request) -> Proposal:
        """The first idea that no experiment has had. Raises Refused for a tenth of its answers."""
        rng = random.Random(f"ideas {self.seed}")
        order = rng.sample(range(IDEAS), IDEAS)
        had = {e.details.get("idea") for e in request.history.experiments}
        left = [number for number in order if number not in had]
        if not left or random.Random(f"{self.seed} {request.number} {request.history.refused}").random() < 0.1:
            raise Refused("no usable answer")
        text = f"{request.sources['train.py']}# idea {left[0]}\n"
        details = {"agent": "scripted", "dollars": self.dollars, "idea": left[0]}
        return Proposal({"train.py": text}, f"idea {left[0]}", "", details)


def hybrid(dollars: float) -> Callable[[int], Agent]:
    return lambda seed: Hybrid(seed, ScriptedIdeas(seed, dollars))


@dataclass
class InTurn:
    """A plain yardstick: ideas and numbers in turn, whatever they bring."""

    seed: int
    reads_notes: bool = True
    repairs: int = 0

    def propose(self, request: Request) -> Proposal:
        last = request.history.last_refusal
        if request.number % 2 or (last and last.number == request.number):
            return Search(self.seed).propose(request)
        return ScriptedIdeas(self.seed, 0.0).propose(request)


def main() -> None:
    what = "hybrid with a scripted model against the search alone, on a made-up objective"
    asked = arguments(what, "good ideas", "poor ideas")
    agents: dict[str, Callable[[int], Agent]] = {
        "search": Search,
        "hybrid, free ideas": hybrid(0.0),
        "hybrid, $0.01 each": hybrid(0.01),
        "hybrid, $0.10 each": hybrid(0.10),
        "in turn": InTurn,
    }
    compare(agents, asked.seeds, asked.experiments, asked.worlds)


if __name__ == "__main__":
    main()
