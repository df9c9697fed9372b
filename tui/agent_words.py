"""What is said of the agent: its name, what it spends, what it waits for, how it mended its own. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from core import caps
from core.experiment import Experiment
from core.history import History, Pending
from tui import text
from tui.tail import as_float

UNCONFINED = "unconfined"
PRODUCTS = {"cuda": "PyTorch", "mlx": "MLX"}  # what a backend runs on: cuda on a cpu reads like a fault
_LONGEST_NAME = 28  # characters
_TIMES = ("", "once", "twice")
_DROPPED_TOLD = 5  # paths
_MOST_DOLLARS = 1e12
_SERVER = re.compile(
    r"(.*?\b[45]\d\d [a-z ]+: )(.+?)(; the server asks for .*)?"
)  # what stands before the server's words


# --- who -------------------------------------------------------------------------------------------------------------


def name(history: History) -> str:
    """The agent in short: by its model where one is named, a command by its program."""
    if history.run is None:
        return ""
    agent = text.one_line(history.run.agent)
    if runs_unconfined(history):
        kind, _, words = agent.rpartition("command:")
        program = next((word for word in words.split() if not word.startswith("env:")), "")
        agent = f"{kind}command:{program.rpartition('/')[2]}"
    options = history.engine.agent_options if history.engine else {}
    model = text.one_line(str(options.get("model") or ""))
    if agent.partition(":")[0] == "claude" and model:
        agent = model
    elif model:
        agent = f"{agent} {model}"
    return agent if len(agent) <= _LONGEST_NAME else f"{agent[: _LONGEST_NAME - 1]}…"


def in_full(history: History) -> str:
    """The agent with all its words, its model and whether it runs unconfined."""
    if history.run is None:
        return ""
    model = history.engine.agent_options.get("model") if history.engine else None
    label = f" ({UNCONFINED})" if runs_unconfined(history) else ""
    return text.one_line(f"{history.run.agent} {model or ''}").strip() + label


def where(history: History) -> str:
    """`PyTorch · cpu · search`: what it runs on, device, agent."""
    run = history.run
    parts = (PRODUCTS.get(run.backend, run.backend), run.device, name(history)) if run else ()
    return " · ".join(text.one_line(part) for part in parts if part)


def label(history: History) -> str:
    """`unconfined`, where this run's agent is; `no ideas`, where the half of it that has them cannot work."""
    lame = "no ideas" if history.experiments and no_ideas(history.experiments[-1]) and not history.ended else ""
    return ", ".join(filter(None, (UNCONFINED if runs_unconfined(history) else "", lame)))


def reads_notes(history: History) -> bool:
    """Whether what the user tells this run's agent can change what it proposes."""
    return history.run is None or caps.reads_notes(history.run.agent)


def steering(history: History) -> str:
    """What stands above a note that is being written."""
    if reads_notes(history):
        return "steer: a note to the agent, for its next proposals"
    return f"steer: {name(history)} reads no notes, and will propose as before"


def no_ideas(entry: Experiment | Pending) -> str:
    """Why the agent that has the ideas could not be asked, so that this one is a number of the search's."""
    told = details_of(entry).get("no_ideas")
    return text.one_line(str(told.get("reason", ""))) if isinstance(told, Mapping) else ""


def runs_unconfined(history: History) -> bool:
    """Whether this run's agent is a program with the user's rights."""
    return history.run is not None and caps.runs_commands(history.run.agent)


def unconfined(entry: Experiment | Pending) -> bool:
    """Whether an agent with the user's rights made this proposal."""
    return details_of(entry).get(UNCONFINED) is True


def details_of(entry: Experiment | Pending) -> Mapping[str, Any]:
    """What the agent wrote down of its proposal."""
    if isinstance(entry, Experiment):
        return entry.details
    return entry.proposed.details if entry.proposed else {}


# --- what it costs ---------------------------------------------------------------------------------------------------


def dollars(value: float) -> str:
    """`$0.42`, `$12.30`, `$1,204`; of less than ten cents two digits: `$0.0042`."""
    if not 0 <= value < _MOST_DOLLARS:
        return "$?"  # of a foreign journal
    if value >= 1000:
        return f"${value:,.0f}"
    if value >= 0.0995 or not value:
        return f"${value:.2f}"
    return f"${value:.1g}" if value < 1e-4 else f"${value:.{1 - math.floor(math.log10(value))}f}"


def cap(value: float) -> str:
    """A limit as it was given: `$5`, `$2.50`."""
    if not 0 <= value < _MOST_DOLLARS:
        return "$?"  # of a foreign journal
    return f"${value:,.0f}" if value == int(value) else f"${value:,.2f}" if value >= 0.01 else f"${value:g}"


def thinks(history: History) -> bool:
    """Whether the agent is being asked: for a proposal, or to mend what crashed."""
    return history.phase == "proposing" or mends(history)


def mends(history: History) -> bool:
    """Whether an experiment crashed and its verdict is still open, while an agent that can mend it may be at that."""
    p, agent = history.pending, history.run.agent if history.run else ""
    able = agent.split(":")[0] in ("claude", "command", "hybrid") and not (p and details_of(p).get("arm") == "numbers")
    crashed = p is not None and p.crashed is not None and p.judged is None and not p.again and p.number > 0
    return able and crashed and history.phase == "deciding"


def pays(history: History) -> bool:
    """Whether this run's agent calls a model itself, so that there is something to spend."""
    kind, _, ideas = (history.run.agent if history.run else "").partition(":")
    return "claude" in (kind, (ideas or "claude").partition(":")[0] if kind == "hybrid" else "")


