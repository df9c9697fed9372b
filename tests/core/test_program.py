"""The human's instructions: where program.md lies, and that a change of it is recorded."""

from __future__ import annotations

import pytest
from conftest import git
from thinker import close, events, opened, record

from core import events as ev
from core.loop import commit, conclude, decide, move_branch, propose
from core.proposals import program
from core.task import Budget, Metric, Task


@pytest.mark.parametrize("place", ["program.md", "task/program.md"])
def test_a_program_that_the_task_does_not_name_is_found_beside_it_or_in_the_workspace(tmp_path, place):
    task = Task("task", "t", ("x",), Metric("m", "min"), Budget(1, 1, 1), {})
    (tmp_path / "task").mkdir()
    (tmp_path / "program.md").write_text("of the workspace")
    (tmp_path / place).write_text("this one")
    assert program(tmp_path, task) == "this one"
    assert program(tmp_path / "elsewhere", task) == ""


def test_the_program_is_recorded_when_it_changes_and_only_then(toy):
    (toy / "program.md").write_text("be bold")
    (toy / "task.toml").write_text((toy / "task.toml").read_text().replace("[task]", '[task]\nprogram = "program.md"'))
    git(toy, "add", "-A")
    git(toy, "commit", "-q", "-m", "program")
    run = opened(toy)
    try:
        for measured in (0.5, 0.4, 0.3):
            record(run, propose, commit)
            run.record(ev.Measured(run.in_flight.number, 1, measured, 1.0, 1.0, 1.0))
            record(run, decide, move_branch, conclude)
            if measured == 0.4:
                (toy / "program.md").write_text("be careful")
        assert [(e.number, e.text) for e in events(run, ev.ProgramRead)] == [(1, "be bold"), (2, "be careful")]
        assert [r.program for r in run.agent.asked] == ["be bold", "be careful"]
        assert run.history.program == "be careful"
    finally:
        close(run)
