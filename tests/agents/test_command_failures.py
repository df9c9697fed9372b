"""A command-line agent that fails: it is asked again ever later, and then the user is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from command_desk import BETTER, request, script, workspace
from conftest import TOY_SOURCE

from core.agents import CalledOff, Refused, Unable
from core.agents.command import FAILURES_IN_A_ROW, LONGEST_WAIT_SECONDS, CommandAgent

EDITED = TOY_SOURCE.replace("0.5", "0.4")


def test_a_failing_program_is_asked_again_ever_later_and_then_the_user_is(tmp_path: Path) -> None:
    run = workspace(tmp_path / "ws")
    agent = CommandAgent(str(script(tmp_path, "exit 1\n")), {})
    waits, reasons = [], []
    for _ in range(FAILURES_IN_A_ROW):
        asked = request(tmp_path, run)
        with pytest.raises(Refused, match="exit status 1"):
            agent.propose(asked)
        waits += [seconds for seconds, _ in asked.desk.waited]
        reasons += [reason for _, reason in asked.desk.waited]
    assert waits[:4] == [15, 30, 60, 120]
    assert reasons[:2] == ["agent: exit status 1", "agent: exit status 1, 2 times in a row"]
    assert max(waits) == LONGEST_WAIT_SECONDS == waits[-1]
    assert len(waits) == FAILURES_IN_A_ROW - 1
    with pytest.raises(Unable, match="20 failures in a row, the last one agent: exit status 1"):
        agent.propose(request(tmp_path, run))
    script(tmp_path, BETTER)  # the user has mended it, and says resume: no wait, and what follows begins anew
    asked = request(tmp_path, run)
    assert agent.propose(asked).edits == {"train.py": EDITED}
    assert asked.desk.waited == []


def test_one_that_ends_well_and_changes_nothing_is_asked_again_ever_later_too(tmp_path: Path) -> None:
    run = workspace(tmp_path / "ws")
    agent = CommandAgent(str(script(tmp_path, "echo 'Limit reached, it is reset at 3am'\n")), {})
    waits = []
    for _ in range(FAILURES_IN_A_ROW):
        asked = request(tmp_path, run)
        with pytest.raises(Refused, match=r"nothing of the artifact \(train.py\) was changed$"):
            agent.propose(asked)
        waits += asked.desk.waited
    nothing = "nothing of the artifact (train.py) was changed; the agent said: Limit reached, it is reset at 3am"
    assert waits[:2] == [(15, nothing), (30, f"{nothing}, 2 times in a row")]
    assert len(waits) == FAILURES_IN_A_ROW - 1
    with pytest.raises(Unable, match=r"20 failures in a row, the last one nothing of .*: Limit reached"):
        agent.propose(request(tmp_path, run))


def test_an_edit_that_cannot_be_used_is_no_failure_of_the_program(tmp_path: Path) -> None:
    run = workspace(tmp_path / "ws")
    agent = CommandAgent(str(script(tmp_path, "rm train.py\n")), {})
    for _ in range(2):
        asked = request(tmp_path, run)
        with pytest.raises(Refused, match=r"train\.py"):
            agent.propose(asked)
        assert asked.desk.waited == []


def test_a_wait_is_called_off(tmp_path: Path) -> None:
    run = workspace(tmp_path / "ws")
    agent = CommandAgent(str(script(tmp_path, "exit 1\n")), {})
    with pytest.raises(Refused):
        agent.propose(request(tmp_path, run))
    asked = request(tmp_path, run)
    asked.desk.stopping = True
    with pytest.raises(CalledOff):
        agent.propose(asked)


def test_one_that_does_not_wait_cannot_work_until_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = workspace(tmp_path / "ws")
    agent = CommandAgent(str(script(tmp_path, "exit 1\n")), {}, waits=False)  # as an arm of hybrid, which goes on
    now = [1000.0]
    monkeypatch.setattr("core.agents.command.time", SimpleNamespace(monotonic=lambda: now[0]))
    with pytest.raises(Refused, match="exit status 1"):
        agent.propose(asked := request(tmp_path, run))
    now[0] += 14
    with pytest.raises(Unable, match="agent: exit status 1; it is tried again later"):
        agent.propose(asked)
    script(tmp_path, BETTER)
    now[0] += 2
    assert agent.propose(request(tmp_path, run)).edits == {"train.py": EDITED}
    assert asked.desk.waited == []
