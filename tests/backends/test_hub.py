"""Downloading ClimbMix: from a real server on loopback that cuts, hangs, refuses and lies."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.reference import climbmix, datasets, meter
from backends.reference.climbmix import data_folder
from backends.reference.corpus import BadInput
from tests.backends.hub_server import FIRST, LAST, QUICK, SECOND, Fault, Hub, find, serving, shards, whole
from tests.conftest import until


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return shards(2)


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(files, tmp_path, monkeypatch) as server:
        yield server


# --- what it is for --------------------------------------------------------------------------------------------------


def test_shards_come_whole_and_a_second_start_asks_nobody(hub: Hub, files: dict[str, bytes]) -> None:
    found = datasets.find("climbmix", 2, lambda line: None)
    assert [shard.name for shard in found.training] == [FIRST, SECOND]
    assert [shard.name for shard in found.validation] == [LAST]
    assert whole(files, found)
    assert not found.cut
    assert len(hub.requests) == 3 * 3  # a look, the address, the bytes
    assert datasets.find("climbmix", 2, lambda line: None) == found
    assert len(hub.requests) == 9
    texts = [text for batch in datasets.documents(found.training[0].path) for text in batch]
    assert len(texts) == 300
    assert "def " in "".join(texts)


def test_more_shards_fetch_only_those_that_are_missing(hub: Hub) -> None:
    climbmix.find(1, lambda line: None, QUICK)
    find()
    assert [one.name for one in hub.of("bytes", SECOND)] == [SECOND]
    assert len(hub.of("bytes")) == 3


@pytest.mark.parametrize("shards", [0, 6543])
def test_a_number_of_shards_that_does_not_exist_is_refused(shards: int) -> None:
    with pytest.raises(BadInput, match="from 1 to 6,542"):
        climbmix.find(shards, lambda line: None)


def test_shards_in_the_originals_folder_are_used_where_they_are(hub: Hub, files: dict[str, bytes]) -> None:
    theirs = Path.home() / ".cache" / "autoresearch" / "data"
    theirs.mkdir(parents=True)
    (theirs / FIRST).write_bytes(files[FIRST])
    (theirs / SECOND).write_bytes(files[SECOND][:-100])
    lines: list[str] = []
    found = find(lines)
    assert [shard.path.parent for shard in found.training] == [theirs, data_folder()]
    assert (theirs / SECOND).stat().st_size == len(files[SECOND]) - 100  # not ours to touch
    assert any(str(theirs / SECOND) in line and "corrupt" in line for line in lines)
    assert whole(files, found)


def test_the_token_goes_to_the_hub_and_not_to_where_it_sends_us(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    find()
    assert all(one.headers.get("authorization") == "Bearer hf_secret" for one in hub.of("resolve"))
    assert not any("authorization" in one.headers for one in hub.of("bytes"))


def test_a_terminal_gets_a_bar_with_bytes_and_anything_else_gets_lines(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    os.set_blocking(seen, False)
    source = "from backends.reference import datasets; datasets.find('climbmix', 2, print)"
    command = [sys.executable, "-P", "-c", source]
    subprocess.run(command, stderr=terminal, stdout=subprocess.DEVNULL, timeout=60, check=True)
    assert re.search(rb"climbmix: 100%.*[\d.]+[kM]/[\d.]+[kM].*B/s", os.read(seen, 2**16))
    os.close(terminal)
    os.close(seen)

    monkeypatch.setattr(meter, "LINE_EVERY_SECONDS", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    hub.then("bytes", FIRST, Fault(hang=30_000))  # long enough for a line or two
    lines: list[str] = []
    find(lines)
    assert any(re.fullmatch(r"climbmix: [\d.]+ of [\d.]+ MB", line) for line in lines)


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_a_transfer_cut_many_times_goes_on_where_it_was(hub: Hub, files: dict[str, bytes]) -> None:
    hub.then("bytes", FIRST, *[Fault(cut=20_000)] * 4)
    assert whole(files, find())
    assert [one.start for one in hub.of("bytes", FIRST)] == [0, 20_000, 40_000, 60_000, 80_000]


def test_a_server_that_sends_everything_again_is_believed(hub: Hub, files: dict[str, bytes]) -> None:
    hub.then("bytes", FIRST, Fault(cut=20_000), Fault(ignores_range=True))
    assert whole(files, find())
    assert len(hub.of("bytes", FIRST)) == 2


def test_a_process_killed_in_the_middle_leaves_what_the_next_one_goes_on_with(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.then("bytes", SECOND, Fault(hang=30_000))
    source = "from backends.reference import datasets; datasets.find('climbmix', 2, print)"
    process = subprocess.Popen([sys.executable, "-P", "-c", source], stdout=subprocess.DEVNULL, cwd=tmp_path)
    until(lambda: any(path.stat().st_size == 30_000 for path in data_folder().glob(f"{SECOND}.*.partial")))
    process.kill()
    process.wait(10)
    assert not (data_folder() / SECOND).exists()
    assert whole(files, find())
    assert [one.start for one in hub.of("bytes", SECOND)] == [0, 30_000]


def test_an_interrupt_does_not_wait_for_a_server_that_hangs(hub: Hub, tmp_path: Path) -> None:
    for name in hub.files:
        hub.then("bytes", name, Fault(hang=10_000))
    environment = {**os.environ, "HF_HUB_DOWNLOAD_TIMEOUT": "600"}
    words = ["data", "prepare", "--dataset", "climbmix", "--shards", "2"]
    command = [sys.executable, "-P", "-m", "backends.cuda", *words]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        until(lambda: [path.stat().st_size for path in data_folder().glob("*.partial")] == [10_000] * 3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(said.splitlines()) == 1


def test_what_was_left_of_another_version_is_not_gone_on_with(hub: Hub, files: dict[str, bytes]) -> None:
    hub.then("bytes", FIRST, Fault(cut=20_000), *[Fault(status=404)])
    with pytest.raises(BadInput):
        find()
    assert list(data_folder().glob(f"{FIRST}.*.partial"))
    hub.files[FIRST] = files[SECOND]
    assert whole({**files, FIRST: files[SECOND]}, find())
    assert [one.start for one in hub.of("bytes", FIRST)] == [0, 20_000, 0]


# --- shards that are not whole ---------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 0xFF]))


def rename_column(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"text", b"tax!"))


@pytest.mark.parametrize("damage", [truncate, flip, rename_column])
def test_a_damaged_shard_is_named_moved_aside_and_fetched_again(
    hub: Hub, files: dict[str, bytes], damage: object
) -> None:
    path = find().training[1].path
    damage(path)  # type: ignore[operator]
    damaged = path.read_bytes()
    lines: list[str] = []
    assert whole(files, find(lines))
    assert any(re.search(rf"{re.escape(str(path))}: corrupt: .*fetching it again", line) for line in lines)
    assert path.with_name(path.name + ".corrupt").read_bytes() == damaged
    assert len(hub.of("bytes")) == 4


def test_a_shard_that_comes_corrupt_once_is_fetched_again(hub: Hub, files: dict[str, bytes]) -> None:
    flipped = bytearray(files[FIRST])
    flipped[5000] ^= 0xFF
    hub.then("bytes", FIRST, Fault(wrong=bytes(flipped)))
    lines: list[str] = []
    assert whole(files, find(lines))
    assert any(FIRST in line and "came corrupt" in line for line in lines)


@pytest.mark.parametrize("sends_digests", [True, False])
def test_a_shard_that_comes_corrupt_twice_ends_it(hub: Hub, files: dict[str, bytes], sends_digests: bool) -> None:
    hub.sends_digests = sends_digests  # without them the footer must tell
    hub.then("bytes", FIRST, *[Fault(wrong=bytes(len(files[FIRST])))] * 2)
    with pytest.raises(BadInput, match=f"{FIRST} came corrupt twice from {hub.endpoint}.*HF_ENDPOINT"):
        find()
    assert not (data_folder() / FIRST).exists()
    assert whole(files, find())


def test_a_shard_copied_by_hand_needs_no_server(files: dict[str, bytes], hub: Hub) -> None:
    data_folder().mkdir(parents=True)
    for name, content in files.items():
        (data_folder() / name).write_bytes(content)
    assert whole(files, find())
    assert not hub.requests
