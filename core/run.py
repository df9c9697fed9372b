"""A run at work: its parts, its journal, what the loop asks of it, and the drain of the loop into the journal."""

from __future__ import annotations

import hashlib
import math
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core import agents
from core.awake import Awake
from core.checkpoints import prune, tidy
from core.control import Control
from core.desk import RunDesk
from core.errors import AutoresearchError, BranchLocked, RunFailed
from core.events import Event, ExperimentDone, Proposed, RunContinued, RunEnded, RunPaused, RunStarted
from core.history import History, Pending, reduce
from core.journal import Journal, replace_durably, results_tsv
from core.judge import POLICIES
from core.loop import research
from core.prepare import prepare
from core.proposals import Proposals
from core.room import is_full
from core.standby import Standby
from core.task import Task, parse
from core.wishes import Wishes
from core.workspace import Workspace

ASKED_IS_DONE = "what was asked for is done"
LOCK_PATIENCE_SECONDS = 10.0  # another git holds a branch for an instant; longer is worth a pause


class Run:
    """Everything an engine holds while it works on one run."""

    def __init__(
        self,
        folder: Path,
        workspace: Workspace,
        history: History,
        journal: Journal,
        agent: agents.Agent,
        prepared: Mapping[str, Any],
        work: Path,
    ) -> None:
        """`history` has its RunStarted; `prepared` is the answer of the task's prepare command."""
        assert history.run is not None
        started: RunStarted = history.run
        self.folder, self.workspace, self.history, self.agent = folder, workspace, history, agent
        self.prepared, self.work = prepared, work
        self.tag, self.base, self.device = started.tag, started.base, started.device
        self.settings, self.seed = started.settings, started.seed
        self.task: Task = parse(started.task_folder, started.task)
        self.policy = POLICIES[self.task.policy]
        self.artifact = [self._path(name) for name in self.task.artifact]
        self.handover = Path(prepared["handover"]) if prepared.get("handover") else None
        waits = self.task.command("standby") if "standby" in self.task.commands else ()
        self.standby = Standby(work, waits, self.device)
        self.awake = Awake()
        self.stood_still = 0  # trials in a row that were void for that
        self._frozen, self._fingerprint = started.frozen, started.fingerprint or None
        self._journal = journal
        self._recording = threading.Lock()
        self.agent_name = f"the {started.agent.partition(':')[0]} agent"
        self.proposals, self.desk = Proposals(self), RunDesk(self)
        self.control = Control(
            folder, self.record, lambda: self.journalled().phase, lambda: self.journalled().pending or Pending(-1),
            Wishes(self).grant,
        )  # fmt: skip

    # --- the journal -------------------------------------------------------------------------------------------------

    def record(self, event: Event) -> None:
        """Make an event durable, then let it count. Any thread may."""
        with self._recording:
            appended_at = self._journal.append(event)
            self.history = reduce(self.history, event, appended_at)
        if isinstance(event, ExperimentDone):
            replace_durably(self.folder / "results.tsv", results_tsv(self.history))

    def journalled(self) -> History:
        """The history for another thread: whatever a viewer has read in the journal is so here too."""
        with self._recording:
            return self.history

    @property
    def in_flight(self) -> Pending:
        """The experiment under way, or an empty one with the next number."""
        return self.history.under_way or Pending(self.history.next_number)

    # --- limits and pauses -------------------------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether another turn of the loop is wanted. Raises RunFailed where the baseline itself has crashed.

        Where none is, no command is taken any more: it would be told when it takes effect in a run that has ended.
        """
        with self.control.undisturbed():
            wanted = self._goes_on()
            if not wanted:
                self.control.finish()
            return wanted

    def _goes_on(self) -> bool:
        if self.control.stopping_now:
            return False
        done = self.history.experiments
        if done and self.history.incumbent is None:
            log = self.folder / "trials" / f"0-{done[0].trial}" / "log"
            mend = f"mend and commit it, then start a new run; its log: {log}"
            raise RunFailed(f"the baseline is no good ({done[0].verdict.reason}); {mend}")
        pending = self.history.under_way
        if pending and pending.proposed:  # what is in flight is brought to its end first, as far as that goes
            return not (self.control.stopping and (pending.judged or pending.awaited))
        return not self.control.stopping and (self.history.repeats is not None or not self._limit_reached())

    def wants_proposal(self) -> bool:
        """Whether the agent's turn is next: the run goes on, and no other trial comes first."""
        stopping = self.control.stopping or self.control.stopping_now
        return not (stopping or self.history.repeats is not None or self._limit_reached())

    def _limit_reached(self) -> bool:
        limits, history = self.history.engine, self.history
        if limits is None or not history.experiments:  # the baseline is always wanted
            return False
        return limits.only_asked or self._all_proposed or self.seconds_left <= 0

    @property
    def _all_proposed(self) -> bool:
        limits = self.history.engine
        most = math.inf if limits is None or limits.experiments is None else limits.experiments
        return self.history.proposals >= most

    @property
    def seconds_left(self) -> float:
        """Of work, until the limit of hours is reached; infinite where there is none."""
        limits, history = self.history.engine, self.history
        if limits is None or limits.hours is None:
            return math.inf
        return limits.hours * 3600 - history.active_seconds - max(0.0, time.time() - history.last_time)

    def prepare_standby(self) -> None:
        """Have a process wait for the trial after the one under way, where the limits let one follow."""
        limits, p, history = self.history.engine, self.in_flight, self.history
        done = history.proposals if p.again else p.number
        last = limits is not None and limits.experiments is not None and done >= limits.experiments
        last = last or (limits is not None and limits.only_asked)
        if not ((last and len(history.asked_again) <= p.again) or self.control.stopping):
            self.standby.prepare()

    @property
    def own_pids(self) -> set[int]:
        """Processes of the engine's that are not to be ended with a trial."""
        return self.standby.pids | self.awake.pids

    def hold_if_paused(self) -> Iterator[Event]:
        """Wait here while the user has the run paused."""
        if self.control.paused:
            yield RunPaused("paused by the user", f"go on with p in the cockpit, or: autoresearch resume {self.tag}")
            self.control.wait_while_paused()
            yield RunContinued()

    def wait_for_mend(self, reason: str, mend: str) -> Iterator[Event]:
        """Pause on the engine's own account, until the user has seen to it and says resume."""
        self.control.hold()  # before anybody can read that it waits, and say resume
        yield RunPaused(reason, mend)
        self.control.wait_while_paused()
        yield RunContinued()

    def last_words(self) -> RunEnded:
        """How it ends by itself. What was done before an engine came for further trials alone is done after them."""
        limits, before = self.history.engine, self.history.ended_before
        if limits is not None and limits.only_asked and not self._all_proposed:
            return _asked_is_done(before)
        return RunEnded("done", "the limit was reached")

    # --- what the loop asks for --------------------------------------------------------------------------------------

    def diff(self, proposed: Proposed) -> str:
        """What a proposal would change, in the form of a commit's diff."""
        return self.workspace.preview(proposed.parent, self.in_workspace(proposed.edits), self.artifact)

    def in_workspace(self, edits: Mapping[str, str]) -> dict[str, str]:
        """The same edits by paths relative to the workspace."""
        return {self._path(name): text for name, text in edits.items()}

    def lines(self, commit: str) -> int:
        return sum(len(text.splitlines()) for text in self.sources(commit).values())

    def obstacle_to_move(self, commit: str) -> tuple[str, str] | None:
        """Move the branch to a kept commit; or why it cannot be moved, and the mend. Raises RunFailed."""
        again = f"then: autoresearch resume {self.tag}"
        if self.workspace.checked_out(self.tag):
            reason = f"branch autoresearch/{self.tag} is checked out in a worktree, so it cannot be moved"
            return reason, f"check out another branch there, {again}"
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                self.workspace.move(self.tag, self.history.tip, commit)
                return None
            except BranchLocked as error:
                if time.monotonic() > deadline:
                    return str(error), f"let the other git finish, or remove its .lock file, {again}"
                time.sleep(0.1)

    def ready_the_rows(self) -> None:
        """Prepare again where the file to hand over has gone: caches get cleaned. Raises UsageError, RunFailed."""
        if self.handover and not self.handover.exists():
            folder = self.workspace.root / self.task.folder
            self.prepared = prepare(self.task, folder, self.device, self._fingerprint, print)

    def changed_frozen_files(self) -> list[str]:
        root = self.workspace.root / self.task.folder
        return [name for name, digest in self._frozen.items() if file_digest(root / name) != digest]

    def tidy(self, p: Pending) -> None:
        """Drop what no later experiment needs, once this one has its verdict, or its further trial is over."""
        tidy(self.folder, self.history, p)
        self.prune_checkpoints()

    def prune_checkpoints(self) -> None:
        """Keep the checkpoints of kept experiments and of the last few, or all where the user wants that."""
        engine = self.history.engine
        prune(self.folder, self.history, keep_all=engine is not None and engine.keep_checkpoints)

    def _path(self, name: str) -> str:
        return f"{self.task.folder}/{name}" if self.task.folder else name

    def sources(self, commit: str) -> dict[str, str]:
        """The artifact at a commit: path relative to the task folder -> text."""
        return {name: self.workspace.read(commit, self._path(name)) for name in self.task.artifact}


