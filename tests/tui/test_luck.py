"""What further trials say of a run: the same words in every view; and `confirm`, which asks for them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import autoresearch, commit_all, ended, history, until
from recorded_run import append, write_run

from core import events as ev
from core.errors import UsageError
from core.experiment import Experiment, Measurement, Repeat, Verdict
from core.history import History
from core.launch import Options
from tui import plain, report
from tui.feed import Feed
from tui.repeats import Comparison, comparison, doubt, judgement, means, verdicts
from tui.results import table
from tui.told import notes

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
NOISY = """\
import json, os, time
if os.path.exists({slow!r}):
    time.sleep(1)
told = json.load(open(os.environ["AUTORESEARCH_TRIAL"]))
RATE = 0.5
print("loss:", round((RATE - 0.3) ** 2 + (told["seed"] - 42) / {spread}, 6))
"""


def experiment(number: int, value: float, delta: float | None, *further: float) -> Experiment:
    measured = Measurement(value, 1.0, 1.0, 9.0)
    repeats = tuple(Repeat(2 + k, replace(measured, value=v)) for k, v in enumerate(further))
    return Experiment(
        number, f"{number:07}", "", f"idea {number}", "", "", 1, {}, measured, Verdict("keep", "better"),
        number - 1 if number else None, delta, 1, 1, repeats=repeats,
    )  # fmt: skip


def run_of(*experiments: Experiment) -> History:
    return History(experiments=experiments, incumbent=experiments[-1].number)


def test_a_doubt_is_about_the_step_and_says_what_remains() -> None:
    baseline, before = experiment(0, 553.3, None), experiment(1, 521.6, -31.7)
    best = experiment(2, 521.5, -0.1, 549.3, 542.0, 540.5)
    assert doubt(run_of(baseline, before, best), best) == (
        "#2: its step of −0.1 over #1 may be luck: the mean of its 3 further trials is 543.9333; "
        "against the baseline −1.69 % remain"
    )
    worse = experiment(2, 521.5, -0.1, 560.0)
    assert doubt(run_of(baseline, before, worse), worse).endswith(
        "its further trial came to 560; nothing remains against the baseline (+1.21 %)"
    )
    tried = experiment(0, 553.3, None, 570.0)
    assert doubt(run_of(tried, before, worse), worse).endswith("against the baseline −1.75 % remain")
    first = experiment(1, 550.0, -3.3, 554.0)
    assert doubt(run_of(baseline, first), first).endswith("its further trial came to 554")
    assert verdicts(run_of(baseline, before)) == []


def test_the_score_it_was_taken_for_counts_for_nothing() -> None:
    lucky = experiment(1, 500.0, -53.3, 554.0, 554.2)  # with it the mean would be better than the baseline's
    assert doubt(run_of(experiment(0, 553.3, None), lucky), lucky)
    c = comparison(run_of(experiment(0, 553.3, None, 553.0, 554.0), lucky))
    assert (c.baseline, c.best) == ((553.0, 554.0), (554.0, 554.2))


@pytest.mark.parametrize(
    ("baseline", "best", "better", "said"),
    [
        ((574.1, 573.2, 572.9), (549.3, 542.0, 540.5), "min",
         "−29.5 (−5.14 %) against the baseline, standard error 2.7, n = 3 and 3; it stands out from the spread"),
        ((574.1, 573.2), (572.0, 575.0), "min", "it does not stand out from the spread, so it may be luck"),
        ((3.0, 4.0), (10.0, 11.0), "max", "+7 (+200.0 %) against the baseline, standard error 0.71, n = 2 and 2; it"),
        ((3.0, 4.0), (10.0, 11.0), "min", "the best is the worse one, and it stands out"),
        ((574.1,), (572.0, 575.0), "min", "n = 2 and 1; one trial has no spread, so nothing can be said of luck"),
        ((5.0, 5.0), (4.0, 4.0), "min", "standard error 0, n = 2 and 2; all trials of each came to the same score"),
        ((5.0, 5.0), (5.0, 5.0), "min", "it does not stand out"),
        ((1.0, 3.0), (0.0, -2.0), "min", "it does not stand out"),  # 2.1 standard errors, but of two trials each
    ],
)  # fmt: skip
def test_the_whole_gain_is_judged_by_the_spread(baseline, best, better: str, said: str) -> None:
    told = judgement(Comparison(3, baseline, best, better))
    assert said in told
    assert told.startswith("further trials: ")


@pytest.mark.parametrize("spread", [1e-160, 1e160, 1e308])
def test_no_spread_is_too_absurd_to_be_judged(spread: float) -> None:
    c = Comparison(3, (0.0, spread), (-spread, -2 * spread if spread < 1e300 else 0.0), "min")
    assert "n = 2 and 2" in judgement(c)
    assert "Infinity" not in json.dumps(c.as_json())


def test_means_have_the_digits_that_the_spread_leaves() -> None:
    shown = means(Comparison(7, (574.1, 573.2, 572.9), (549.3, 542.0, 540.5), "min"))
    assert shown == "the baseline 574.1, 573.2, 572.9, mean 573.4; #7 549.3, 542, 540.5, mean 543.9"


@pytest.fixture
def doubted(tmp_path: Path) -> Path:
    """A recorded run that is over, whose best and baseline were tried again: the best's step is contradicted."""
    folder = write_run(tmp_path / ".autoresearch" / "nov20", 12, live=False)
    first, *others = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    whole = json.loads(first)
    whole["task"] |= {"task": {"name": "gpt", "artifact": ["train.py"]}, "commands": {"train": "true"}}
    (folder / "journal.jsonl").write_text("".join([json.dumps(whole) + "\n", *others]))
    h = history(folder)
    best = h.best
    worse = best.measurement.value - best.delta + 0.01
    stream: list[ev.Event] = []
    for number, value in ((0, 3.0), (0, 3.1), (best.number, worse), (best.number, worse + 0.002)):
        trial = 2 + sum(isinstance(e, ev.AgainDone) and e.number == number for e in stream)
        stream += [
            ev.AgainAsked(number), ev.AgainStarted(number), ev.TrialStarted(number, trial, 43, 9),
            ev.Measured(number, trial, value, 15.0, 20.0, 500.0), ev.AgainDone(number),
        ]  # fmt: skip
    append(folder, *stream, ev.RunEnded("done", "the limit was reached"), at=h.last_time + 60)
    return folder


