"""Where the command socket of a run lies, that the place is ours, and a line that is read in time."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from core.errors import UsageError
from core.locks import cache_folder

_LONGEST_SOCKET_PATH = 100  # bytes; the kernels' limits are 107 (Linux) and 103 (macOS)


def socket_path(run_folder: Path) -> Path:
    """Where the engine of this run listens."""
    import hashlib  # it links a library that viewers need for nothing else

    path = run_folder.resolve() / "control.sock"
    short = hashlib.sha256(os.fsencode(path)).hexdigest()[:16] + ".sock"
    for place in (path, cache_folder() / "sockets" / short):
        if len(os.fsencode(place)) <= _LONGEST_SOCKET_PATH:
            return place
    return Path("/tmp") / f"autoresearch-{os.getuid()}" / short


def refuse_foreign(folder: Path) -> None:
    """Raises UsageError where the folder of a socket is not the user's own: whoever owns it could be listening."""
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UsageError(f"{folder}: belongs to somebody else, so no engine can be reached safely there; remove it")


def read_line(connection: socket.socket, longest: int, seconds: float) -> bytes:
    """What a peer sends up to its first newline, its end or `longest` bytes. Raises OSError (TimeoutError) where that
    is not here within `seconds`, however small the pieces in which it comes."""
    deadline, got = time.monotonic() + seconds, bytearray()
    while len(got) < longest:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(min(64 * 1024, longest - len(got)))
        got += piece
        if not piece or b"\n" in piece:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(got.partition(b"\n")[0])
