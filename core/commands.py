"""Every command to an engine, and by what an answer names its proposal."""

from __future__ import annotations

from typing import Literal

Command = Literal[
    "pause",
    "pause-after",
    "resume",
    "skip",
    "stop",
    "stop-now",
    "steer",  # text: str
    "approval-on",
    "approval-off",
    "approve",  # number: int; edits: {path: text} or None; seen: the digest of the diff that was looked at, if any
    "reject",  # number: int; reason: str; seen
    "again",  # number: int
]


def digest(diff: str) -> str:
    """By what an answer names the proposal it is meant for: numbers are used again after a rejection."""
    import hashlib  # with it comes OpenSSL, which the cockpit's first painting need not wait for

    return hashlib.sha256(diff.encode("utf-8", "surrogatepass")).hexdigest()[:16]