def test_every_view_says_the_same(doubted: Path) -> None:
    h = history(doubted)
    best = h.best
    words = verdicts(h)
    assert len(words) == 2
    assert words[0].startswith("further trials: −")
    assert words[1].startswith(f"#{best.number}: its step of −")
    feed = Feed(doubted, alive=lambda _: False)
    feed.read()
    said = {
        "status": report.status_text(doubted),
        "results": table(h, 400),
        "plain": "\n".join(plain.summary(feed.state, doubted)),
        "best": autoresearch("best", cwd=doubted.parent.parent).stdout,
        "notes": " ".join(" ".join(row for row, _ in notes(h, best, 60)).split()),
    }  # fmt: skip
    for view, told in said.items():
        for line in words:
            assert line in told, view
    narrow = table(h, 60).splitlines()
    assert all(line in " ".join(narrow) for line in words)
    assert all(len(line) <= 60 for line in narrow[-4:]), "whole words, in the terminal's width"
    row = next(line for line in said["results"].splitlines() if line.startswith(f"{best.number:>2} "))
    assert "keep luck?" in row
    as_json = report.status(doubted)
    assert as_json["doubted"] == [best.number]
    assert as_json["verdicts"] == words
    assert as_json["further_trials"]["baseline"] == (3.0, 3.1)
    assert json.dumps(as_json)


def test_the_last_words_name_the_way_to_find_out(tmp_path: Path, doubted: Path) -> None:
    folder = write_run(tmp_path / "nov21", 12, live=False)
    for place, named in ((folder, True), (doubted, False)):
        feed = Feed(place, alive=lambda _: False)
        feed.read()
        assert any("autoresearch confirm" in line for line in plain.summary(feed.state, place)) is named


@dataclass
class Night:
    toy: Path
    folder: Path = field(init=False)

    def run(self, engines, spread: float, *rates: str) -> Path:
        whole = NOISY.format(spread=spread, slow=str(self.toy.parent / "slow"))
        (self.toy / "train.py").write_text(whole)
        commit_all(self.toy)
        script = self.toy.parent / "script.jsonl"
        steps = [{"description": r, "edits": {"train.py": whole.replace("0.5", r)}} for r in rates]
        script.write_text("".join(json.dumps(step) + "\n" for step in steps))
        self.folder = engines(Options(str(self.toy), agent=f"scripted:{script}", tag="t", experiments=len(rates)))
        ended(self.folder)
        return self.folder


