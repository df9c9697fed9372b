"""Downloads that fail: servers that refuse, hang or trickle, no server at all, a full disk, another process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from backends.reference.climbmix import data_folder
from backends.reference.corpus import BadInput
from backends.reference.hub import Patience
from tests.backends.hub_server import FIRST, LAST, SECOND, Fault, Hub, find, serving, shards, whole


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return shards(2)


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(files, tmp_path, monkeypatch) as server:
        yield server


# --- servers that refuse ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["look up", "resolve", "bytes"])
@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(status=503), Fault(status=429, headers={"Retry-After": "0"}), Fault(hang=0)],
    ids=["500", "503", "429", "hangs"],
)
def test_what_passes_is_tried_again(hub: Hub, files: dict[str, bytes], kind: str, fault: Fault) -> None:
    hub.then(kind, FIRST, fault, fault)
    patience = Patience(tries=3, wait_seconds=0.01, read_seconds=0.1, look_up_seconds=0.1)
    lines: list[str] = []
    assert whole(files, find(lines, patience))
    assert sum("trying again" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=404), "answered 404.*check HF_ENDPOINT"),
        (Fault(status=401), "answered 401.*HF_TOKEN"),
        (Fault(status=403), "answered 403.*HF_TOKEN"),
        (Fault(status=429, headers={"Retry-After": "1000"}), "answered 429.*try again in 1,000 s"),
        (Fault(status=429, headers={"RateLimit": '"resolvers"; r=0; t=77'}), "answered 429.*try again in 77 s"),
        (Fault(status=429, headers={"Retry-After": "Wed, 01 Jan 2200 00:00:00 GMT"}), r"429.*try again in [\d,]+ s"),
        (Fault(status=500), "answered 500.*try again.*or use other text"),
        (Fault(hang=0), "hangs.*try again"),
        (Fault(hang=50), "hangs.*try again"),
        (Fault(cut=0), "cut.*try again"),
    ],
    ids=["404", "401", "403", "429", "429 of the hub", "429 with a date", "500", "hangs", "hangs in the middle", "cut"],
)
def test_what_does_not_pass_is_one_line_with_the_mend(hub: Hub, fault: Fault, said: str) -> None:
    hub.then("bytes", FIRST, *[fault] * 20)
    with pytest.raises(BadInput, match=f"{FIRST} cannot be downloaded from {hub.endpoint}: .*{said}") as raised:
        find()
    assert "\n" not in str(raised.value)
    assert len(hub.of("bytes", FIRST)) <= 4


def test_a_file_the_repository_does_not_have_is_not_asked_for_twice(hub: Hub) -> None:
    del hub.files[LAST]
    with pytest.raises(BadInput, match=f"{LAST} cannot be downloaded.*404"):
        find()
    assert len(hub.of("look up", LAST)) == 1


def test_a_transfer_that_only_trickles_counts_as_cut(hub: Hub) -> None:
    trickle = Patience(tries=2, wait_seconds=0.01, slow_seconds=0.0, least_bytes=2**30)
    with pytest.raises(BadInput, match=r"transfer was cut \(only [\d,]+ bytes in"):
        find(patience=trickle)


def test_no_server_at_all_says_what_to_do_without(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.__exit__()
    mend = (
        f"copy the missing shards into {re.escape(str(data_folder()))}, or use other text: dataset = a path, or stdlib"
    )
    with pytest.raises(BadInput, match=f"no connection.*without a network {mend}") as raised:
        find()
    assert "\n" not in str(raised.value)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match=f"HF_HUB_OFFLINE.*{mend}"):
        find()


def test_an_endpoint_that_is_no_address_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "mirror.local")
    with pytest.raises(BadInput, match="must be an address"):
        find()


# --- the machine -----------------------------------------------------------------------------------------------------


def test_a_disk_too_small_is_said_before_a_byte_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(data_folder().parents[2]).f_bavail * os.statvfs(data_folder().parents[2]).f_frsize
    hub.size_of[SECOND] = free * 2
    with pytest.raises(BadInput, match=r"MB needed for 3 shards, [\d,]+ MB free; .*XDG_CACHE_HOME.*--shards"):
        find()
    assert not hub.of("bytes")


LIMITED = """
import resource, sys
from backends.reference import datasets
from backends.reference.corpus import BadInput
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    datasets.find("climbmix", 2, lambda line: None)
except BadInput as error:
    print(error)
"""


def test_a_disk_that_fills_up_is_said_and_the_next_start_goes_on(hub: Hub, files: dict[str, bytes]) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", LIMITED], capture_output=True, text=True, timeout=60)
    assert re.search(r"File too large: [\d.,]+ MB more needed, [\d.,]+ MB free.*goes on where it stopped", done.stdout)
    assert len(done.stdout.splitlines()) == 1, done.stderr
    assert whole(files, find())
    assert any(one.start for one in hub.of("bytes"))


def test_a_proxy_is_used(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    source = "from backends.reference import datasets; datasets.find('climbmix', 2, print)"
    names = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.endpoint, "NO_PROXY": ""}
    clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    command = [sys.executable, "-P", "-c", source]
    done = subprocess.run(command, env={**clean, **names}, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(one.headers["host"] == "hub.invalid" for one in hub.of("resolve"))
    assert whole(files, find())


def test_two_processes_at_once_fetch_every_shard_once(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.then("bytes", FIRST, Fault(hang=1000))
    source = "from backends.reference import datasets; datasets.find('climbmix', 2, print)"
    environment = {**os.environ, "HF_HUB_DOWNLOAD_TIMEOUT": "1", "PYTHONUNBUFFERED": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-P", "-c", source], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("waiting for it" in lines for lines in said) == 1
    assert whole(files, find())
    assert sorted(one.name for one in hub.of("bytes")) == sorted([FIRST, *files])
