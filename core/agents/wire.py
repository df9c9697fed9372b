"""What can go wrong on the way to a server of the Messages API, in words for the user. No key is ever in them.

Tried again for ever: 408, 409, 429, 5xx, what cannot be reached. What breaks off is tried again too, but not for ever.
Everything else needs the user; so do 405 and 501, which a server that knows nothing of the Messages API answers.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from core.agents.calls import Trouble
from core.errors import UsageError
from core.log import plain
from core.spending import Usage

OFFICIAL = "https://api.anthropic.com"
_NAMES = {
    400: "bad request", 401: "wrong API key", 402: "billing", 403: "not permitted", 404: "not found",
    405: "method not allowed", 408: "request timeout", 409: "conflict", 413: "request too large", 429: "rate limit",
    500: "server error", 501: "not implemented", 502: "bad gateway", 503: "unavailable", 504: "gateway timeout",
    529: "overloaded",
}  # fmt: skip
_STATUS = {  # of errors that come within a stream, which has begun with 200
    "overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "request_too_large": 413, "invalid_request_error": 400,
}  # fmt: skip
NO_SUCH_SERVER = "is ANTHROPIC_BASE_URL the address of a server that speaks the streaming Messages API? Stop and resume"
_SPENT_OUT = "enforced_spend_limit_reached"  # a 429 that ends with the month


def status_of(status: int, kind: str | None) -> int:
    """The status of an error, also of one within a stream."""
    return status if status >= 300 else _STATUS.get(kind or "", 500 if kind else status)


def refused(
    status: int,
    said: str,
    headers: Mapping[str, str],
    where: str,
    model: str,
    code: str = "",
    spent: Usage | None = None,
) -> Trouble:
    """An error's status as a trouble. `said`: the server's words, made plain. `spent`: what it did cost, if known."""
    name = _NAMES.get(status, "server error" if status >= 500 else "error")
    words = f"{status} {name}{f': {said}' if said and said.lower().rstrip('.') != name else ''}"
    if status in (405, 501):
        return Trouble(f"{where} does not answer as the Messages API does ({words})", mend=NO_SUCH_SERVER, spent=spent)
    if (status in (408, 409, 429) or status >= 500) and code != _SPENT_OUT:
        return Trouble(words, after=asked_to_wait(headers), spent=spent)
    provoked = status in (400, 413) and not _unpaid(status, said)
    mend = _mend(status, said, where, model)
    return Trouble(f"{where} answers {words}", mend=mend, spent=spent, provoked=provoked)


def _unpaid(status: int, said: str) -> bool:
    """Whether it is the account that the server minds, and not what it was sent."""
    return status in (402, 429) or any(why in said for why in ("credit balance", "spend limit", "usage limit"))


def _mend(status: int, said: str, where: str, model: str) -> str:
    resume = "then say resume"
    if status == 401:
        return "autoresearch key set keeps another key, then say resume; or stop, and resume with a new one exported"
    if _unpaid(status, said):
        return f"look at the account's billing and limits, {resume}"
    if status == 403:
        return f"the key may not use {model}: use another key or, after a stop, resume with --model NAME"
    if status == 404:
        return f"is {model} a model of that server, and {where} its address? After a stop, resume with --model NAME"
    if status == 413 or "prompt is too long" in said:
        return f"the artifact and what is told about it are too large for {model}; resume with another --model"
    if 300 <= status < 400:
        return "it sends us elsewhere, where the key must not go: set ANTHROPIC_BASE_URL to the final address"
    return f"mend what the server names, {resume}; --model and --effort can be changed at the next resume"


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of a retry-after header, as a number or a date."""
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(ms) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            seconds = float(value)
        except ValueError:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        return min(max(0.0, seconds), 1e9) if seconds == seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def words(text: Any, *hidden: str | None) -> str:
    """Somebody else's words on one line, at most 300 characters, without the things to hide."""
    line = " ".join(plain(str(text or "")).split())
    for secret in hidden:
        if secret:
            line = line.replace(secret, "[key]")
    return re.sub(r"sk-ant-[\w-]+", "[key]", line)[:300]


def address(given: Any) -> str:
    """The server's address as the SDK gets it. Raises UsageError."""
    if given is None or given == "":
        return OFFICIAL
    try:
        parts = urlsplit(given)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        fine = False
    if not fine:
        raise UsageError(f"ANTHROPIC_BASE_URL: {words(given)!r} is no address; write http://HOST:PORT or https://HOST")
    return str(given).rstrip("/").removesuffix("/v1")  # which the SDK puts there itself


def shown(base: str) -> str:
    """An address as it may be shown: without a name and a password in it."""
    parts = urlsplit(base)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
