"""What the calls of a run's agent cost: set aside before each, settled after it. Facts, and a cap that holds.

A call that is never settled, for its engine was killed or its answer broke off, counts as it was set aside, for ever:
what was really charged is then unknown, and can only be less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from core.facts import fact


@fact
class Usage:
    """Tokens of one call, as the server counted them. `input` has neither of the two kinds of cached ones."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def tokens(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.output


@fact
class SetAside:
    """The most that one call can cost. dollars: None where the price is unknown."""

    tokens: int
    dollars: float | None


@fact
class Spent:
    """What a run has spent. `dollars` and `tokens` are settled ones; `open`: calls that are not, by their numbers."""

    dollars: float = 0.0
    tokens: int = 0
    calls: int = 0
    cached: int = 0  # tokens that were read from the cache
    open: Mapping[int, SetAside] = field(default_factory=dict)

    @property
    def worst_dollars(self) -> float:
        """Never less than what was charged, as far as prices are known."""
        return self.dollars + sum(aside.dollars or 0.0 for aside in self.open.values())

    @property
    def worst_tokens(self) -> int:
        return self.tokens + sum(aside.tokens for aside in self.open.values())

    def reserved(self, call: int, tokens: int, dollars: float | None) -> Spent:
        """After a call was set aside."""
        return Spent(
            self.dollars, self.tokens, max(self.calls, call + 1), self.cached,
            {**self.open, call: SetAside(tokens, dollars)},
        )  # fmt: skip

    def settled(self, call: int, usage: Usage, dollars: float | None) -> Spent:
        """After a call was settled. One that was never set aside, or is settled already, changes nothing."""
        if call not in self.open:
            return self
        return Spent(
            self.dollars + (dollars or 0.0),
            self.tokens + usage.tokens,
            self.calls,
            self.cached + usage.cache_read,
            {k: aside for k, aside in self.open.items() if k != call},
        )
