"""The one door back in: a unix socket that takes commands, acknowledges each and says when it takes effect.

Engine side: `Control` (a thread that only sets flags and wakes the engine). Viewer side: `alive` and `send`.
One JSON line each way: `{"command": "steer", "text": "…"}` → `{"ok": true, "effect": "…"}`. The other keys are the
details of the command; `core.commands` names them, `core.wishes` checks them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from core.commands import Command
from core.doorway import read_line, refuse_foreign, socket_path
from core.errors import EngineNotReady, EngineUnreachable, UsageError
from core.events import Acknowledged
from core.history import Pending, Phase
from core.launch import command_for
from core.locks import held

_LONGEST_LINE = 64 * 1024  # of an answer
LONGEST_COMMAND = 4 * 2**20  # bytes: `approve` carries whole files
_VOID = "; the trial under way is void and runs again on resume"
_AND_THEN: Mapping[str, str] = {  # of stopping now
    "proposing": "; the agent is asked again on resume",
    **dict.fromkeys(("startup", "training", "evaluating"), _VOID),
}
PEER_SECONDS = 2.0  # for a whole command to arrive, and for its answer to be taken: others wait at the door


# --- viewer side -----------------------------------------------------------------------------------------------------


def alive(run_folder: Path) -> bool:
    """Whether an engine holds this run now."""
    return held(run_folder / "engine.lock")


def gone(run_folder: Path) -> str:
    """Of a run without an engine, in words."""
    return f"no engine answers for run {run_folder.name}; start it again with: {command_for(run_folder, 'resume')}"


def send(run_folder: Path, command: str, timeout: float = 5.0, **details: object) -> str:
    """Send one command and return the sentence that says when it takes effect.

    Raises EngineUnreachable where no engine answers within `timeout` seconds, EngineNotReady where it has not opened
    its door yet, UsageError where it refuses.
    """
    line = json.dumps({**details, "command": command}, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    if len(line) > LONGEST_COMMAND:
        raise UsageError(
            f"{command}: {len(line):,} bytes are too many; an engine takes {LONGEST_COMMAND:,}; shorten it"
        )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            path = socket_path(run_folder)
            if path.parent != run_folder.resolve():
                refuse_foreign(path.parent)
            connection.connect(str(path))
            connection.sendall(line)
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(_LONGEST_LINE))
    except (FileNotFoundError, ConnectionRefusedError):  # nobody listens
        if alive(run_folder):
            raise EngineNotReady(f"the engine of run {run_folder.name} is still getting ready; try again") from None
        raise EngineUnreachable(gone(run_folder)) from None
    except (OSError, json.JSONDecodeError):
        raise EngineUnreachable(gone(run_folder)) from None
    if not answer.get("ok"):
        raise UsageError(str(answer.get("effect", "refused")))
    return str(answer["effect"])


# --- engine side -----------------------------------------------------------------------------------------------------


Details = Mapping[str, Any]
Grant = Callable[[Command, Details], str | None]


def _none_granted(command: Command, details: Details) -> None:
    """Where there is no run to record facts of."""
    return


def _listening(path: Path) -> socket.socket:
    """At a socket there. The lock is ours: one that lies there already is a dead engine's."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    refuse_foreign(folder)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(0o700)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(16)
    return server