def file_digest(path: Path) -> str:
    """sha256 of a file, or of all files below a folder; a missing one has its own digest."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode() + b"\0")
        digest.update(file.read_bytes() if file.is_file() else b"missing")
    return digest.hexdigest()


def _asked_is_done(before: RunEnded | None) -> RunEnded:
    """The end of an engine that came for further trials alone, to a run that had ended so before it."""
    if before and before.reason == "done":
        return before
    failed = f"; before it the run had failed: {before.message}" if before and before.reason == "failed" else ""
    return RunEnded("stopped", f"{ASKED_IS_DONE}{failed}")


def drain(run: Run) -> RunEnded:
    """Run the loop to its end; every event is in the journal before the loop goes on. Returns the last event."""
    try:
        for event in research(run):
            run.record(event)
            run.awake.keep(not run.history.standing_still)
        stopped = run.control.finish()
        ended = RunEnded("stopped", "stopped by the user") if stopped else run.last_words()
    except agents.Exhausted as end:
        ended = RunEnded("done", str(end) or "the agent has nothing left to propose")
    except AutoresearchError as error:
        ended = RunEnded("failed", str(error))
    except Exception as error:  # the supervisor: a bug of ours must end in the journal, not in silence
        traceback.print_exc()
        go_on = f"go on with: autoresearch resume {run.tag}"
        what = f"the engine itself failed ({type(error).__name__}: {error}); see {run.folder / 'engine.log'}; {go_on}"
        full = f"the disk is full (the run is in {run.folder}, its trials are in {run.work}); make room, then {go_on}"
        ended = RunEnded("failed", full if is_full(error) else what)
    run.control.finish()
    run.desk.clear()
    run.standby.close()
    run.awake.close()
    try:
        run.record(ended)
    except OSError:  # a full disk: viewers see the engine gone, and resume goes on from the last durable line
        traceback.print_exc()
        ended = RunEnded("failed", "the journal cannot be written")
    return ended