def spending(history: History) -> str:
    """`$0.42 of $5`, `31.2k tokens of 1M`; `up to` where calls are open. Empty where nothing was called and nothing is
    capped, or can be spent."""
    spent, engine = history.spent, history.engine
    most, most_tokens = (engine.max_dollars, engine.max_tokens) if engine else (None, None)
    if not (spent.calls or pays(history)):
        return ""
    up_to = "up to " * bool(spent.open)  # under way, or broken off: of none is known what it did cost
    told = []
    if most is not None or spent.worst_dollars:
        told.append(f"{up_to}{dollars(spent.worst_dollars)}{f' of {cap(most)}' if most is not None else ''}")
    if most_tokens is not None or (not told and spent.worst_tokens):
        of = f" of {text.quantity(most_tokens)}" if most_tokens is not None else ""
        told.append(f"{up_to}{text.quantity(spent.worst_tokens)} tokens{of}")
    return ", ".join(told)


def bill(history: History) -> list[str]:
    """What the run has spent, in sentences; none where it called nothing and has no cap."""
    spent, words = history.spent, spending(history)
    if not words:
        return []
    cached = f", {100 * spent.cached / spent.tokens:.0f} % from the cache" if spent.cached and spent.tokens else ""
    calls = f"{spent.calls} call{'s' * (spent.calls != 1)}"
    told = [f"spent {words}: {spent.tokens:,} tokens in {calls}{cached}"]
    under_way = bool(spent.open) and thinks(history) and not (history.waits or history.paused or history.ended)
    if under_way:
        told.append("a call is under way: it counts as the most it can cost")
    if n := len(spent.open) - under_way:
        told.append(
            f"{n} call{'s' * (n != 1)} broke off: what {'they' if n > 1 else 'it'} did cost is not known and "
            f"counts as the most it can have been"
        )
    return told


def cost(entry: Experiment | Pending) -> str:
    """What a proposal did cost: `$0.0412, 18,204 tokens, 4 calls`; empty where nothing is known."""
    details = details_of(entry)
    paid, tokens, calls = (as_float(details.get(key)) for key in ("dollars", "tokens", "calls"))
    told = [dollars(paid)] if paid is not None and math.isfinite(paid) and paid >= 0 else []
    told += [f"{tokens:,.0f} tokens"] if tokens and math.isfinite(tokens) else []
    told += [f"{calls:,.0f} call{'s' * (calls != 1)}"] if calls and math.isfinite(calls) else []
    return ", ".join(told)


# --- what it waits for, and what it mended --------------------------------------------------------------------------


def waits_seconds(history: History, now: float) -> float | None:
    """For how long the agent waits yet before it tries again; None where it does not."""
    if history.waits is None or history.ended or history.paused or not thinks(history):
        return None
    left = history.waits_since + history.waits.seconds - now
    return left if math.isfinite(left) and left > 0 else None


def quoted(reason: str) -> str:
    """Why the agent waits, on a line; in it the words of a server marked as its own: `429 rate limit: “slow down”`."""
    reason = text.one_line(reason)
    found = _SERVER.fullmatch(reason)
    return f"{found[1]}“{found[2]}”{found[3] or ''}" if found else reason


def waits(history: History, now: float, longest: int = 300) -> str:
    """`529 overloaded: again in 0:43`; empty where nothing is waited for."""
    left = waits_seconds(history, now)
    if left is None or history.waits is None:
        return ""
    again, reason = f"again in {text.clock(math.ceil(left))}", quoted(history.waits.reason)
    room = longest - len(again) - 2
    return f"{reason if len(reason) <= room else reason[: max(0, room - 1)] + '…'}: {again}"


def crash_to_mend(history: History) -> str:
    """`#44 crashed: oom`, while its agent is asked to mend it."""
    p = history.pending
    return f"#{p.number} crashed: {text.one_line(p.crashed.reason)}" if p and p.crashed and mends(history) else ""


def times_repaired(entry: Experiment | Pending) -> str:
    """`repaired`, `repaired twice`; `2 repairs tried` while that has brought no score; empty where there was none."""
    times = len(entry.repairs)
    if not times or entry.measurement is None:
        return f"{times} repair{'s' * (times != 1)} tried" if times else ""
    return "repaired" if times == 1 else f"repaired {_times(times)}"


def repairs(entry: Experiment | Pending) -> str:
    """`repaired twice: oom, then RuntimeError: …`: what its earlier attempts crashed with."""
    if not entry.repairs:
        return ""
    reasons = ", then ".join(text.one_line(repair.reason) for repair in entry.repairs)
    if entry.measurement is None:
        return f"{times_repaired(entry)}, after {reasons}"
    return f"repaired {_times(len(entry.repairs))}: {reasons}"


def dropped(entry: Experiment | Pending) -> str:
    """Which files its agent changed besides, which are no part of the artifact; empty where none."""
    paths = details_of(entry).get("dropped")
    if not isinstance(paths, list | tuple) or not paths:
        return ""
    more = f" and {len(paths) - _DROPPED_TOLD} more" if len(paths) > _DROPPED_TOLD else ""
    return f"it changed besides, which was dropped: {text.one_line(', '.join(map(str, paths[:_DROPPED_TOLD])))}{more}"


def origin(entry: Experiment | Pending) -> str:
    """What it did cost, what it was mended of, that its agent had the user's rights, what was dropped of it."""
    rights = f"{UNCONFINED}: its agent ran with your rights" if unconfined(entry) else ""
    return "; ".join(filter(None, (cost(entry), repairs(entry), rights, dropped(entry))))


def _times(count: int) -> str:
    return _TIMES[count] if count < len(_TIMES) else f"{count} times"