class Control:
    """What the user wants of the engine, as flags. `wake` becomes readable whenever one of them changes.

    The thread behind it changes flags, has facts recorded (`grant`) and journals acknowledgements; the engine does the
    rest in its own.
    """

    def __init__(
        self,
        run_folder: Path,
        record: Callable[[Acknowledged], object],
        phase: Callable[[], Phase],
        in_flight: Callable[[], Pending] = lambda: Pending(-1),
        grant: Grant = _none_granted,
    ) -> None:
        """`record` makes an acknowledgement durable; `phase` and `in_flight` say what the run is doing.

        `grant` records what a command with details asks for and returns its effect; None for a command that it does
        not know, UsageError for one that it refuses. All four are called from the thread of this door.
        """
        self.paused = False
        self.pause_after = False
        self.stopping = False
        self.stopping_now = False
        self.wake, self._waker = socket.socketpair()
        self.wake.setblocking(False)
        self._waker.setblocking(False)
        self._skip = False
        self._record, self._phase, self._in_flight, self._grant = record, phase, in_flight, grant
        self._changed = threading.Condition()
        self._over = False  # the loop has ended
        self._tag, self._closed = run_folder.name, False
        self._path = socket_path(run_folder)
        self._server = _listening(self._path)
        self._door = threading.Thread(target=self._serve, name="control", daemon=True)
        self._door.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._server.close()
        self._door.join(PEER_SECONDS)  # the answer to the command that ended it may still be on its way
        self.wake.close()
        self._waker.close()
        self._path.unlink(missing_ok=True)

    def finish(self) -> bool:
        """The loop is at its end: no command is taken any more. Returns whether the user wanted it to stop."""
        with self._changed:
            self._over = True
            return self.stopping or self.stopping_now

    def take_skip(self) -> bool:
        """Whether a skip was asked for since the last time; clears it."""
        with self._changed:
            skip, self._skip = self._skip, False
            return skip

    def calm(self) -> None:
        """Empty `wake` after having looked at the flags."""
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)

    def wait_while_paused(self) -> None:
        """Block until the run is no longer paused, or has to stop."""
        self.wait_until(lambda: not self.paused)

    def wait_until(self, answered: Callable[[], bool], limit: float | None = None) -> None:
        """Block until this is so, or the run has to stop, or so many seconds are over. Looked at again after every
        command, and only then."""
        with self._changed:
            self._changed.wait_for(lambda: answered() or self.stopping or self.stopping_now, limit)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """No command is taken meanwhile: what the engine looks at is still so when it has recorded what follows."""
        with self._changed:
            yield

    def hold(self) -> None:
        """Pause on the engine's own account (a blocked branch, `pause-after`)."""
        with self._changed:
            self.paused, self.pause_after = True, False

    def apply(self, command: Command, details: Details | None = None) -> str:
        """Take a command; returns when it takes effect, in words. Journals the acknowledgement.

        Raises UsageError where it is refused; then nothing was changed.
        """
        with self._changed:
            if self._over:
                raise UsageError(f"the run has just ended; go on with: autoresearch resume {self._tag}")
            granted = self._grant(command, details or {})
            effect = granted or self._flag(command)
            try:
                self._record(Acknowledged(command, effect))
            except OSError:
                if granted is None:
                    raise
                # what was granted is recorded: the disk got full after it, and "refused" would have it sent again
            finally:  # a full disk must not keep a stop from being heard
                self._changed.notify_all()
                with contextlib.suppress(BlockingIOError):  # it has not looked since the last one, and will
                    self._waker.send(b"!")
        return effect

    def _flag(self, command: Command) -> str:
        phase, p = self._phase(), self._in_flight()
        in_trial = phase in ("startup", "training")
        match command:
            case "pause" if self.paused:
                return "already paused"
            case "pause":
                self.paused = True
                if phase == "training":
                    return "holds at the next step"
                if phase == "proposing":
                    return "holds as soon as the agent has its next answer; a wait of it holds now"
                return "holds now" if phase == "startup" else "holds before the next trial"
            case "pause-after":
                self.pause_after = True
                return "pauses after this trial"
            case "resume":
                was = self.paused or self.pause_after or self.stopping
                only_after = self.pause_after and not (self.paused or self.stopping)
                self.paused = self.pause_after = self.stopping = False
                if phase == "approving" and not was:
                    return f"was not paused; #{p.number} waits for your answer"
                if only_after:
                    return "does not pause after this trial"
                return "goes on" if was else "was not paused"
            case "skip" if in_trial and p.number == 0 and not p.again:
                return "not done: the baseline is what everything else is measured against"
            case "skip" if in_trial:
                self._skip = True
                kept = f"ends this trial; the verdict on #{p.number} stays"
                return kept if p.again else "ends this trial and discards its experiment"
            case "skip" if phase == "approving":
                return "nothing to skip: no trial is running; the proposal that waits can be rejected"
            case "skip" if phase in ("evaluating", "deciding"):
                return f"nothing to skip: no trial is running; #{p.number} is being scored"
            case "skip":
                return "nothing to skip: no trial is running"
            case "stop" | "stop-now" if phase == "approving":
                self.stopping, self.stopping_now, self.paused = True, command == "stop-now", False
                return "stops now; the proposal waits for your answer again on resume"
            case "stop":
                self.stopping, self.paused = True, False
                return "stops after this experiment"
            case "stop-now":
                self.stopping_now, self.paused = True, False
                return "stops now" + _AND_THEN.get(phase, "")
        raise UsageError(f"{command}: no run here that could do that")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.1)  # no descriptor was left, or the viewer has gone
                continue
            with connection, contextlib.suppress(OSError):
                answer = self._answer(read_line(connection, LONGEST_COMMAND, PEER_SECONDS))
                connection.settimeout(PEER_SECONDS)
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, object]:
        try:
            details = json.loads(line)
            command = details.pop("command")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {"ok": False, "effect": "not a command: one JSON line with a key `command` is expected"}
        for known in get_args(Command):
            if command == known:
                try:
                    return {"ok": True, "effect": self.apply(known, details)}
                except UsageError as refusal:
                    return {"ok": False, "effect": str(refusal)}
                except OSError as error:
                    why = error.strerror or str(error)
                    return {"ok": False, "effect": f"{known}: the journal cannot be written: {why}; mend that first"}
                except Exception as error:  # whatever a command meets, the next one must find somebody at the door
                    traceback.print_exc()
                    return {"ok": False, "effect": f"{known}: {error or type(error).__name__}"}
        return {"ok": False, "effect": f"unknown command {command!r}; known: {', '.join(get_args(Command))}"}
