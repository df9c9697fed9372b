"""`autoresearch web` as a user starts it, and a client that speaks to it without a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pyte

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
LIMIT = 60.0


class Served:
    """The command at work: the URL that it printed, taken apart, and the processes that it has started."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        found = re.fullmatch(r"(http://[^/]+)/\?token=([\w-]{43})", url)
        assert found, url
        self.root, self.token = found[1], found[2]

    @property
    def pages(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Served]:
    """`autoresearch web` for this run, on a free port."""
    workspace = ("--workspace", str(folder.parent.parent)) if folder.parent.name == ".autoresearch" else ()
    process = subprocess.Popen(
        [AUTORESEARCH, "web", folder.name, *workspace, "--port", "0", *flags],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder.parent,
    )  # fmt: skip
    assert process.stdout is not None
    pages: list[psutil.Process] = []
    try:
        url = process.stdout.readline().strip()
        served = Served(process, url)
        yield served
        if process.poll() is None:
            pages = served.pages
    finally:
        process.kill()
        process.communicate()
        for page in pages:
            with suppress(psutil.NoSuchProcess):
                page.kill()


class Client:
    """One page, as far as the server can tell."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self.screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self.screen)
        self.told: list[list[object]] = []
        self.dismissed: int | None = None  # the code of the server's last word

    @property
    def shown(self) -> str:
        return "\n".join(self.screen.display)

    async def press(self, keys: str) -> None:
        await self.websocket.send_json(["stdin", keys])

    async def until(self, what: Callable[[], bool]) -> None:
        """Take what the server sends until something is so."""
        deadline = time.monotonic() + LIMIT
        while not what():
            assert time.monotonic() < deadline, f"it did not happen in time:\n{self.shown}"
            with suppress(TimeoutError):
                message = await self.websocket.receive(timeout=0.2)
                if message.type is aiohttp.WSMsgType.CLOSE:
                    self.dismissed = message.data
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._stream.feed(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self.told.append(json.loads(message.data))
                elif not what():
                    raise AssertionError(f"the server closed the page: {message}")


@asynccontextmanager
async def let_in(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """What a browser is after it has opened the URL: it has the cookie."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.get(url) as answer:
            assert answer.status == 200
        yield http


@asynccontextmanager
async def page(http: aiohttp.ClientSession, root: str) -> AsyncIterator[Client]:
    async with http.ws_connect(f"{root}/ws?width=100&height=30", headers={"Origin": root}) as websocket:
        yield Client(websocket)
