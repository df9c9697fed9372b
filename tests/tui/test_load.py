"""How busy the device is: what nvidia-smi answers, which card a trial means, and when nobody asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from driving import cockpit, screen, until
from recorded_run import write_run

from core import events as ev
from core import records
from tui.feed import Feed
from tui.load import EVERY_SECONDS, Gauge, Load, Tree, card_of, cards
from tui.replay import Replay

H100S = """\
0, GPU-7c2f1b7e-0d4b-9a53-1f0e-0a6b2f4d8c11, NVIDIA H100 80GB HBM3, 97, 45321, 81559, 63, 612.43
1, GPU-91a6e5d0-55aa-4d0e-8c0c-2e7c43a6b0f2, NVIDIA H100 80GB HBM3, 0, 4, 81559, 31, 71.02
"""
A_PART = "0, GPU-5f0e, NVIDIA A100-SXM4-40GB, [N/A], [N/A], [N/A], 34, 51.20\n"
LAPTOP = "0, GPU-0c11, NVIDIA GeForce RTX 4070 Laptop GPU, 12, 803, 8188, 47, [Not Supported]\n"
MIXED = H100S.replace("1, GPU-91a6e5d0-55aa-4d0e-8c0c-2e7c43a6b0f2, NVIDIA H100 80GB HBM3", "1, GPU-91a6, NVIDIA L4")
UUID = "GPU-91a6e5d0-55aa-4d0e-8c0c-2e7c43a6b0f2"


def test_an_answer_becomes_figures_and_what_is_not_known_stays_unknown() -> None:
    first, second = cards(H100S)
    assert (first.index, first.load) == (0, Load(None, 97, 45321, 81559, 63, 612))
    assert second.load.gpu == 0
    assert cards(A_PART)[0].load == Load(celsius=34, watts=51)
    assert cards(LAPTOP)[0].load == Load(None, 12, 803, 8188, 47, None)
    for nonsense in (
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed, because it could not talk\n",
        "0, GPU-1, x\n",
    ):
        assert cards(nonsense) == []
    assert cards("0, GPU-1, x, inf, nan, 1e999, -5, 1\n")[0].load == Load(celsius=0, watts=1)


@pytest.mark.parametrize(
    ("device", "environment", "index"),
    [
        ("cuda", {}, 0),
        ("cuda:1", {}, 1),
        ("cuda:2", {}, None),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "1"}, 1),
        ("cuda:1", {"CUDA_VISIBLE_DEVICES": "1, 0"}, 0),
        ("cuda", {"CUDA_VISIBLE_DEVICES": UUID[:12]}, 1),
        ("cuda", {"CUDA_VISIBLE_DEVICES": ""}, None),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "MIG-3f"}, None),
        ("cuda", None, None),
    ],
)
def test_the_card_is_the_one_the_trial_means(
    device: str, environment: dict[str, str] | None, index: int | None
) -> None:
    card = card_of(device, cards(H100S), environment)
    assert (card.index if card else None) == index


def test_where_cards_differ_their_order_must_be_known() -> None:
    assert card_of("cuda:1", cards(MIXED), {}) is None
    card = card_of("cuda:1", cards(MIXED), {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert card is not None
    assert card.name == "NVIDIA L4"
    assert card_of("cuda", cards(LAPTOP), None) is not None, "there is but one"


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put an nvidia-smi that does this first in PATH; returns the file that has a line for every call."""
    program, calls = folder / "nvidia-smi", folder / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{script}\n')
    program.chmod(0o755)
    calls.write_text("")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return calls


def test_nvidia_smi_is_asked_every_few_seconds_and_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = smi(tmp_path, monkeypatch, f"cat <<'END'\n{LAPTOP}END")
    clock = Hand()
    gauge = Gauge(clock)
    since = time.time()
    assert gauge.read("cuda", os.getpid(), since) is None, "the answer is taken at a later reading"
    load = None
    while load is None:
        load = gauge.read("cuda", os.getpid(), since)
    assert load.gpu == 12
    for _ in range(20):
        assert gauge.read("cuda", os.getpid(), since) == load
    assert len(calls.read_text().splitlines()) == 1
    assert "--query-gpu=index,uuid,name,utilization.gpu" in calls.read_text()
    clock.now += EVERY_SECONDS
    gauge.read("cuda", os.getpid(), since)
    assert gauge._smi._process is not None
    gauge._smi._process.communicate()
    assert len(calls.read_text().splitlines()) == 2


