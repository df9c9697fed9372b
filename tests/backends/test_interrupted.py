"""A preparation of ClimbMix that is killed over and over, its shards damaged meanwhile, ends in the same rows."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.backends.hub_server import Fault, Hub, serving, shards
from tests.conftest import until

KILLS_WHILE_DOWNLOADING, KILLS_IN_ALL = 8, 20
LIMIT_SECONDS = 120
# What a preparation says when a stretch of its work begins, and how many kills fall into that stretch.
STRETCHES = {"training the tokenizer": 4, "tokenising": 5, "packing": 3}
WORDS = ("data", "prepare", "--dataset", "climbmix", "--shards", "3", "--profile", "cpu", "--device", "cpu")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return shards(3, 500)


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(files, tmp_path, monkeypatch) as server:
        yield server


def start(cache: Path) -> subprocess.Popen[str]:
    """The command, with a cache folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "backends.cuda", *WORDS],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cache.parent,
    )


def kill(process: subprocess.Popen[str]) -> bool:
    """kill -9; whether the preparation was still at work."""
    process.kill()
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode in (0, -9), output
    return process.returncode == -9


def undisturbed(cache: Path) -> tuple[dict[str, bytes], dict[str, float]]:
    """The rows of a preparation that nobody disturbs, and how many seconds each of its stretches takes."""
    began: dict[str, float] = {}
    with start(cache) as process:
        assert process.stdout
        for line in process.stdout:
            began |= {words: time.monotonic() for words in STRETCHES if line.startswith(words)}
    assert process.returncode == 0
    assert list(began) == list(STRETCHES)
    moments = [*began.values(), time.monotonic()]
    return rows(cache), {words: b - a for words, (a, b) in zip(began, pairwise(moments), strict=True)}


def rows(cache: Path) -> dict[str, bytes]:
    """Every file of the packed rows, by its path."""
    folder = cache / "autoresearch" / "rows"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*")}


def kill_while_downloading(hub: Hub, cache: Path, luck: random.Random) -> bool:
    """Kill a preparation once some more of a shard has come and the server hangs."""
    data = cache / "autoresearch" / "data"
    for name in hub.files:
        hub.clear("bytes", name)
        hub.then("bytes", name, Fault(hang=luck.randrange(1, 10_000)))
    name = luck.choice(sorted(hub.files))
    more = luck.randrange(1, len(hub.files[name]) // KILLS_WHILE_DOWNLOADING - 10_000)
    hub.clear("bytes", name)
    hub.then("bytes", name, Fault(hang=more))
    before = arrived(data, name)
    process = start(cache)
    until(lambda: arrived(data, name) == before + more, LIMIT_SECONDS)
    return kill(process)


def arrived(data: Path, name: str) -> int:
    """How many bytes of a shard are there, under a name that is not its final one."""
    return sum(path.stat().st_size for path in data.glob(f"{name}.*.partial"))


def kill_after(words: str, seconds: float, cache: Path) -> bool:
    """Kill a preparation some time after it said these words, or a later stretch's."""
    process = start(cache)
    assert process.stdout
    later = tuple(STRETCHES)[tuple(STRETCHES).index(words) :]
    for line in process.stdout:
        if line.startswith(later):
            break
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return kill(process)
    process.communicate()
    return False


def truncate(path: Path, luck: random.Random) -> None:
    os.truncate(path, luck.randrange(path.stat().st_size))


def overwrite(path: Path, luck: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(luck.randrange(1000, path.stat().st_size - 2000))
        file.write(luck.randbytes(500))


def test_twenty_kills_and_two_damaged_shards_change_no_byte_of_the_rows(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    expected, seconds = undisturbed(tmp_path / "calm")
    cache = tmp_path / "cache"
    data = cache / "autoresearch" / "data"
    luck = random.Random(20)

    kills = sum(kill_while_downloading(hub, cache, luck) for _ in range(KILLS_WHILE_DOWNLOADING))
    assert kills == KILLS_WHILE_DOWNLOADING
    for name in files:
        hub.clear("bytes", name)

    assert any(request.start for request in hub.of("bytes"))  # what had come was not fetched again
    first, second = luck.sample(sorted(files), 2)
    damages = {13: (first, truncate), 17: (second, overwrite)}
    plan = [words for words, count in STRETCHES.items() for _ in range(count)]
    share = 1.0
    while plan:
        if not kill_after(plan[0], luck.uniform(0, share * seconds[plan[0]]), cache):
            shutil.rmtree(cache / "autoresearch" / "rows")  # it was done before: take the rows away, and aim earlier
            share /= 2
            assert share > 2**-12
            continue
        kills, share = kills + 1, 1.0
        plan.pop(0)
        if kills in damages:
            name, damage = damages[kills]
            assert (data / name).stat().st_size == len(files[name])
            damage(data / name, luck)
    assert kills == KILLS_IN_ALL

    process = start(cache)
    said, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, said
    assert rows(cache) == expected
    assert {path.name for path in data.glob("*.corrupt")} == {f"{first}.corrupt", f"{second}.corrupt"}
    assert {name: (data / name).read_bytes() for name in files} == files
    assert not [*cache.rglob("*.partial")]
