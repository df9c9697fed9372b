"""The list says in a word why there is no score, and leaves the room to what was tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from driving import screen, until
from recorded_run import append, write_run

from core import events as ev
from core.experiment import Experiment, Verdict
from tui.app import GREETING, Cockpit
from tui.feed import Feed
from tui.verdicts import short_reason
from tui.widgets.rows import finished


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        ("timeout: not done after 8.0 s: 5 s of training and 3 s of grace", "timeout"),
        ("nan", "nan"),
        ("exit status 3", "exit 3"),
        ("killed by SIGSEGV", "SIGSEGV"),
        ("no `error` in its output; the pattern is ^error: (.*)$", "no score"),
        ("`loss` is no number: 'much'", "no score"),
        ("torch.OutOfMemoryError: CUDA out of memory", "OutOfMemoryError"),
        ("crash", ""),
        ("equal, not shorter", "equal, not shorter"),
    ],
)
def test_a_reason_in_a_word(reason: str, short: str) -> None:
    assert short_reason(reason) == short


def test_the_row_of_a_crash_says_what_was_tried() -> None:
    reason = "no `error` in its output; the pattern is ^error: (.*)$"
    e = Experiment(
        5, "c" * 40, "p" * 40, "wider and deeper", "", "", 9, {}, None, Verdict("crash", reason), 0, None, 1, 1
    )
    for width in (56, 64, 80, 120):
        row = "".join(piece[0] for piece in finished(replace(e), width, None, ""))[:width]
        assert "wider and deeper" in row
        assert "no score" in row


async def test_a_greeting_gives_way_to_a_crash(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 3)
    app = Cockpit(folder, new=True, feed=Feed(folder, alive=lambda _: True))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: GREETING in screen(app))
        number = app.state.history.next_number
        append(
            folder,
            ev.Crashed(number, 1, "exit status 3", "ValueError: so it goes", 1.0),
            ev.Judged(number, "crash", "exit status 3", 0, None),
            ev.ExperimentDone(number),
            at=app.state.history.last_time + 1,
        )
        await until(pilot, lambda: "ValueError: so it goes" in screen(app))
        assert GREETING not in screen(app)
