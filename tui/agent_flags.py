"""The flags about the agent: who proposes, with which model, and what it may spend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from core import secrets
from core.caps import runs_commands
from core.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

AGENTS = "search, claude, command:ANYTHING, hybrid, scripted:FILE"
BASE_URL = "ANTHROPIC_BASE_URL"
FLAGS = {"model": "--model", "effort": "--effort", "price": "--price", "seconds": "--agent-seconds"}


def asks_a_model(agent: str) -> bool:
    """Whether this agent calls the Messages API."""
    kind, _, ideas = agent.partition(":")
    return kind == "claude" or (kind == "hybrid" and (not ideas or asks_a_model(ideas)))


def _has_use(agent: str, name: str) -> bool:
    """Whether a flag is this agent's; a command says itself how else its model is chosen."""
    command = runs_commands(agent)
    return command if name == "seconds" else asks_a_model(agent) or (command and name != "price")


def _price(context: click.Context, option: click.Parameter, given: str | None) -> tuple[float, float] | None:
    """IN/OUT, in dollars for a million tokens."""
    if given is None:
        return None
    parts = given.split("/")
    try:
        prices = tuple(float(part.strip().removeprefix("$")) for part in parts)
    except ValueError:
        prices = ()
    if len(prices) != 2 or not all(0 <= price < 1e6 for price in prices):
        raise click.BadParameter(f"{given!r} is not IN/OUT in dollars for a million tokens, as in: --price 3/15")
    return prices


AGENT = click.option("--agent", default="search", show_default=True, metavar="A", help=f"{AGENTS}: see docs/agents.md.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the first prompt and what it can cost; start nothing.")


def model_flags(command: F) -> F:
    """The flags of a model and of what it may cost, for a run that begins or goes on."""
    for flag in (
        click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The same in tokens, in all."),
        click.option(
            "--max-dollars", type=click.FloatRange(min=0, min_open=True), metavar="D",
            help="End the run before it can have cost more, in all: what it spent before a resume counts.",
        ),
        click.option(
            "--price", callback=_price, metavar="IN/OUT",
            help="The model's price in dollars for a million tokens, where it is not known or another.",
        ),
        click.option(
            "--agent-seconds", "seconds", type=click.FloatRange(min=0, min_open=True), metavar="S",
            help="How long a command may take for one proposal.  [default: 900]",
        ),
        click.option("--effort", metavar="E", help="How much the model thinks: low, medium, high, xhigh, max."),
        click.option("--model", metavar="M", help="The model of claude and of hybrid, by its name in the API."),
    ):  # fmt: skip
        command = flag(command)
    return command


def agent_options(agent: str, given: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What of the flags in FLAGS goes to the agent, and the server of the user's environment.

    Raises UsageError for flags that this agent has no use for.
    """
    for name, flag in FLAGS.items():
        if given.get(name) is not None and not _has_use(agent, name):
            whose = "a command" if name == "seconds" else "claude, or hybrid"
            raise UsageError(f"{flag} is for --agent {whose}; {agent.partition(':')[0]} has no use for it")
    options = {name: given[name] for name in ("model", "effort", "seconds") if given.get(name) is not None}
    if given.get("price") is not None:
        options["price_in"], options["price_out"] = given["price"]
    if asks_a_model(agent) and (address := environment.get(BASE_URL, "").strip()):
        if urlsplit(address).username is not None or urlsplit(address).password is not None:
            raise UsageError(f"{BASE_URL} holds a name or a password, which a run would record; leave it out there")
        options["base_url"] = address
    return options


def need_key(agent: str, options: Mapping[str, Any]) -> None:
    """Refuse a start that would only come to a pause. A server of one's own may need no key."""
    if asks_a_model(agent) and not agent.startswith("hybrid") and "base_url" not in options and secrets.find() is None:
        raise UsageError(f"--agent {agent}: {secrets.missing()}")
