"""From a commit to a measurement: lay out the folders, train, evaluate, and throw the folders away."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import sandbox, standstill
from core.channel import Clock
from core.checkpoints import checkpoint_bytes
from core.digits import written
from core.errors import RunFailed
from core.evaluator import Answer, Evaluation, self_reported
from core.events import Crashed, Event, Measured, TrialVoid
from core.log import tail_of
from core.room import lacking
from core.trial import Finished, Order, supervise

if TYPE_CHECKING:
    from core.run import Run
    from core.standby import Place

CHECKOUTS = ("serve-1", "serve-2")
ENGINE_LOST = "the engine went down in the middle of it; if it does so once more, that is a crash"
ENGINE_LOST_TWICE = "the engine went down in it twice"
FIRST_SEED = 42  # the original's, for a run with seed 0; each further trial of an experiment takes the next one
_FORMS = {"mfu_percent": ".2f", "total_tokens_M": ".1f", "num_steps": ".0f", "num_params_M": ".1f", "depth": ".0f"}
_SUMMARY = (
    "{metric} training_seconds total_seconds peak_vram_mb mfu_percent total_tokens_M num_steps num_params_M depth"
)


def measure(run: Run) -> Iterator[Event]:
    """Run the committed experiment until it is measured or has crashed by itself. A trial cut by us is void."""
    p = run.in_flight
    if p.committed is None or p.measurement or p.crashed:
        return
    if p.trial_open and p.engines_lost:  # an artifact that ends its engine would hold up the run for ever
        tail = run.folder / "trials" / f"{p.number}-{p.trial}" / "log"
        yield Crashed(p.number, p.trial, ENGINE_LOST_TWICE, tail_of(tail), 0.0)
        return
    if p.trial_open:
        yield TrialVoid(p.number, p.trial, ENGINE_LOST, engine_gone=True)
    yield from run.hold_if_paused()
    yield from _find_room(run)
    if run.control.stopping_now:
        return
    run.ready_the_rows()
    place = run.standby.take()
    try:
        yield from _run_trial(run, p.committed.commit, p.number, p.trial + 1, place)
    finally:
        place.close()
        sandbox.sweep(place.work)
        sandbox.end_orphans(spare=run.own_pids)
        shutil.rmtree(place.work, ignore_errors=True)


def _find_room(run: Run) -> Iterator[Event]:
    """Wait for the user where the disk is full. Raises RunFailed where the user would rather have it stop."""
    mend = f"make room there, then: autoresearch resume {run.tag}"
    while not run.control.stopping_now and (why := _lacking(run)):
        if run.control.stopping:
            raise RunFailed(f"{why}; {mend}")
        yield from run.wait_for_mend(why, mend)


def _run_trial(run: Run, commit: str, number: int, trial: int, place: Place) -> Iterator[Event]:
    task, work, kept = run.task, place.work, run.folder / "trials" / f"{number}-{trial}"
    kept.mkdir(parents=True, exist_ok=True)
    checkpoint = place.folder / "checkpoint.safetensors"
    seed = FIRST_SEED + run.seed + run.in_flight.trials  # a trial that was void does not spend a seed
    told: dict[str, Any] = {
        "experiment": number,
        "trial": trial,
        "device": run.device,
        "seed": seed,
        "budget": {k: getattr(task.budget, k) for k in ("train_seconds", "startup_seconds", "timeout_seconds")},
        "settings": dict(run.settings),
        "checkpoint": str(checkpoint),
    }
    tree = place.folder / "tree"
    folder = tree / task.folder
    _check_out(run, commit, tree)
    if task.metric.json is not None:
        (folder / task.metric.json).unlink(missing_ok=True)  # one that was committed is nobody's result
    clock = Clock()
    evaluation = _evaluation(run, commit, work, kept, {**told, "work": str(folder)})
    try:
        if evaluation and "evaluate" in task.early:
            evaluation.start()
        order = Order(
            number, trial, tuple(task.command("train", folder)), folder, place,
            {"role": "train", **told}, kept, task.budget, run.handover,
        )  # fmt: skip
        finished = yield from supervise(order, seed, run.control, run.prepare_standby)
        sandbox.end_orphans(spare=run.own_pids | (evaluation.pids if evaluation else set()))
        if finished.end == "done":
            for name in CHECKOUTS if evaluation else ():
                _check_out(run, commit, work / "evaluation" / name)  # whatever the trial may have left there goes
        answer = _unless_full(run, place, _answer(run, finished, evaluation, order))
        yield from _conclude(run, order, finished, answer, clock() - finished.held_seconds, checkpoint)
    finally:
        if evaluation:
            evaluation.close()


def _check_out(run: Run, commit: str, tree: Path) -> None:
    """The commit's files, and links to what git does not hold. Whatever else lies in the task's folder goes."""
    folder = tree / run.task.folder
    folder.mkdir(parents=True, exist_ok=True)
    for stranger in folder.iterdir():
        if stranger.is_dir() and not stranger.is_symlink():
            shutil.rmtree(stranger)
        else:
            stranger.unlink()
    run.workspace.checkout(commit, tree)
    for name in run.task.link:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(run.workspace.root / run.task.folder / name)


def _evaluation(run: Run, commit: str, work: Path, kept: Path, told: dict[str, Any]) -> Evaluation | None:
    """The evaluate command and its two checkouts, which are made afresh when training is over."""
    if "evaluate" not in run.task.commands:
        return None
    folders = [work / "evaluation" / name / run.task.folder for name in CHECKOUTS]
    for name in CHECKOUTS:
        _check_out(run, commit, work / "evaluation" / name)
    store, best = kept / "store", run.history.best
    store.mkdir(exist_ok=True)
    serve = run.task.command("serve", folders[0]) if "serve" in run.task.commands else []
    incumbent = run.folder / "trials" / f"{best.number}-{best.trial}" / "store" if best else None
    told = {
        **told,
        "role": "evaluate",
        "prepared": dict(run.prepared),
        "serve": {"command": serve, "folders": [str(f) for f in folders]},
        "store": str(store),
        "incumbent_store": str(incumbent) if incumbent and incumbent.is_dir() else None,
    }
    argv = run.task.command("evaluate", folders[0])
    return Evaluation(argv, work / "evaluation", told, kept / "evaluate.log")


def _answer(run: Run, finished: Finished, evaluation: Evaluation | None, order: Order) -> Answer:
    stood_still = finished.reason.startswith(standstill.STOOD_STILL)
    run.stood_still = run.stood_still + 1 if stood_still else 0
    if run.stood_still >= standstill.MOST_IN_A_ROW:
        run.stood_still = 0
        times = f"in each of {standstill.MOST_IN_A_ROW} trials"
        return Answer("crash", f"timeout: {finished.reason}, {times}", finished.log_tail)
    if finished.end != "done":
        return Answer(finished.end, finished.reason, finished.log_tail)
    changed = run.changed_frozen_files()
    if changed:
        return Answer("crash", f"rejected: the frozen file {changed[0]} changed during the run")
    if evaluation is None:
        return self_reported(run.task.metric, order.folder / "log", order.cwd)
    left = max(5.0, run.task.budget.timeout_seconds - finished.active_seconds)
    return evaluation.finish(run.control, left)


def _lacking(run: Run) -> str | None:
    return lacking((run.work, run.folder), checkpoint_bytes(run.folder))


def _unless_full(run: Run, place: Place, answer: Answer) -> Answer:
    """A crash on a disk that others have filled is void. One whose own files were too many stays a crash."""
    if answer.end != "crash" or _lacking(run) is None:
        return answer
    shutil.rmtree(place.folder, ignore_errors=True)
    return Answer("void", "the disk is full") if _lacking(run) else answer


def _conclude(
    run: Run, order: Order, finished: Finished, answer: Answer, total_seconds: float, checkpoint: Path
) -> Generator[Event, None, None]:
    if answer.end == "void":
        yield TrialVoid(order.number, order.trial, answer.reason)
    elif answer.end != "done":
        tail = answer.detail or finished.log_tail
        yield Crashed(order.number, order.trial, answer.reason, tail, total_seconds)
    else:
        order.folder.mkdir(parents=True, exist_ok=True)
        if checkpoint.is_file() and not checkpoint.is_symlink():
            shutil.move(checkpoint, order.folder / "checkpoint.safetensors")
        findings = {**finished.summary, **answer.findings}
        measured = Measured(
            order.number, order.trial, answer.value, finished.train_seconds, total_seconds,
            finished.peak_memory_mb, findings, self_reported="evaluate" not in run.task.commands,
        )  # fmt: skip
        _append_summary(order.folder / "log", run.task.metric.name, measured)
        yield measured


def _append_summary(log: Path, metric: str, measured: Measured) -> None:
    """The block that ends a run of the original, so that what reads its logs reads ours."""
    known = {
        metric: written(measured.value),
        "training_seconds": f"{measured.train_seconds:.1f}",
        "total_seconds": f"{measured.total_seconds:.1f}",
        "peak_vram_mb": f"{measured.peak_memory_mb:.1f}",
    }
    for key, form in _FORMS.items():
        if isinstance(found := measured.findings.get(key), int | float):
            known[key] = format(found, form)
    lines = [f"{key + ':':<18}{known[key]}" for key in _SUMMARY.format(metric=metric).split() if key in known]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as file:
        file.write("\n".join(["---", *lines]) + "\n")
