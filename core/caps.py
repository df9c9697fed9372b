"""What the name of an agent tells, and whether a cap on it can be kept at all: refused before a run begins if not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.errors import UsageError

TOO_LOW = "too low a cap: "  # how a note begins that is the user's affair, and not the agent's


def model_of(agent: str, options: Mapping[str, Any]) -> str | None:
    """The model that this agent calls through the Messages API; None where it calls none itself."""
    kind, _, ideas = agent.partition(":")
    if kind == "hybrid":
        return model_of(ideas or "claude", options)
    if kind != "claude":
        return None
    from core.agents.prices import DEFAULT_MODEL

    return str(options.get("model") or DEFAULT_MODEL)


def runs_commands(agent: str) -> bool:
    """Whether this agent runs a program of the user's, or its ideas come from one."""
    kind, _, rest = agent.partition(":")
    return kind == "command" or (kind == "hybrid" and runs_commands(rest))


def reads_notes(agent: str) -> bool:
    """Whether what the user tells this agent can change what it proposes."""
    kind, _, argument = agent.partition(":")
    return reads_notes(argument) if kind == "hybrid" and argument else kind not in ("search", "scripted")


def spends(agent: str) -> bool:
    """Whether anything this agent does can cost tokens or dollars."""
    return runs_commands(agent) or model_of(agent, {}) is not None


def check_use(agent: str, max_dollars: float | None, max_tokens: int | None) -> None:
    """Refuse caps that are given for an agent that spends nothing. Raises UsageError."""
    if spends(agent) or (max_dollars is None and max_tokens is None):
        return
    flag = "--max-dollars" if max_dollars is not None else "--max-tokens"
    raise UsageError(f"{flag}: the agent {agent.partition(':')[0]} spends nothing, so it needs no cap; leave it out")


def check_cap(agent: str, options: Mapping[str, Any], max_dollars: float | None) -> None:
    """Refuse a cap on dollars where no call has a known price, or none fits into it. Raises UsageError."""
    if max_dollars is None:
        return
    if runs_commands(agent):
        mend = "leave the cap out and give the program one of its own, as in: claude -p --max-budget-usd 1"
        raise UsageError(f"--max-dollars: what a command will cost is not known before it has run; {mend}")
    model = model_of(agent, options)
    if model is None:
        return  # it costs nothing
    from core.agents.claude import MAX_TOKENS
    from core.agents.prices import MEND, price

    if (known := price(options)) is None:
        raise UsageError(f"--max-dollars: the price of {model} is not known; {MEND}")
    least = known.worst(0, 0, MAX_TOKENS)
    if least > max_dollars:
        least = math.ceil(least * 1000 - 1e-6) / 1000
        raise UsageError(
            f"--max-dollars: no call fits into ${max_dollars:g}; an answer of {model} alone can cost ${least:g}, "
            f"and the prompt comes on top: without a cap, --dry-run says how much"
        )


def check_token_cap(agent: str, options: Mapping[str, Any], max_tokens: int | None) -> None:
    """Refuse a cap on tokens into which no call of a model fits. Raises UsageError."""
    if max_tokens is None or model_of(agent, options) is None:
        return
    from core.agents.claude import MAX_TOKENS

    if max_tokens < MAX_TOKENS:
        raise UsageError(
            f"--max-tokens: no call fits into {max_tokens:,} tokens; an answer alone may have {MAX_TOKENS:,}, "
            f"and the prompt comes on top: without a cap, --dry-run says how much"
        )
