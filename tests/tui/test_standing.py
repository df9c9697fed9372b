"""How a run stands in words, and how long things take: stalls, crashes, approval, estimates that can be trusted."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from driving import cockpit, screen, until
from recorded_run import TRACEBACK, write_run

from core import events as ev
from core import records
from tui.feed import Feed, State, reduce
from tui.live import Live, report
from tui.load import Load
from tui.pace import over_at, score_in, silent_seconds, training_at_most, training_left
from tui.plain import step_line
from tui.standing import activity, counts, label, last_crash, standing
from tui.state import Log
from tui.widgets.status import Notice, curves, head, tiny, words, work

T0 = 1_000_000.0
BUDGET = {"train_seconds": 300.0, "startup_seconds": 120.0, "timeout_seconds": 600.0}
TASK: dict[str, Any] = {"metric": {"name": "val_bpb", "direction": "min"}, "budget": BUDGET}


class Run:
    """A run that is told event by event, with a clock of its own."""

    def __init__(self, task: dict[str, Any] = TASK, backend: str = "cuda", experiments: int | None = 10) -> None:
        self.state, self.now = State(alive=True), T0
        self.put(ev.RunStarted("t", "/w", "", task, backend, "cuda", "search", 0, "b", "f", {}, 300.0, None, None, ""))
        self.put(ev.EngineStarted(1, False, "cuda", experiments))

    def put(self, event: ev.Event, after_seconds: float = 0.0) -> Run:
        self.now += after_seconds
        self.state = reduce(self.state, event, self.now)
        return self

    def begin(self, number: int) -> Run:
        self.put(ev.Proposing(number, 0 if number else None), 1.0)
        self.put(ev.Proposed(number, "p", 0 if number else None, {}, f"idea {number}", "why", {}), 4.0)
        self.put(ev.Committed(number, "c", "r", "", 10))
        return self.put(ev.TrialStarted(number, 1, 42, 77))

    def train(self, number: int, trial: int = 1) -> Run:
        return self.put(ev.TrialReady(number, trial, 20.0), 20.0)

    def reports(self, seconds: float, steps: int, **more: float) -> Run:
        """The trial reports at even steps up to so many counted seconds."""
        assert self.state.live is not None
        live = self.state.live
        for step in range(1, steps + 1):
            record = {"step": step, "seconds": seconds * step / steps, "loss": 3.0, **more}
            live = report(live, record)
        self.state = replace(self.state, live=live)
        return self

    def finish(self, number: int, value: float, evaluation: float = 30.0) -> Run:
        self.put(ev.TrialDone(number, 1, 300.0, 900), 300.0)
        self.put(ev.Measured(number, 1, value, 300.0, 300.0 + evaluation, 100.0, {"num_steps": 900.0}), evaluation)
        self.put(ev.Judged(number, "keep" if number == 0 else "discard", "better" if number == 0 else "worse", 0, 0.1))
        return self.put(ev.ExperimentDone(number))

    def whole(self, number: int, value: float = 1.0, evaluation: float = 30.0) -> Run:
        return self.begin(number).train(number).finish(number, value, evaluation)

    def stands(self, after_seconds: float = 0.0) -> tuple[str, str]:
        found = standing(self.state, self.now + after_seconds)
        return found.word, found.detail


def shown(row: list[tuple[str, str]]) -> str:
    return "".join(words for words, _ in row)


# --- a trial that says nothing ---------------------------------------------------------------------------------------


def test_a_trial_that_stops_reporting_is_stalled_until_a_step_comes() -> None:
    run = Run().begin(0).train(0).reports(60.0, 600)
    assert run.stands(60.0 + 19)[0] == "RUN"
    word, detail = run.stands(60.0 + 42)
    assert word == "STALLED"
    assert detail == "no step for 0:42; s or `autoresearch skip t` ends it, or the time limit in 3:33"
    assert standing(run.state, run.now + 102).trouble
    run.reports(101.0, 601)
    assert run.stands(60.0 + 42)[0] == "RUN"


def test_slow_steps_are_no_stall() -> None:
    run = Run().begin(0).train(0).reports(90.0, 3)
    assert run.stands(90.0 + 200)[0] == "RUN"
    assert run.stands(90.0 + 20 * 30 + 1)[0] == "STALLED"


def test_a_pause_is_no_stall_and_neither_is_the_time_after_it() -> None:
    run = Run().begin(0).train(0).reports(60.0, 600)
    run.put(ev.TrialHeld(0, 1, 600), 60.0)
    assert run.stands(4000.0)[0] == "PAUSED"
    run.put(ev.TrialContinued(0, 1, 4000.0), 4000.0)
    assert run.stands(19.0)[0] == "RUN"
    assert run.stands(25.0)[0] == "STALLED"


def test_a_hold_during_start_up_does_not_hide_a_later_stall() -> None:
    run = Run().begin(0).put(ev.TrialHeld(0, 1, None), 5.0).put(ev.TrialContinued(0, 1, 5000.0), 5000.0)
    run.train(0).reports(10.0, 100)
    assert run.stands(40.0)[0] == "STALLED"


def test_the_files_time_counts_where_the_clocks_disagree() -> None:
    run = Run().begin(0).train(0).reports(60.0, 600)
    assert run.state.live is not None
    run.state = replace(run.state, live=replace(run.state.live, at=run.now + 5000.0))  # the machine slept an hour
    assert run.stands(5010.0)[0] == "RUN"
    assert run.stands(5030.0)[0] == "STALLED"


def test_before_the_first_step_earlier_experiments_tell_what_is_long() -> None:
    run = Run()
    assert run.begin(0).train(0).stands(61.0)[0] == "STALLED", "our own task reports, so silence means something"
    run.finish(0, 1.0).begin(1).train(1)
    assert run.stands(19.0)[0] == "RUN"
    assert run.stands(21.0)[0] == "STALLED"


def test_a_command_that_never_reports_is_not_stalled() -> None:
    task = {**TASK, "commands": {"train": "python bench.py"}}
    run = Run(task, backend="").begin(0)
    assert activity(run.state) == "running"
    assert run.stands(5000.0)[0] == "RUN"
    run.train(0)
    assert run.stands(5000.0)[0] == "RUN"
    assert silent_seconds(run.state.history, run.state.live, run.state.pace, run.now + 5000) is None


def test_a_start_up_beyond_its_limit_is_stalled() -> None:
    run = Run().begin(0)
    assert run.stands(120.0)[0] == "RUN"
    assert run.stands(140.0) == ("STALLED", "not ready after 2:20 of start-up; s or `autoresearch skip t` ends it")


# --- what happened, and what is waited for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "tail", "told"),
    [
        ("oom", TRACEBACK, "#1 crashed, oom: RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory"),
        ("oom", "", "#1 crashed: oom"),
        ("ValueError: bad shape", "Traceback\nValueError: bad shape", "#1 crashed: ValueError: bad shape"),
        ("exit status 3", "one\n\x1b[31mtwo\x1b[0m\n\n", "#1 crashed, exit status 3: two"),
        ("timeout: 600 s in all are over", "step 3\n", "#1 crashed: timeout: 600 s in all are over"),
        ("nan", "torch.OutOfMemoryError: x\nbye\n", "#1 crashed, nan: torch.OutOfMemoryError: x"),
    ],
)
def test_a_crash_says_its_last_words_for_a_while(reason: str, tail: str, told: str) -> None:
    run = Run().whole(0).begin(1).train(1)
    run.put(ev.Crashed(1, 1, reason, tail, 25.0), 5.0).put(ev.Judged(1, "crash", reason, 0, None))
    run.put(ev.ExperimentDone(1))
    assert last_crash(run.state, run.now) == told
    assert last_crash(run.state, run.now + 9000) == told, "while the next proposal is waited for"
    run.begin(2)
    assert last_crash(run.state, run.now) == told
    assert shown(words(run.state, run.now, 160, None)[0]).startswith(told)
    assert "trying #2: idea 2" in shown(words(run.state, run.now, 160, None)[0])
    assert last_crash(run.state, run.now + 30) == ""
    assert "trying #2: idea 2" in shown(words(run.state, run.now + 30, 160, None)[0])
    assert "\x1b" not in told


def test_a_proposal_that_waits_says_what_to_do_here_and_elsewhere() -> None:
    run = Run().whole(0)
    run.put(ev.Proposing(1, 0)).put(ev.Proposed(1, "p", 0, {}, "idea", "", {})).put(ev.ApprovalAwaited(1, "diff"))
    word, detail = run.stands()
    assert word == "WAITS"
    for part in ("#1", "A answers", "`autoresearch approve t`"):
        assert part in detail
    assert shown(head(run.state, run.now, 80)).startswith("? WAITS")
    assert "waiting for your yes #1" in shown(work(run.state, run.now + 65, 80))
    assert "1:05" in shown(work(run.state, run.now + 65, 80))


def test_another_trial_of_a_finished_experiment_is_called_so() -> None:
    run = Run().whole(0).whole(1)
    run.put(ev.AgainAsked(0)).put(ev.AgainStarted(0)).put(ev.TrialStarted(0, 2, 43, 78)).train(0, 2)
    run.reports(60.0, 100)
    assert label(run.state) == "#0 once more (trial 2)"
    assert "training #0 once more (trial 2)" in shown(work(run.state, run.now + 60, 120))
    assert "1 of 10" in shown(head(run.state, run.now, 80))


def test_a_trial_without_steps_is_told_by_its_time() -> None:
    run = Run().begin(0).train(0)
    assert re.fullmatch(r"#0 training \d+:\d\d(:\d\d)?", step_line(run.state))
    run = Run().whole(0).whole(1).begin(2).train(2)
    printed = ("epoch 3", "loss 0.31 " + "\x1b[31m" * 50, "", "  ")
    told = step_line(replace(run.state, log=Log(2, printed)))
    assert re.fullmatch(r"#2 training \S+ of about \d:\d\d  it printed: loss 0\.31", told)
    assert "printed" not in step_line(replace(run.state, log=Log(1, printed))), "another one's log"


def test_of_a_run_that_has_ended_the_last_experiment_is_named_not_the_next() -> None:
    run = Run().whole(0).whole(1)
    assert label(run.state) == "#2"
    run.put(ev.RunEnded("done", "the limit was reached"))
    assert label(run.state) == "#1"
    assert "DONE #1" in " ".join(shown(tiny(run.state, run.now, 50)).split())


def test_what_is_counted_is_what_history_counts(tmp_path: Path) -> None:
    feed = Feed(write_run(tmp_path / "run", 18))
    feed.read()
    h = feed.state.history
    assert [feed.state.counts.get(o, 0) for o in ("keep", "discard", "crash")] == [
        h.count("keep"), h.count("discard"), h.count("crash"),
    ]  # fmt: skip
    assert counts(feed.state) == "7 kept, 8 discarded, 2 crashed"
    run = Run().whole(0).whole(1)
    run.put(ev.AgainAsked(1)).put(ev.AgainStarted(1)).put(ev.TrialStarted(1, 2, 43, 78))
    run.put(ev.Measured(1, 2, 1.0, 300.0, 330.0, 1.0)).put(ev.AgainDone(1))
    assert counts(run.state) == "0 kept, 1 discarded, 0 crashed"


# --- estimates -------------------------------------------------------------------------------------------------------


def left(run: Run, after_seconds: float) -> float | None:
    return training_left(run.state.history, run.state.live, run.now + after_seconds)


def test_what_is_left_of_training_never_rises_and_never_falls_below_nothing() -> None:
    run = Run().begin(0).train(0)
    assert left(run, 10.0) == 290.0, "by the budget, before the first report"
    run.reports(60.0, 600, eta_seconds=240.0)
    assert left(run, 60.1) == 240.0
    assert left(run, 9999.0) == 240.0, "between reports that come often it waits for the next"
    slow = Run().begin(0).train(0).reports(60.0, 2, eta_seconds=240.0)
    found = [left(slow, 60.0 + s) for s in range(60)]
    assert found == sorted(found, reverse=True)
    assert found[10] == 230.0
    assert found[-1] == 210.0, "no further than the usual gap"
    for nonsense in (-5.0, float("nan"), float("inf")):
        run.reports(299.0, 601, eta_seconds=nonsense)
        assert 0.0 <= (left(run, 299.0) or 0.0) <= 1.0 + 15.0
    run.reports(400.0, 602)
    assert left(run, 400.0) == 0.0


def test_a_pause_stops_what_is_left() -> None:
    run = Run().begin(0).train(0).put(ev.TrialHeld(0, 1, None), 100.0)
    assert left(run, 500.0) == 200.0
    run.put(ev.TrialContinued(0, 1, 500.0), 500.0)
    assert left(run, 10.0) == 190.0


def score(run: Run, after_seconds: float = 0.0) -> float | None:
    return score_in(run.state.history, run.state.live, run.state.pace, run.now + after_seconds)


def test_the_next_score_is_due_when_training_and_an_evaluation_like_the_earlier_ones_are_over() -> None:
    run = Run().begin(0).train(0)
    assert score(run) is None, "nothing is known of evaluations yet"
    run.finish(0, 1.0, evaluation=30.0).whole(1, evaluation=34.0).whole(2, evaluation=31.0).begin(3)
    assert score(run, 5.0) == 15.0 + 300.0 + 31.0, "start-up, training, evaluation"
    run.train(3)
    assert score(run, 100.0) == 200.0 + 31.0
    run.put(ev.TrialDone(3, 1, 300.0, 900), 300.0)
    assert score(run, 11.0) == 20.0
    assert score(run, 31.0) is None, "overdue: no figure is better than a wrong one"
    assert "score in ~0:20" in shown(work(run.state, run.now + 11, 120))


OWN = {**TASK, "commands": {"train": "python bench.py"}}  # it ends when it is done, and says nothing before


def row(run: Run, after_seconds: float) -> str:
    return shown(work(run.state, run.now + after_seconds, 200)).rstrip()


def own(number: int, seconds: float, before: Run | None = None) -> Run:
    """One more experiment of such a task is over; its trial took so long."""
    run = (before or Run(OWN, backend="")).begin(number).put(ev.TrialReady(number, 1, 0.0))
    run.put(ev.TrialDone(number, 1, seconds, None), seconds).put(ev.Measured(number, 1, 1.0, seconds, seconds, 9.0))
    run.put(ev.Judged(number, "keep" if number == 0 else "discard", "", 0, None))
    return run.put(ev.ExperimentDone(number))


def test_a_budget_that_is_only_a_limit_is_called_one_and_is_no_estimate() -> None:
    run = Run(OWN, backend="").begin(0).put(ev.TrialReady(0, 1, 0.0))
    assert "at most 4:50 min left" in row(run, 10.0)
    assert (left(run, 10.0), score(run, 10.0), "score in" in row(run, 10.0)) == (None, None, False)
    assert re.search(r" of at most 5:00$", step_line(run.state))
    assert row(run, 290.0).endswith("at most 10.0 s left")
    assert " left" not in row(run, 303.0), "the limit is over, and it is given some seconds"
    run.state = replace(run.state, live=replace(run.state.live, eta_seconds=40.0, seconds=10.0))
    assert "40.0 s left" in row(run, 10.0), "it says so itself"


def test_a_limit_stands_still_while_the_trial_is_held() -> None:
    run = Run(OWN, backend="").begin(0).put(ev.TrialReady(0, 1, 0.0))
    run.put(ev.TrialHeld(0, 1, None), 10.0)
    found = {training_at_most(run.state.history, run.state.live, run.state.pace, run.now + s) for s in (0, 60, 600)}
    assert found == {290.0}


def test_a_trial_that_ends_when_it_is_done_is_due_as_those_before_it_were() -> None:
    run = own(2, 14.0, own(1, 12.5, own(0, 11.0))).begin(3).put(ev.TrialReady(3, 1, 0.0))
    assert left(run, 2.5) == 10.0
    assert row(run, 2.5).endswith("~0:10 left  score in ~0:10")
    found = [row(run, seconds / 4) for seconds in range(200)]
    assert not any("4:" in told or "5:00" in told for told in found[:100]), "300 s are no estimate of 12.5 s"
    said = ["~" if "~" in told else "most" if "at most" in told else "" for told in found]
    assert [said[0], said[47], said[99], said[101]] == ["~", "", "", "most"], "overdue: nothing, then the limit"
    assert sum(a != b for a, b in pairwise(said)) == 2


def test_of_trials_too_short_for_it_no_end_is_told() -> None:
    run = own(2, 1.0, own(1, 1.0, own(0, 1.0))).begin(3).put(ev.TrialReady(3, 1, 0.0))
    assert not any("left" in row(run, s / 10) or "score in" in row(run, s / 10) for s in range(15))


def ends(run: Run, after_seconds: float = 0.0) -> float | None:
    return over_at(run.state.history, run.state.live, run.state.pace, run.now + after_seconds)


def test_the_end_of_the_run_is_told_and_stays_where_it_is() -> None:
    run = Run(experiments=5).whole(0)
    assert ends(run) is None, "one experiment is no pace"
    run.whole(1).begin(2)
    cycle = 5.0 + 20.0 + 300.0 + 30.0
    expected = T0 + 6 * cycle
    found = {ends(run, s) for s in range(0, 20, 2)}
    run.train(2)
    found |= {ends(run, s) for s in range(0, 300, 10)}
    assert len(found) == 1
    assert abs((found.pop() or 0.0) - expected) <= 300
    run.finish(2, 1.0).whole(3).whole(4).begin(5).train(5)
    assert abs((ends(run) or 0.0) - expected) <= 60
    assert "done ~" in shown(head(run.state, run.now, 120))
    run.put(ev.TrialHeld(5, 1, None))
    assert ends(run) is None, "a run that stands still has no end in sight"


def test_a_limit_of_hours_ends_it_too() -> None:
    run = Run(experiments=None)
    assert ends(run.whole(0).whole(1)) is None
    run.put(ev.EngineStarted(1, True, "cuda", None, 1.0)).whole(2)
    at = ends(run)
    assert at is not None
    assert abs(at - (run.now + 3600 - run.state.history.active_seconds)) <= 60


def test_elapsed_time_stands_still_with_the_run_and_does_not_jump_when_it_goes_on() -> None:
    run = Run().begin(0).train(0)
    before = run.state.elapsed_seconds(run.now + 50.0)
    run.put(ev.TrialHeld(0, 1, None), 50.0)
    assert run.state.elapsed_seconds(run.now + 5000.0) == before
    run.put(ev.TrialContinued(0, 1, 5000.0), 5000.0)
    assert run.state.elapsed_seconds(run.now) == before


# --- the rows --------------------------------------------------------------------------------------------------------


def test_losses_that_are_no_numbers_are_shown_and_leave_the_curve_alone() -> None:
    run = Run().begin(0).train(0).reports(60.0, 60)
    assert run.state.live is not None
    run.state = replace(run.state, live=report(run.state.live, {"step": 61, "loss": float("nan"), "seconds": 61.0}))
    row = work(run.state, run.now + 61, 120)
    assert ("loss nan", "trouble") in row
    assert any("▁" in words for words, _ in row)
    assert "loss nan" in step_line(run.state)


def test_speed_and_memory_stay_where_a_report_leaves_them_out() -> None:
    live = report(Live(1, 1), {"step": 1, "tokens_per_second": 5000.0, "memory_mb": 12.0, "mfu": 0.4})
    live = report(live, {"step": 2, "tokens_per_second": None, "memory_mb": None, "mfu": None})
    assert (live.tokens_per_second, live.memory_mb, live.mfu) == (5000.0, 12.0, 0.4)
    assert live.speed_curve.points == (5000.0,)


def test_a_wide_window_has_a_row_for_the_curves_and_the_load() -> None:
    run = Run().begin(0).train(0).reports(60.0, 60, tokens_per_second=9000.0, memory_mb=4096.0, mfu=0.39)
    run.state = replace(run.state, load=Load(None, 97, 45321, 81559, 63, 612))
    row = shown(curves(run.state, run.now + 60, 200))
    for part in ("loss 3.000", "9k tok/s", "4.0 GB", "39.0 % MFU", "gpu 97 %", "44/80 GB", "612 W", "63 °C"):
        assert part in row
    assert row.count("▁") > 60, "a curve for the loss and one for the speed"
    assert "gpu 97 %" in shown(work(run.state, run.now + 60, 120))


@pytest.mark.parametrize("width", range(20, 130, 3))
def test_parts_go_whole_or_not_at_all(width: int) -> None:
    run = Run().whole(0, 0.97123).whole(1).begin(2).train(2)
    run.reports(60.0, 60, tokens_per_second=118_000.0, memory_mb=21_900.0, mfu=0.39)
    run.state = replace(run.state, load=Load(cpu=98))
    now = run.now + 60
    known = shown(work(run.state, now, 155)).split("  ") + shown(head(run.state, now, 155)).split("  ")
    known += shown(tiny(run.state, now, 155)).split(" ")
    for row in (head, work):
        drawn = shown(row(run.state, now, width))
        parts = [part.strip() for part in drawn.split("  ") if part.strip()]
        for part in parts:
            bare = part.strip("━─ ▁▂▃▄▅▆▇█")
            assert any(bare in whole for whole in known), (width, part)
            if any(char.isdigit() for char in bare):
                assert any(bare == whole.strip("━─ ▁▂▃▄▅▆▇█") for whole in known), (width, part)
    assert "0.9712" in shown(tiny(run.state, now, 20))


def test_the_dot_breathes_while_the_run_goes_on_and_only_then() -> None:
    run = Run().begin(0).train(0).reports(60.0, 60)
    now = float(int(run.now + 60))
    assert head(run.state, now, 80)[0] != head(run.state, now + 1, 80)[0]
    assert shown(head(run.state, now, 80)) == shown(head(run.state, now + 1, 80)).replace("1:26", "1:25")
    run.put(ev.TrialHeld(0, 1, 60))
    assert head(run.state, now, 80)[0] == head(run.state, now + 1, 80)[0]


def test_a_notice_comes_before_everything_else() -> None:
    run = Run().begin(0).train(0).reports(60.0, 600)
    row = words(run.state, run.now + 200, 120, Notice("pending", "skip: pending …"))[0]
    assert row[0] == ("skip: pending …", "pausing")


def test_a_replay_does_not_take_the_end_of_a_trial_for_its_last_report(tmp_path: Path) -> None:
    from tui.replay import Replay

    clock = [0.0]
    folder = write_run(tmp_path / "run", 3)
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(records.to_record(ev.RunEnded("stopped", ""), 1_763_671_200.0 + 500)) + "\n")
    replay = Replay(folder, 1.0, now=lambda: clock[0])
    seen = set()
    for second in range(0, 140, 2):
        clock[0] = float(second)
        replay.read()
        seen.add(standing(replay.state, replay.clock()).word)
    assert seen == {"REPLAY 1x"}
    assert replay.state.live is None or replay.state.live.at is None


async def test_a_stall_rings_once_though_nothing_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    async with cockpit(write_run(tmp_path / "run", 3)) as (app, pilot):
        monkeypatch.setattr(app, "bell", lambda: rung.append("bell"))
        assert "● RUN" in screen(app)
        app.clock = lambda: time.time() + 60
        await until(pilot, lambda: "! STALLED" in screen(app) and "no step for 1:0" in screen(app))
        app._tick()
        app._tick()
        assert rung == ["bell"]
        with (tmp_path / "run" / "trials" / "3-1" / "telemetry.jsonl").open("a") as reports:
            reports.write('{"step": 70, "loss": 3.0, "seconds": 9.5, "progress": 0.6}\n')
        app.clock = time.time
        await until(pilot, lambda: "● RUN" in screen(app))


# --- what was asked for and is to come


@pytest.mark.parametrize(
    ("command", "said"),
    [("pause", "pausing"), ("pause-after", "pauses after trial"), ("stop", "stops after this one")],
)
def test_what_is_to_come_stands_in_the_first_row_whatever_else_is_said(command: str, said: str) -> None:
    run = Run(experiments=100).begin(0).train(0).put(ev.Acknowledged(command, "x"))
    for width in (80, 120, 200):
        assert said in "".join(piece for piece, _ in head(run.state, run.now, width))
    over = run.put(ev.RunEnded("stopped", "")).state
    assert said not in "".join(piece for piece, _ in head(over, run.now, 200))


def test_a_script_that_is_used_up_needs_more_patches_first() -> None:
    run = Run().whole(0)
    assert run.state.history.run is not None
    started = replace(run.state.history.run, agent="scripted:/w/rates.jsonl")
    run.state = replace(run.state, history=replace(run.state.history, run=started))
    run.put(ev.RunEnded("done", "all 2 patches of /w/rates.jsonl have been proposed"))
    assert "write more patches to /w/rates.jsonl, then: `autoresearch resume t --experiments N`" in run.stands()[1]
    run.put(ev.EngineStarted(1, True)).put(ev.RunEnded("done", "the limit was reached"))
    assert "for more: `autoresearch resume t --experiments 20`" in run.stands()[1]


def test_experiments_are_counted_without_the_baseline() -> None:
    run = Run().whole(0).whole(1).put(ev.RunEnded("done", "the limit was reached"))
    assert "1 experiment after the baseline: 0 kept, 1 discarded, 0 crashed" in shown(work(run.state, run.now, 120))
