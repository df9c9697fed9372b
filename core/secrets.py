"""The API key of the `claude` agent: where it comes from, and how it reaches an engine without lying about.

It comes from ANTHROPIC_API_KEY of the user's environment, else from the system's keyring (the optional package
`keyring`). The environment's is handed to the engine on a pipe and kept in its memory: it is in the environment and the
argument list of no process that we start, and in no file. The keyring's is asked for by the process that needs it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from core import installing
from core.errors import UsageError
from core.facts import fact

VARIABLE = "ANTHROPIC_API_KEY"
SERVICE, USER = "autoresearch", "anthropic"  # what the keyring has it under
LONGEST = 4096  # characters; a pipe takes them at once, whether anybody reads or not
MISSING = f"no API key: export {VARIABLE}=…, or keep one in the system's keyring with: autoresearch key set"

_handed = ""  # what the engine's launcher gave it
_own = ""  # what a command has taken out of its environment
_refused = ""  # what the server did not take


@fact
class Found:
    """A key, and in words where it was found. The key is in no representation of this."""

    key: str = field(repr=False)
    where: str
    stored: bool = False  # in the keyring: it is the official server's, and goes to no other


# --- for whoever calls the API ---------------------------------------------------------------------------------------


def refuse(key: str) -> None:
    """The server did not take this key: from now on one in the keyring that is another goes before it."""
    global _refused
    _refused = key


def find() -> Found | None:
    """The key to call with: the one handed over or of the environment, else the keyring's; None where there is none.

    After `refuse`, the keyring's if that is another one: so a wrong key can be mended while a run is paused.
    """
    given = Found(_handed, f"{VARIABLE}, handed over at the start") if _handed else None
    if given is None and (key := _of_the_environment()):
        given = Found(key, f"{VARIABLE} of the environment")
    if given is not None and given.key != _refused:
        return given
    with contextlib.suppress(UsageError):
        kept = stored()
        if kept is not None and (given is None or kept.key != _refused):
            return kept
    return given


def missing() -> str:
    """What to say where there is no key: why not, and the mend."""
    try:
        stored()
    except UsageError as error:
        return f"no API key in {VARIABLE}, and {error}"
    return MISSING


def seclude() -> None:
    """For a command of the user's: take the key out of the environment, so that no child gets it from there."""
    global _own
    _own = os.environ.pop(VARIABLE, "").strip() or _own


def _of_the_environment() -> str:
    return os.environ.get(VARIABLE, "").strip() or _own


# --- from the launcher to the engine ---------------------------------------------------------------------------------


@contextlib.contextmanager
def handed_over() -> Iterator[tuple[int | None, dict[str, str]]]:
    """For a launcher: a descriptor that the key of its environment can be read from, None where there is none, and its
    environment without the key. Raises UsageError for what cannot be a key."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    key = _handed or _of_the_environment()
    if not key:
        yield None, environment
        return
    check(key)
    reading, writing = os.pipe()
    try:
        os.write(writing, key.encode())
        os.close(writing)
        yield reading, environment
    finally:
        os.close(reading)


def take(descriptor: int) -> None:
    """For an engine: read the key that its launcher hands over."""
    global _handed
    with open(descriptor, "rb") as pipe:
        _handed = pipe.read(LONGEST).decode()


def check(key: str) -> None:
    """Refuse what cannot be a key: it goes into a header. The words do not hold it."""
    if not key or len(key) > LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"what {VARIABLE} or the keyring holds is no API key: it is one word of printable ASCII")


# --- the keyring -----------------------------------------------------------------------------------------------------


def stored() -> Found | None:
    """The keyring's key; None where it holds none or the package is not installed. Raises UsageError where the keyring
    does not answer."""
    try:
        ring = _keyring()
    except UsageError:
        return None
    with _answering(ring):
        key = ring.get_password(SERVICE, USER)
    return Found(key, where_stored(), stored=True) if key else None


def store(key: str) -> None:
    """Keep a key in the keyring. Raises UsageError."""
    check(key)
    ring = _keyring()
    with _answering(ring):
        ring.set_password(SERVICE, USER, key)


def remove() -> bool:
    """Take the key out of the keyring; False where it held none. Raises UsageError."""
    ring = _keyring()
    with _answering(ring):
        if ring.get_password(SERVICE, USER) is None:
            return False
        ring.delete_password(SERVICE, USER)
    return True


def where_stored() -> str:
    """The keyring by its name: `the keyring (macOS Keychain)`."""
    name = getattr(_keyring().get_keyring(), "name", "")
    return f"the keyring ({name})" if name else "the keyring"


def need_keyring() -> None:
    """Raises UsageError, with the mend, where the package for the keyring is not installed."""
    _keyring()


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        mend = f"{installing.command('keyring')}; or export {VARIABLE}=…"
        raise UsageError(f"the system's keyring needs a package: {mend}") from None
    return keyring


@contextlib.contextmanager
def _answering(ring: Any) -> Iterator[None]:
    """A keyring that is locked, or none at all, is the user's to mend."""
    try:
        yield
    except ring.errors.KeyringError as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"the keyring does not answer: {said}; unlock it, or export {VARIABLE}=…") from None
