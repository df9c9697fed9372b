"""The loop on a task that takes a moment: what it keeps, what it writes into git, what it leaves alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from conftest import autoresearch, commit_all, ended, git

from core.experiment import Verdict
from core.journal import results_tsv
from core.launch import Options


def script(folder: Path, *steps: tuple[str, str, str]) -> str:
    """A `scripted:` agent that replaces text: (description, old, new)."""
    lines = [json.dumps({"description": d, "file": "train.py", "replace": [[old, new]]}) for d, old, new in steps]
    path = folder.parent / "script.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return f"scripted:{path}"


STEPS = (
    ("better", "0.5", "0.4"),
    ("worse", "0.4", "0.9"),
    ("crash", "RATE = 0.4", "RATE = 1 / 0"),
    ("better still", "0.4", "0.35"),
)


def test_keeps_what_improved_and_pins_what_did_not(toy, engines):
    base = git(toy, "rev-parse", "HEAD").strip()
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t"))
    h = ended(folder)
    assert [e.verdict.outcome for e in h.experiments] == ["keep", "keep", "discard", "crash", "keep"]
    assert h.experiments[3].verdict.reason.startswith("ZeroDivisionError")
    assert "ZeroDivisionError" in h.experiments[3].log_tail
    assert h.ended.reason == "done"
    kept = [e.commit for e in h.experiments if e.verdict.outcome == "keep"]
    assert git(toy, "rev-list", "--reverse", f"{base}..autoresearch/t").split() == kept[1:]
    for e in h.experiments:
        assert git(toy, "rev-parse", f"refs/autoresearch/t/{e.number}").strip() == e.commit
    assert git(toy, "show", "-s", "--format=%s", "autoresearch/t").strip() == "better still"
    assert not git(toy, "fsck", "--no-dangling")


def test_the_checkout_is_left_alone_dirty_files_included(toy, engines):
    (toy / "train.py").write_text("RATE = 7  # not committed\n")
    (toy / "staged.txt").write_text("staged")
    git(toy, "add", "staged.txt")
    (toy / "untracked.txt").write_text("untracked")
    before = snapshot(toy)
    h = ended(engines(Options(str(toy), agent=script(toy, *STEPS), tag="t")))
    assert len(h.experiments) == 5
    assert snapshot(toy) == before
    assert any("not committed" in note for note in h.run.notes)


def snapshot(folder: Path) -> dict[str, str]:
    """Every file outside .git and .autoresearch, and git's index and HEAD."""
    files = [p for p in folder.rglob("*") if p.is_file() and not {".git", ".autoresearch"} & set(p.parts)]
    files += [folder / ".git/index", folder / ".git/HEAD", folder / ".git/refs/heads/main"]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_results_have_the_original_columns(toy, engines):
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t"))
    h = ended(folder)
    rows = [line.split("\t") for line in (folder / "results.tsv").read_text().splitlines()]
    assert rows[0] == ["commit", "loss", "memory_gb", "status", "description"]
    assert rows[1][1:] == ["0.040000", "0.0", "keep", "baseline"]
    assert rows[4][1:] == ["0.000000", "0.0", "crash", "crash"]
    assert [r[0] for r in rows[1:]] == [e.commit[:7] for e in h.experiments]
    log = (folder / "trials/0-1/log").read_text()
    assert "---\nloss:             0.040000\ntraining_seconds: " in log


def test_what_was_skipped_has_no_score_and_is_no_discard_of_zero(toy, engines):
    h = ended(engines(Options(str(toy), agent=script(toy, *STEPS), tag="t")))
    e = replace(h.experiments[1], measurement=None, verdict=Verdict("discard", "skipped"))
    row = results_tsv(replace(h, experiments=(e,))).splitlines()[1].split("\t")
    assert row == [e.commit[:7], "0.000000", "0.0", "crash", f"{e.description} (skipped)"]


def test_an_equal_score_with_fewer_lines_is_kept(toy, engines):
    (toy / "train.py").write_text("RATE = 0.5\n# a remark\n" + 'print("loss:", (RATE - 0.3) ** 2)\n')
    commit_all(toy)
    steps = (("same length", "a remark", "another"), ("shorter", "# a remark\n", ""))
    h = ended(engines(Options(str(toy), agent=script(toy, *steps))))
    assert [(e.verdict.outcome, e.verdict.reason) for e in h.experiments[1:]] == [
        ("discard", "equal, not shorter"),
        ("keep", "equal and shorter"),
    ]


def test_refused_proposals_are_events_and_not_rows(toy, engines):
    steps = (
        ("does not parse", "0.5", "(("),
        ("no edit", "0.5", "0.5"),
        ("fine", "0.5", "0.4"),
        ("again", "0.4", "0.5"),
    )
    folder = engines(Options(str(toy), agent=script(toy, *steps)))
    h = ended(folder)
    assert [e.description for e in h.experiments] == ["baseline", "fine"]
    journal = (folder / "journal.jsonl").read_text()
    refusals = [json.loads(line) for line in journal.splitlines() if '"ProposalRefused"' in line]
    assert [r["description"] for r in refusals] == ["does not parse", "no edit", "again"]
    assert "does not parse" in refusals[0]["reason"]
    assert "no edit" in refusals[1]["reason"]
    assert "duplicate" in refusals[2]["reason"]


def test_a_baseline_that_crashes_fails_the_run_with_the_mend(toy, engines):
    (toy / "train.py").write_text("syntax error\n")
    commit_all(toy)
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t"))
    h = ended(folder)
    assert h.ended.reason == "failed"
    assert "SyntaxError" in h.ended.message
    assert "start a new run" in h.ended.message
    plain = autoresearch("resume", "t", "--plain", cwd=toy)
    assert plain.returncode == 1
    assert "baseline" in plain.stdout


def test_experiments_counts_proposals_after_the_baseline(toy, engines):
    folder = engines(Options(str(toy), agent=script(toy, *STEPS), tag="t", experiments=0))
    assert [e.number for e in ended(folder).experiments] == [0]
    again = autoresearch("resume", "t", cwd=toy)
    assert again.returncode == 2
    assert "--experiments" in again.stderr
    assert autoresearch("resume", "t", "--experiments", "2", "--plain", cwd=toy).returncode == 0
    assert [e.number for e in ended(folder).experiments] == [0, 1, 2]


def test_a_task_of_ones_own_is_labelled_self_reported(toy, engines):
    h = ended(engines(Options(str(toy), agent=script(toy, *STEPS), experiments=1)))
    assert all(e.measurement.self_reported for e in h.experiments)
    shown = autoresearch("status", cwd=toy).stdout
    assert "own task" in shown
