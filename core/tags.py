"""Tags: what a run may be called, for it is a folder and a branch as well."""

from __future__ import annotations

import re

from core.errors import UsageError

TAG = re.compile(r"[A-Za-z0-9._-]{1,100}")


def check_tag(tag: str) -> None:
    """Refuse a tag that cannot be a branch name."""
    if not TAG.fullmatch(tag):
        raise UsageError(f"--tag {tag!r}: use up to 100 letters, digits, '-', '_' and '.', as in nov20 or wide-mlp")
    begins = next((sign for sign in (".", "-") if tag.startswith(sign)), "")
    ends = next((sign for sign in (".lock", ".") if tag.endswith(sign)), "")
    if begins or ends or ".." in tag:
        where = f"begins with {begins!r}" if begins else f"ends in {ends!r}" if ends else "has '..' in it"
        mend = "leave that out, as in nov20 or wide-mlp"
        raise UsageError(f"--tag {tag!r}: it {where}, which the name of a branch may not; {mend}")


def branch_name(tag: str) -> str:
    """The branch of a run."""
    return f"autoresearch/{tag}"
