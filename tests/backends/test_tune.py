"""`tune`: real short trials of a train.py, and which size they make it write."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from conftest import autoresearch, until

import backends.cuda
from backends.reference import rehearsal, scaffold, tune
from backends.reference.corpus import BadInput
from backends.reference.profiles import PROFILES, Device
from backends.reference.tune import Measured, Sizes
from core.locks import lock_device

TASK = """\
[task]
name = "reference"
artifact = ["train.py"]
[settings]
profile = "cpu"
sequence_length = 32
vocab_size = 512
"""
# A pass takes its time whatever its rows, as on a card that is far from full: more rows are faster.
TRAIN = """\
import time
from backends.reference import harness

TOTAL_BATCH_SIZE = 2**9  # tokens a step
DEVICE_BATCH_SIZE = 4  # rows a pass

trial = harness.connect()
if DEVICE_BATCH_SIZE > {limit}:
    trial.failed("oom", "no memory for that")
trial.ready()
batches = trial.batches(DEVICE_BATCH_SIZE)
while not trial.over:
    for _ in range(TOTAL_BATCH_SIZE // (DEVICE_BATCH_SIZE * 32)):
        assert next(batches).shape == (DEVICE_BATCH_SIZE, 33)
        time.sleep(0.01)
    trial.step(1.0, TOTAL_BATCH_SIZE)
trial.done(lambda path, metadata: path.touch(), 1, 1)
"""
CPU = Device("cpu", "a processor", 64_000)


def folder_with(path: Path, train: str) -> Path:
    folder = path / "cuda"
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(TASK)
    (folder / "train.py").write_text(train)
    return folder


def tuned(folder: Path, *, dry_run: bool = False) -> list[str]:
    said: list[str] = []
    tune.tune(folder, CPU, 60.0, said.append, dry_run=dry_run, train_seconds=0.4)
    return said


# --- real trials -----------------------------------------------------------------------------------------------------


def test_the_fastest_size_is_written_and_the_line_to_commit_it_said(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, TRAIN.format(limit=99))
    said = tuned(folder)
    text = (folder / "train.py").read_text()
    assert "DEVICE_BATCH_SIZE = 16  # rows a pass\n" in text  # a whole step in one pass
    assert text.replace("DEVICE_BATCH_SIZE = 16", "DEVICE_BATCH_SIZE = 4") == TRAIN.format(limit=99)
    assert [line.split()[0] for line in said[2:5]] == ["4", "8", "16"]
    assert said[-1].endswith("commit -m 'DEVICE_BATCH_SIZE = 16' train.py")
    assert sorted(path.name for path in folder.iterdir()) == ["task.toml", "train.py"]


def test_a_size_that_runs_out_of_memory_costs_nothing(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, TRAIN.format(limit=8))
    said = tuned(folder)
    assert "DEVICE_BATCH_SIZE = 8 " in (folder / "train.py").read_text()
    assert any("16  out of memory" in line for line in said)


def test_a_dry_run_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    train = TRAIN.format(limit=8)
    folder = folder_with(tmp_path, train)
    assert "DEVICE_BATCH_SIZE = 8" in tuned(folder, dry_run=True)[-1]
    assert (folder / "train.py").read_text() == train


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"import time\n": "import time\nraise ValueError('broken by hand')\n"}, "ValueError: broken by hand"),
        ({"DEVICE_BATCH_SIZE = 4": "DEVICE_BATCH_SIZE = int('4')"}, "no line `DEVICE_BATCH_SIZE = NUMBER`"),
        ({"TOTAL_BATCH_SIZE = 2**9": "TOTAL_BATCH_SIZE = 2**"}, "train.py:4: invalid syntax"),
        ({"trial.ready()": "raise SystemExit"}, "it ended without a word"),
        ({"{limit}": "0"}, "no size fits: out of memory"),
    ],
)
def test_a_train_py_that_cannot_be_measured_is_one_line(edit: Mapping[str, str], said: str, tmp_path: Path) -> None:
    train = TRAIN
    for old, new in edit.items():
        train = train.replace(old, new)
    folder = folder_with(tmp_path, train.replace("{limit}", "99"))
    with pytest.raises(BadInput) as refusal:
        tuned(folder)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert (folder / "train.py").read_text() == train.replace("{limit}", "99")


def test_a_trial_that_never_trains_ends_with_the_time(tmp_path: Path) -> None:
    train = TRAIN.format(limit=99).replace("trial.ready()", "while True: time.sleep(1)")
    order = rehearsal.Order(
        folder_with(tmp_path, train), train, "cpu", {"sequence_length": 32, "vocab_size": 512}, 4, 1.0, time.monotonic()
    )
    report = rehearsal.rehearse(order, tmp_path / "scratch")
    assert report.steps == ()
    assert "--seconds" in tune.judged(report, 4, 512, CPU).trouble
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def test_an_edit_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, TRAIN.format(limit=8))

    def edit(line: str) -> None:
        (folder / "train.py").write_text("# mine\n")

    with pytest.raises(BadInput, match="edited in the meantime"):
        tune.tune(folder, CPU, 60.0, edit, train_seconds=0.2)
    assert (folder / "train.py").read_text() == "# mine\n"


def test_the_reference_train_py_can_be_tuned(tmp_path: Path) -> None:
    profile = dataclasses.replace(PROFILES["cpu"], depth=1, total_batch_size=64, device_batch_size=1)
    scaffold.write(Path(backends.cuda.__file__).parent, tmp_path / "cuda", profile)
    (tmp_path / "cuda" / "task.toml").write_text(TASK.replace("= 32", "= 64"))
    said = tuned(tmp_path / "cuda")
    rows, tokens_per_second, memory_mb, mfu = said[2].split()
    assert (rows, mfu) == ("1", "unknown")
    assert float(tokens_per_second.replace(",", "")) > 0
    assert float(memory_mb.replace(",", "")) > 100
    assert said[-1].startswith("DEVICE_BATCH_SIZE = 1 stays")  # a step is one row, so there is no other size


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_finds_the_task_and_prints_a_table(tmp_path: Path) -> None:
    folder_with(tmp_path, TRAIN.format(limit=8))
    done = autoresearch("tune", "--device", "cpu", "--seconds", "5", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tokens/s" in done.stdout
    assert "DEVICE_BATCH_SIZE = " in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "there is no task.toml"), (("--backend", "jax"), "--backend jax"), (("--device", "cuda:9"), "cuda:9")],
)
def test_bad_words_are_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    if words and words[0] == "--device":
        folder_with(tmp_path, TRAIN.format(limit=8))
    done = autoresearch("tune", *words, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_a_device_in_use_is_not_measured(tmp_path: Path) -> None:
    folder_with(tmp_path, TRAIN.format(limit=8))
    with lock_device("cpu", "cpu", "/somewhere/run-1"):
        done = autoresearch("tune", "--device", "cpu", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "in use by another run" in done.stderr
    assert "/somewhere/run-1" in done.stderr


def test_an_interrupt_ends_it_cleanly(tmp_path: Path) -> None:
    folder_with(tmp_path, TRAIN.format(limit=99).replace("trial.ready()", "trial.ready(); time.sleep(3600)"))
    argv = [str(Path(sys.executable).parent / "autoresearch"), "tune", "--device", "cpu", "--seconds", "300"]
    output = tmp_path / "output"
    with output.open("w") as file:
        command = subprocess.Popen(argv, cwd=tmp_path, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    process = psutil.Process(command.pid)
    until(lambda: any("train.py" in p.cmdline() for p in process.children(recursive=True) if p.is_running()))
    started = process.children(recursive=True)
    os.kill(command.pid, signal.SIGINT)
    assert command.wait(timeout=30) == 130
    assert output.read_text().splitlines()[-1] == "stopped; nothing was changed"
    assert not psutil.wait_procs(started, timeout=10)[1]


# --- the choice ------------------------------------------------------------------------------------------------------


def chosen(
    rates: Mapping[int, float | str], rows: int, total: int = 2**19, limit: float = 1e9
) -> tuple[int, list[int]]:
    """The size that is taken where these are the rates (or the trouble), and the sizes that were tried for it."""
    tried = []

    def measure(size: int) -> Measured:
        tried.append(size)
        rate = rates[size]
        return Measured(size, trouble=rate) if isinstance(rate, str) else Measured(size, rate)

    return tune.search(Sizes(rows, total, 2048), measure, limit).rows, tried


OOM = "out of memory"


@pytest.mark.parametrize(
    ("rates", "rows", "expected"),
    [
        ({64: 100, 128: 150, 256: 160}, 64, (256, [64, 128, 256, 64])),  # 256 rows are a whole step
        ({64: 100, 128: 101, 32: 99}, 64, (64, [64, 128, 32])),  # what is hardly faster is noise
        ({64: 100, 128: OOM, 32: 90}, 64, (64, [64, 128, 32])),
        ({64: 100, 128: 80, 32: 120, 16: 110}, 64, (32, [64, 128, 32, 16, 64])),
        ({64: OOM, 32: OOM, 16: 50, 8: 40}, 64, (16, [64, 32, 16, 8])),
    ],
)
def test_the_search_goes_where_it_gets_faster(
    rates: Mapping[int, float | str], rows: int, expected: tuple[int, list[int]]
) -> None:
    assert chosen(rates, rows) == expected


def test_a_winner_has_to_win_twice() -> None:
    rates = iter([100.0, 150.0, 90.0, 149.0])  # 64 was slow by chance the first time

    def measure(size: int) -> Measured:
        return Measured(size, next(rates))

    assert tune.search(Sizes(64, 2**19, 2048), measure, 1e9).rows == 64


def test_no_other_size_is_begun_when_the_time_is_over() -> None:
    assert chosen({64: 100}, 64, limit=0.0) == (64, [64])


def test_only_sizes_that_make_whole_steps_are_tried() -> None:
    assert chosen({48: 100, 96: 150, 24: 90}, 48, total=96 * 2048) == (96, [48, 96, 48])


def test_the_total_is_changed_only_where_it_must_be() -> None:
    assert tune.whole_steps(Sizes(8, 4096, 256)).total == 4096
    assert tune.whole_steps(Sizes(48, 2**18, 2048)).total == 48 * 2048 * 3
    assert tune.whole_steps(Sizes(8, 4096, 2048)).total == 8 * 2048


def test_a_size_that_leaves_no_room_does_not_fit() -> None:
    card = Device("cuda", "NVIDIA Card", 24_564)
    steps = ((0.0, 0), (5.0, 1), (6.0, 2), (9.0, 5))  # the first step warms up and does not count
    assert tune.judged(rehearsal.Report(steps, 20_000.0), 64, 1000, card).tokens_per_second == 1000.0
    assert "out of memory" in tune.judged(rehearsal.Report(steps, 22_000.0), 64, 1000, card).trouble
