"""The list by score, what a search and a filter find, and what an experiment is compared with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driving import cockpit, engine_of, experiments, screen, until
from recorded_run import write_run

from core import events as ev
from tui import text
from tui.app import Cockpit
from tui.feed import find
from tui.listing import Listing


def listed(app: Cockpit) -> list[int]:
    """The numbers on the screen, from the top."""
    shelf = experiments(app)
    rows = [shelf.render_line(y).text[1:6] for y in range(1, shelf.size.height)]
    return [int(row.strip("▶‖? ")) for row in rows if row.strip()]


async def test_by_score_the_best_is_first_and_crashes_are_last(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 40), (160, 40)) as (app, pilot):
        await until(pilot, lambda: "training #40" in screen(app))
        h = app.state.history
        await pilot.press("j", "j", "O")
        await until(pilot, lambda: "40 by score" in screen(app))
        assert experiments(app).selected == 38, "what was selected stays selected, and in view"
        assert 38 in listed(app)
        await pilot.press("g")  # the newest: by number again, and followed
        await until(pilot, lambda: "by score" not in screen(app))
        assert (experiments(app).following, experiments(app).selected) == (True, 40)
        await pilot.press("O")
        await until(pilot, lambda: listed(app)[0] == h.incumbent)
        assert not experiments(app).following
        found = [find(h, number) for number in listed(app)]
        values = [e.measurement.value for e in found if e and e.measurement]
        assert values == sorted(values)
        order = Listing(h, order="score")
        crashed = {e.number for e in h.experiments if e.verdict.outcome == "crash"}
        assert {order.number(row) for row in range(len(order) - len(crashed), len(order))} == crashed
        await pilot.press("f")
        await until(pilot, lambda: "kept by score" in screen(app))
        assert [n for n in listed(app) if (e := find(h, n)) and e.verdict.outcome != "keep"] == []
        await pilot.press("O")
        await until(pilot, lambda: "by score" not in screen(app) and " kept " in screen(app))


async def test_who_follows_and_turns_to_the_scores_sees_the_best(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 40, live=False, ended=True)) as (app, pilot):
        await until(pilot, lambda: "DONE" in screen(app))
        assert experiments(app).following
        await pilot.press("O")
        await until(pilot, lambda: "by score" in screen(app))
        assert experiments(app).selected == app.state.history.incumbent == listed(app)[0]


async def test_by_score_what_is_read_stays_where_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 40)
    with engine_of(folder) as engine:
        async with cockpit(folder, (160, 40)) as (app, pilot):
            await until(pilot, lambda: "training #40" in screen(app))
            await pilot.press("O", "j", "j", "j", "j")
            selected = experiments(app).selected
            assert selected is not None
            place = experiments(app).listing.row_of(selected)
            engine.write(
                ev.TrialDone(40, 1, 15.0, 110),
                ev.Measured(40, 1, 1.5, 15.0, 20.0, 512.0, {}),
                ev.Judged(40, "keep", "better", 38, -0.5),
                ev.ExperimentDone(40),
            )
            await until(pilot, lambda: listed(app)[:1] == [40] or experiments(app).listing.number(0) == 40)
            assert experiments(app).selected == selected
            assert experiments(app).listing.row_of(selected) == place + 1
            assert selected in listed(app)


def test_where_more_is_better_the_greatest_is_first(tmp_path: Path) -> None:
    from core.facts import replace
    from tui.report import history

    h = history(write_run(tmp_path / "nov20", 20, live=False))
    assert h.run is not None
    up = replace(h, run=replace(h.run, task={**h.run.task, "metric": {"name": "score", "direction": "max"}}))
    least, most = (Listing(of, order="score").entry(0) for of in (h, up))
    values = [e.measurement.value for e in h.experiments if e.measurement]
    assert least.measurement.value == min(values)
    assert most.measurement.value == max(values)


async def test_round_the_filters_to_all_nothing_is_lost(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18), (160, 50)) as (app, pilot):
        await until(pilot, lambda: "training #18" in screen(app))
        await pilot.press("f", "f", "f", "f")
        assert (experiments(app).following, experiments(app).selected) == (True, 18)
        experiments(app).select(6)
        seen = []
        for _ in range(4):
            await pilot.press("f")
            seen.append(experiments(app).selected)
        assert seen == [13, 6, 15, 6], "in its own list it is selected too"
        await pilot.press("f", "j", "f", "f", "f")
        assert experiments(app).selected == 11, "what was selected since counts"


async def test_by_score_the_mean_of_further_trials_goes_before_a_lucky_score(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "nov20", 18, live=False)
    with engine_of(folder) as engine:
        engine.write(ev.AgainAsked(13), ev.AgainStarted(13), ev.TrialStarted(13, 2, 43, 1))
        engine.write(ev.Measured(13, 2, 2.43, 15.0, 20.0, 512.0), ev.AgainDone(13))
        async with cockpit(folder, (200, 50)) as (app, pilot):
            await until(pilot, lambda: bool(app.state.history.experiments[13].repeats))
            await pilot.press("O")
            await until(pilot, lambda: "by score, or mean of further trials" in screen(app))
            order = listed(app)
            assert order[:2] == [18, 14]
            assert order.index(1) < order.index(13) < order.index(0), "2.4122, the further 2.43, 2.4413"


async def test_the_filter_counts_as_the_status_does(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 40, live=False)) as (app, pilot):
        await pilot.press("f")
        await until(pilot, lambda: " kept " in screen(app))
        assert f" {app.state.counts['keep']} kept " in screen(app)
        assert 0 not in [e.number for e in experiments(app).listing.finished]


async def test_a_search_finds_what_changed_not_what_stood_around_it(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18)) as (app, pilot):
        await until(pilot, lambda: "training #18" in screen(app))
        h = app.state.history
        around = [e.number for e in h.experiments if re.search(r"^ DEVICE_BATCH_SIZE", e.diff, re.MULTILINE)]
        changed = [e.number for e in h.experiments if re.search(r"^[+-]DEVICE_BATCH_SIZE", e.diff, re.MULTILINE)]
        said = [e.number for e in h.experiments if "device_batch" in f"{e.description} {e.hypothesis}".lower()]
        assert set(around) - set(changed) - set(said)
        assert [e.number for e in Listing(h, search="device_batch_size").finished] == sorted({*changed, *said})
        assert list(Listing(h, search="train.py").finished) == [], "the names of the files are in all of them"
        gelu = Listing(h, search="f.gelu").finished
        assert gelu, "letters of either case"


@pytest.mark.parametrize(("times", "name", "other"), [(1, "the baseline", 0), (2, "the best #13", 13)])
async def test_the_difference_is_to_what_is_compared_with(tmp_path: Path, times: int, name: str, other: int) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18), (160, 50)) as (app, pilot):
        await until(pilot, lambda: "training #18" in screen(app))
        experiments(app).select(5)
        await pilot.press(*"v" * times)
        await until(pilot, lambda: f"against {name}" in screen(app))
        values = [find(app.state.history, number).measurement.value for number in (5, other)]
        difference = text.delta(values[0] - values[1])
        assert difference != text.delta(find(app.state.history, 5).delta)
        await until(pilot, lambda: f"{text.exact(values[0])}  {difference} to #{other}" in screen(app))


async def test_the_plot_says_what_its_number_is_and_what_never_came(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18, live=False, ended=True)) as (app, pilot):
        await pilot.press("m")
        await until(pilot, lambda: "530 MB at the best" in screen(app))
        await pilot.press("m")
        await until(pilot, lambda: "tokens/s: not measured in this run" in screen(app))
        assert "yet" not in screen(app)


async def test_a_search_says_where_it_found_what_the_row_does_not_show(tmp_path: Path) -> None:
    async with cockpit(write_run(tmp_path / "nov20", 18, live=False)) as (app, pilot):
        await pilot.press("slash", *"held back")
        await until(pilot, lambda: " /held back" in screen(app))
        await until(pilot, lambda: "in hypothesis: soft" in screen(app))
        await pilot.press("escape", "slash", *"relu(self")
        await until(pilot, lambda: "in diff: GEL" in screen(app))
        await pilot.press("escape", "slash", *"GELU")
        await until(pilot, lambda: " /GELU" in screen(app) and "in diff" not in screen(app))
        await pilot.press("escape")
        await until(pilot, lambda: " /" not in screen(app).splitlines()[-2])
