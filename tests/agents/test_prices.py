"""What tokens cost, from the published list, and never less."""

from __future__ import annotations

import typing

import pytest
from anthropic.types.model_param import ModelParam

from core.agents.prices import DEFAULT_MODEL, MODELS, Price, price
from core.errors import UsageError
from core.spending import Usage

NAMED = set(typing.get_args(typing.get_args(ModelParam)[0]))


def test_every_model_of_the_list_is_one_that_the_sdk_names():
    assert set(MODELS) <= NAMED
    assert DEFAULT_MODEL in MODELS


@pytest.mark.parametrize(
    ("model", "usage", "hour", "dollars"),
    [  # per million, as published: input, cache hits, 5-minute and 1-hour writes, output
        ("claude-opus-5-5", Usage(input=1_000_000), 0, 4.00),
        ("claude-opus-5-5", Usage(cache_read=1_000_000), 0, 0.20),
        ("claude-opus-5-5", Usage(cache_write=1_000_000), 0, 5.00),
        ("claude-opus-5-5", Usage(cache_write=1_000_000), 1_000_000, 8.00),
        ("claude-opus-5-5", Usage(output=1_000_000), 0, 20.00),
        ("claude-fable-5-1", Usage(cache_read=1_000_000), 0, 0.25),
        ("claude-fable-5", Usage(cache_read=1_000_000), 0, 1.00),
        ("claude-sonnet-5-5", Usage(cache_read=1_000_000), 0, 0.10),
        ("claude-opus-5", Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000), 0, 5 + 0.5 + 6.25 + 25),
        ("claude-haiku-5-5", Usage(input=100_000), 0, 0.01),
        ("claude-haiku-5-5", Usage(input=100_001, output=1_000_000), 0, 0.0500005 + 2.5),
        ("claude-haiku-5-5", Usage(input=1, cache_read=100_000), 0, 5 * (0.1 + 0.1 * 10_000) / 1e6),
    ],
)
def test_what_a_call_costs(model, usage, hour, dollars):
    assert MODELS[model].price.dollars(usage, hour) == pytest.approx(dollars)


def test_the_worst_is_never_less_than_what_it_can_come_to():
    for model in (model for model in MODELS.values() if model.price):
        for prompt in (1_000, 99_999, 100_001, 250_000):
            for hour in (0, prompt // 3, prompt):
                worst = model.price.worst(hour, prompt - hour, 500)
                for usage, written in (
                    (Usage(input=prompt, output=500), 0),
                    (Usage(cache_write=prompt, output=500), hour),
                    (Usage(cache_read=prompt, output=500), 0),
                    (Usage(prompt - hour, 0, hour, 7), hour),
                ):
                    assert model.price.dollars(usage, written) <= worst * (1 + 1e-12)


def test_a_price_of_the_users_own_goes_before_the_list():
    assert price({}) == MODELS[DEFAULT_MODEL].price
    assert price({"model": "qwen3"}) is None
    assert price({"model": "claude-fable-5-2"}) is None  # the SDK names it, the list has no price of it
    assert price({"model": "qwen3", "price_in": 0, "price_out": 0}) == Price(0, 0)
    assert price({"price_in": 3, "price_out": 15.5}) == Price(3, 15.5)


@pytest.mark.parametrize(
    "given", [(3, None), (None, 3), (-1, 3), (float("nan"), 1), (1, float("inf")), ("3", 15), (True, 1)]
)
def test_what_is_no_price_is_refused(given):
    with pytest.raises(UsageError, match="--price"):
        price({"price_in": given[0], "price_out": given[1]})