def test_a_tool_that_is_missing_or_fails_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = smi(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed'; exit 9")
    clock = Hand()
    gauge, since = Gauge(clock), time.time()
    for _ in range(400):
        assert gauge.read("cuda", os.getpid(), since) is None
        clock.now += 1.0
        time.sleep(0.002)
    assert len(calls.read_text().splitlines()) == 3
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert Gauge(clock).read("cuda", os.getpid(), since) is None


def test_a_tool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "exec sleep 60")
    clock = Hand()
    gauge, since = Gauge(clock), time.time()
    gauge.read("cuda", os.getpid(), since)
    process = gauge._smi._process
    assert process is not None
    clock.now += 11
    gauge.read("cuda", os.getpid(), since)
    assert process.returncode is not None


def test_the_load_of_a_process_tree_is_that_of_its_children_too() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", busy], start_new_session=True) as process:
        try:
            tree = Tree(process.pid, time.time())
            found: list[int] = []
            at = time.monotonic()
            while not any(percent > 0 for percent in found):
                assert time.monotonic() - at < 20
                time.sleep(0.05)
                tree._samples = 0  # the child may just have been born
                percent = tree.percent(time.monotonic())
                found += [percent] if percent is not None else []
            assert all(0 <= percent <= 100 for percent in found)
        finally:
            os.killpg(process.pid, 9)
    assert Tree(process.pid, time.time()).percent(1.0) is None, "it is gone"


def test_a_number_that_belongs_to_another_process_by_now_is_not_the_trial() -> None:
    tree = Tree(os.getpid(), since=1.0)
    assert tree.percent(1.0) is None
    assert tree.percent(2.0) is None
    assert tree.environment() is None


# --- when it is looked at --------------------------------------------------------------------------------------------


class Recording(Gauge):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []

    def read(self, device: str, pid: int, since: float) -> Load | None:
        self.asked.append((device, pid))
        return Load(cpu=98)


def test_it_is_looked_at_only_while_a_trial_runs_and_somebody_sees_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", 3)
    feed, gauge = Feed(folder, alive=lambda _: True), Recording()
    feed._gauge = gauge
    feed.read()
    assert gauge.asked == [], "nobody sees it"
    feed.weighs = True
    feed.read()
    assert gauge.asked == [("cpu", 5003)]
    assert feed.state.load == Load(cpu=98)
    state = feed.state
    feed.read()
    assert feed.state is state, "the same load is nothing new to paint"
    recorded = (folder / "journal.jsonl").read_text()
    for event in (ev.TrialHeld(3, 1, 70), ev.Crashed(3, 1, "oom", "", 1.0), ev.RunEnded("stopped", "")):
        (folder / "journal.jsonl").write_text(recorded + json.dumps(records.to_record(event, 2e9)) + "\n")
        feed = Feed(folder, alive=lambda _: True)
        feed._gauge, feed.weighs, gauge.asked = gauge, True, []
        feed.read()
        assert (gauge.asked, feed.state.load) == ([], None), type(event).__name__
    (folder / "journal.jsonl").write_text(recorded)
    for feed in (Feed(folder, alive=lambda _: False), Replay(folder, 1e6)):
        feed._gauge, feed.weighs = gauge, True
        feed.read()
        assert gauge.asked == []


@pytest.mark.parametrize(("size", "shown"), [((120, 40), True), ((80, 24), False), ((120, 8), False)])
async def test_a_window_without_room_for_it_does_not_look(tmp_path: Path, size: tuple[int, int], shown: bool) -> None:
    gauge = Recording()
    async with cockpit(write_run(tmp_path / "run", 3), size) as (app, pilot):
        app.feed._gauge = gauge
        reads = 0

        def read() -> list[object]:
            nonlocal reads
            reads += 1
            return Feed.read(app.feed)

        app.feed.read = read
        await until(pilot, lambda: reads >= 3)
        assert bool(gauge.asked) == shown
        assert ("cpu 98 %" in screen(app)) == shown
