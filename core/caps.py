"""Whether a cap on dollars can be kept at all: only where the most that a call can cost is known before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import UsageError


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


def check_cap(agent: str, options: Mapping[str, Any], max_dollars: float | None) -> None:
    """Refuse a cap on dollars for an agent whose calls have no known price. Raises UsageError."""
    if max_dollars is None:
        return
    if runs_commands(agent):
        mend = "leave the cap out and give the program one of its own, as in: claude -p --max-budget-usd 1"
        raise UsageError(f"--max-dollars: what a command will cost is not known before it has run; {mend}")
    model = model_of(agent, options)
    if model is None:
        return  # it costs nothing
    from core.agents.prices import MEND, price

    if price(options) is None:
        raise UsageError(f"--max-dollars: the price of {model} is not known; {MEND}")