def test_confirm_trains_both_again_and_says_what_stands_out(toy, engines):
    folder = Night(toy).run(engines, 1000, "0.4", "0.9")
    assert "autoresearch confirm t" in autoresearch("best", cwd=toy).stdout
    done = autoresearch("confirm", cwd=toy)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:4] for line in lines[:6]] == [
        [f"#{n}", who, "trial", str(t)] for t in (2, 3, 4) for n, who in ((0, "baseline"), (1, "best"))
    ]
    assert lines[6] == "the baseline 0.041, 0.042, 0.043, mean 0.042; #1 0.011, 0.012, 0.013, mean 0.012"
    assert lines[7].startswith("further trials: −0.03 (−71.4 %) against the baseline, standard error 0.00082, n = 3")
    assert "it stands out from the spread" in lines[7]
    h = history(folder)
    assert [len(e.repeats) for e in h.experiments] == [3, 3, 0]
    assert lines[7] in autoresearch("best", cwd=toy).stdout
    again = autoresearch("confirm", cwd=toy)
    assert again.stdout.splitlines()[-1] == lines[-1]
    assert (folder / "journal.jsonl").read_text().count("AgainDone") == 6, "what is there is not trained again"
    assert autoresearch("confirm", "--seeds", "4", cwd=toy).returncode == 0
    assert [len(e.repeats) for e in history(folder).experiments] == [4, 4, 0]


def test_confirm_does_not_claim_what_it_cannot_show(toy, engines):
    Night(toy).run(engines, 1, "0.49")
    done = autoresearch("confirm", cwd=toy)
    assert "it does not stand out from the spread" in done.stdout
    assert "#1: its step of −0.0039 over #0 may be luck" in done.stdout


def test_what_cannot_be_confirmed_is_refused(toy, engines):
    folder = Night(toy).run(engines, 1000, "0.9")
    for words, said in (
        (("confirm",), "nothing was better than the baseline"),
        (("confirm", "--seeds", "1"), "--seeds"),
        (("again", "7"), "#7 is no experiment of this run"),
        (("resume", "--experiments", "0"), "ask for one with: autoresearch again N t"),
    ):
        refused = autoresearch(*words, cwd=toy)
        assert refused.returncode == 2
        assert said in refused.stderr
    slow = (toy / "train.py").read_text() + "import time\ntime.sleep(30)\n"
    (toy / "train.py").write_text(slow)
    commit_all(toy)
    (toy / "slow").mkdir()
    engines(Options(str(toy), tag="u", experiments=0))
    busy = autoresearch("confirm", "u", cwd=toy)
    assert busy.returncode == 2
    with pytest.raises(UsageError, match="no best experiment yet"):
        raise UsageError(busy.stderr)
    other = autoresearch("again", "0", "t", cwd=toy)
    assert "device cpu is in use by another run" in other.stderr
    assert not history(folder).experiments[0].repeats


def test_again_of_a_run_that_is_over_starts_an_engine_for_it(toy, engines):
    folder = Night(toy).run(engines, 1000, "0.4")
    done = autoresearch("again", "1", cwd=toy)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "t: an engine begins 1 further trial of #1 of at most 5 s, 5 s in all, and no proposal\n"
    assert "1 further trial of #1 of at most 5 s" in done.stderr
    h = ended(folder)
    assert [len(e.repeats) for e in h.experiments] == [0, 1]
    assert len(h.experiments) == 2


def test_ctrl_c_stops_it_and_the_next_one_takes_up_what_is_left(toy, engines):
    folder = Night(toy).run(engines, 1000, "0.4")
    argv = [AUTORESEARCH, "confirm", "--seeds", "2"]
    slow = toy.parent / "slow"
    slow.touch()
    with subprocess.Popen(
        argv, cwd=toy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    ) as command:  # fmt: skip
        until(lambda: len(history(folder).experiments[1].repeats) == 1)
        until(lambda: (p := history(folder).pending) is not None and p.again and p.trial_open)
        command.send_signal(signal.SIGINT)
        told, said = command.communicate(timeout=20)
    assert command.returncode == 130
    assert "what was measured stays; go on with: autoresearch confirm t" in said
    assert "#0 baseline  trial 2" in told
    h = ended(folder)
    assert h.ended.reason == "stopped"
    assert h.asked_again == (0, 1)
    slow.unlink()
    assert autoresearch("confirm", "--seeds", "2", cwd=toy).returncode == 0
    assert [len(e.repeats) for e in ended(folder).experiments] == [2, 2]
