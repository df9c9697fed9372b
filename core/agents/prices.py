"""What tokens cost, in dollars per million, and never less than what is charged.

From the price list that the maker publishes (platform.claude.com, Models & pricing), as of November 2026. A model that
is not here, or without one, has no known price: the user gives it (`--price IN/OUT`), or no cap in dollars can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.errors import UsageError
from core.facts import fact
from core.spending import Usage

MILLION = 1_000_000
WRITE_5M, WRITE_1H = 1.25, 2.0  # what writing into the cache costs, as a multiple of the price of input
DEFAULT_MODEL = "claude-opus-5-5"
MEND = "give it with --price IN/OUT, dollars per million tokens (0/0 for a server of your own)"


@fact
class Price:
    """Dollars per million tokens. `cache_read` is a multiple of the price of input.

    long: a prompt of more tokens than the first costs, with its answer, so many times as much.
    """

    input: float
    output: float
    cache_read: float = 0.1
    long: tuple[int, float] | None = None

    def dollars(self, usage: Usage, hour_writes: int = 0) -> float:
        """What a call did cost. `hour_writes`: those of the cache writes that are to last an hour."""
        prompt = usage.input + usage.cache_read + usage.cache_write
        writes = (usage.cache_write - hour_writes) * WRITE_5M + hour_writes * WRITE_1H
        into = (usage.input + usage.cache_read * self.cache_read + writes) * self.input
        return (into + usage.output * self.output) * self._times(prompt) / MILLION

    def worst(self, hour: int, rest: int, output: int) -> float:
        """The most a call can cost, if all of its prompt is written into the cache: `hour` tokens of it for an hour."""
        into = (hour * WRITE_1H + rest * WRITE_5M) * self.input
        return (into + output * self.output) * self._times(hour + rest) / MILLION

    def _times(self, prompt: int) -> float:
        return self.long[1] if self.long and prompt > self.long[0] else 1.0


@fact
class Model:
    """What is known of a model. adaptive: it decides by itself how much to think. price: None where none was found."""

    price: Price | None
    adaptive: bool = True


_FABLE, _OPUS, _SONNET = Price(10, 50), Price(5, 25), Price(3, 15)
MODELS: Mapping[str, Model] = {
    "claude-fable-5-2": Model(None),
    "claude-mythos-5-2": Model(None),
    "claude-mythos-preview": Model(None),
    "claude-fable-5-1": Model(replace(_FABLE, cache_read=0.025)),
    "claude-mythos-5-1": Model(replace(_FABLE, cache_read=0.025)),
    "claude-fable-5": Model(_FABLE),
    "claude-mythos-5": Model(_FABLE),
    "claude-opus-5-5": Model(Price(4, 20, 0.05)),
    "claude-opus-5": Model(_OPUS),
    "claude-opus-4-8": Model(_OPUS),
    "claude-opus-4-7": Model(_OPUS),
    "claude-opus-4-6": Model(_OPUS),
    "claude-opus-4-5": Model(_OPUS, adaptive=False),
    "claude-opus-4-5-20251101": Model(_OPUS, adaptive=False),
    "claude-sonnet-5-5": Model(Price(2, 10, 0.05)),
    "claude-sonnet-5": Model(Price(2, 10)),
    "claude-sonnet-4-6": Model(_SONNET),
    # a prompt of more than 200,000 tokens has cost twice as much with this one
    "claude-sonnet-4-5": Model(replace(_SONNET, long=(200_000, 2.0)), adaptive=False),
    "claude-sonnet-4-5-20250929": Model(replace(_SONNET, long=(200_000, 2.0)), adaptive=False),
    "claude-haiku-5-5": Model(Price(0.1, 0.5, long=(100_000, 5.0))),
    "claude-haiku-4-5": Model(Price(1, 5), adaptive=False),
    "claude-haiku-4-5-20251001": Model(Price(1, 5), adaptive=False),
}


def price(options: Mapping[str, Any]) -> Price | None:
    """The price of the model that these options name: the user's, else the list's. None: it is not known.

    Raises UsageError where only one of the two prices is given, or what is given is no price.
    """
    given = options.get("price_in"), options.get("price_out")
    if given == (None, None):
        known = MODELS.get(options.get("model") or DEFAULT_MODEL)
        return known.price if known else None
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not 0 <= x < MILLION for x in given):
        raise UsageError(
            f"--price: {given[0]}/{given[1]} is no price; write IN/OUT, dollars per million tokens, as 3/15"
        )
    return Price(float(given[0] or 0), float(given[1] or 0))
