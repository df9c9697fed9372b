"""A hub on loopback for tests: resolve addresses that lead to another host for the bytes, and faults by script."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from backends.reference import climbmix, corpus
from backends.reference.datasets import Dataset
from backends.reference.hub import Patience

REPOSITORY = "karpathy/climbmix-400b-shuffle"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Fault:
    """What one answer does instead of its duty.

    status: is answered, with these headers. cut, hang: after so many bytes. wrong: these bytes are sent.
    ignores_range: everything is sent, from the start.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: int | None = None
    wrong: bytes | None = None
    ignores_range: bool = False


@dataclass(frozen=True)
class Request:
    """One that came in; kind: "look up" (HEAD), "resolve" (GET of the address) or "bytes" (GET at the other host)."""

    kind: str
    name: str
    headers: Mapping[str, str]

    @property
    def start(self) -> int:
        """The first byte it asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", "bytes=0-"))
        assert found
        return int(found[1])


class Hub:
    """Serves `files` until closed. It has two addresses, `endpoint` and the one its redirects lead to."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.sends_digests = True
        self.size_of: dict[str, int] = {}  # where the server is to say another size than there is
        self.requests: list[Request] = []
        self.hanging = threading.Event()  # set once some answer hangs
        self.closing = threading.Event()
        self._faults: dict[tuple[str, str], deque[Fault]] = defaultdict(deque)
        self._servers = [self._serve(), self._serve()]
        self.endpoint, self.bytes_address = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def _serve(self) -> ThreadingHTTPServer:
        hub = self

        class Handler(_Handler):
            served = hub

        server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def then(self, kind: str, name: str, *faults: Fault) -> None:
        """The next answers of this kind for this file go wrong; after them all is well."""
        self._faults[kind, name].extend(faults)

    def clear(self, kind: str, name: str) -> None:
        """All is well from now on."""
        self._faults[kind, name].clear()

    def fault(self, kind: str, name: str) -> Fault:
        queue = self._faults[kind, name]
        return queue.popleft() if queue else Fault()

    def of(self, kind: str, name: str | None = None) -> list[Request]:
        return [one for one in self.requests if one.kind == kind and name in (None, one.name)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or hung up on us, is what the tests are about: anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._resolve("look up")

    def do_GET(self) -> None:
        if "/resolve/" in self.path:
            self._resolve("resolve")
        else:
            self._bytes()

    def _begin(self, kind: str, name: str) -> Fault | None:
        """Note the request; None where its answer is over already."""
        self.served.requests.append(Request(kind, name, {k.lower(): v for k, v in self.headers.items()}))
        fault = self.served.fault(kind, name)
        if fault.status is not None:
            self._answer(fault.status, dict(fault.headers), b"no\n" if self.command == "GET" else b"")
            return None
        if fault.hang == 0:
            self._hang()
            return None
        return fault

    def _resolve(self, kind: str) -> None:
        name = urlsplit(self.path).path.removeprefix(f"/datasets/{REPOSITORY}/resolve/main/")
        if self._begin(kind, name) is None:
            return
        content = self.served.files.get(name)
        if content is None:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        digest = hashlib.sha256(content if self.served.sends_digests else b"revision").hexdigest()
        headers = {
            "Location": f"{self.served.bytes_address}/lfs/{name}?signature=1",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(self.served.size_of.get(name, len(content))),
            "X-Linked-Etag": f'"{digest if self.served.sends_digests else digest[:32]}"',
        }
        self._answer(302, headers)

    def _bytes(self) -> None:
        name = urlsplit(self.path).path.removeprefix("/lfs/")
        fault = self._begin("bytes", name)
        if fault is None:
            return
        content = self.served.files.get(name) if fault.wrong is None else fault.wrong
        if content is None:
            self._answer(404, {})
            return
        start = 0 if fault.ignores_range else self.served.requests[-1].start
        part = content[start:]
        ranged = "Range" in self.headers and not fault.ignores_range
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if ranged else {}
        self.send_response(206 if ranged else 200)
        for header, value in {**span, "Content-Length": str(len(part)), "ETag": '"of-the-store"'}.items():
            self.send_header(header, value)
        self.end_headers()
        end = min((n for n in (fault.cut, fault.hang) if n is not None), default=len(part))
        self.wfile.write(part[:end])
        if fault.hang is not None:
            self._hang()
        elif fault.cut is not None:
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def _hang(self) -> None:
        self.wfile.flush()
        self.served.hanging.set()
        self.served.closing.wait(60)
        self.close_connection = True


# --- real text -------------------------------------------------------------------------------------------------------


class Library:
    """Documents of the standard library: its files, cut at blank lines before definitions."""

    @cached_property
    def documents(self) -> list[str]:
        return [piece for source in corpus.stdlib() for piece in self._pieces(source.text)]

    @staticmethod
    def _pieces(text: str) -> Iterator[str]:
        held = ""
        for piece in re.split(r"(?<=\n\n)(?=def |class |@|#)", text):
            held += piece
            if len(held) > 400:
                yield held
                held = ""
        if held:
            yield held


def parquet(texts: list[str], row_group: int = 200) -> bytes:
    """The bytes of a parquet file with these texts in its column `text`."""
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), target, row_group_size=row_group)
    return target.getvalue()


def shards(count: int, documents_each: int = 300) -> dict[str, bytes]:
    """So many training shards and the validation shard, by name."""
    library = Library().documents
    names = [f"shard_{number:05d}.parquet" for number in (*range(count), 6542)]
    return {name: parquet(library[i * documents_each : (i + 1) * documents_each], 150) for i, name in enumerate(names)}


# --- a download from it ----------------------------------------------------------------------------------------------

FIRST, SECOND, LAST = "shard_00000.parquet", "shard_00001.parquet", "shard_06542.parquet"
QUICK = Patience(
    tries=3, connect_tries=2, wait_seconds=0.01, longest_wait_seconds=0.05, read_seconds=0.3, least_bytes=1000
)


@contextmanager
def serving(files: Mapping[str, bytes], home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process and its children find; `home` is where they would look for the original's shards."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server
        huggingface_hub.close_session()


def find(lines: list[str] | None = None, patience: Patience = QUICK) -> Dataset:
    """Two training shards and the validation shard; lines: gets what the user would read."""
    return climbmix.find(2, (lines if lines is not None else []).append, patience)


def whole(files: Mapping[str, bytes], found: Dataset) -> bool:
    """Whether all shards are there with the server's bytes, under their names, and nothing half-done beside them."""
    there = {shard.name: shard.path.read_bytes() for shard in (*found.training, *found.validation)}
    return there == files and not list(climbmix.data_folder().glob("*.partial"))
