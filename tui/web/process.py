"""One page's process, and what goes between it and the browser."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiohttp import WSMessage, WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from tui import text
from tui.watch import say

DRIVER = "tui.web.driver:PageDriver"
MOST_CELLS = 1000  # of a terminal's width or height
_END_SECONDS = 3.0
_COMPLAINT_BYTES = 16 * 1024
_FIRST_LINES = 10  # within which an app says that it is there


class PageProcess(AppService):
    """textual-serve's, but: started from a list of words and not through a shell, ended for certain, and with what it
    complains about made harmless before this terminal shows it."""

    def __init__(self, argv: Sequence[str], websocket: web.WebSocketResponse, downloads: DownloadManager) -> None:
        super().__init__(
            " ".join(argv),
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close,
            download_manager=downloads,
        )
        self._argv, self._websocket = argv, websocket
        self._left = False  # whether it is on its way out, and what it still writes is nobody's concern

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        return {
            **super()._build_environment(width, height),
            "TEXTUAL_DRIVER": DRIVER,
            "TERM": "xterm-256color",  # what the page is, whatever the server was started on
            "LC_ALL": "C.UTF-8",  # likewise
        }

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,  # Ctrl-C is for the server, which ends its pages in order
        )
        self._stdin = self._process.stdin
        return self._process

    async def _close(self) -> None:
        await self._websocket.close(message=b"left")

    async def hear(self, message: WSMessage) -> None:
        """Pass on what the browser sent; what is none of the page's own messages is passed over."""
        match _parse(message):
            case ["stdin", str(keys)]:
                await self.send_bytes(keys.encode("utf-8", "replace"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                await self.set_terminal_size(cells(width), cells(height))
            case ["focus"]:
                await self.focus()
            case ["blur"]:
                await self.blur()
            case ["ping", str(sent)]:
                await self.remote_write_str(json.dumps(["pong", sent[:32]]))

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        self._left = True
        process, task = self._process, self._task
        if process is None or task is None:
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.send_meta({"type": "quit"})
                await process.wait()
        except TimeoutError:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await asyncio.wait([task], timeout=1.0)
            task.cancel()

    async def run(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        complaining = asyncio.create_task(_end_of(process.stderr))
        try:
            if await _is_there(process.stdout):
                await self._pass_on(process.stdout)
        finally:
            complaint = await complaining
        if not self._left:
            for line in text.clean_lines(complaint.decode("utf-8", "replace")):
                say(line)
            say(f"a page's process ended by itself (exit status {await process.wait()})")
            await self._websocket.close(code=1011, message=b"ended")

    async def _pass_on(self, packets: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await packets.readexactly(5)
                payload = await packets.readexactly(int.from_bytes(head[1:], "big"))
                if self._left:
                    continue  # read on, so that the process does not wait for us while it ends
                try:
                    await self._handle(head[:1], payload)
                except ConnectionError:
                    self._left = True  # the browser is gone; whoever reads the websocket ends us

    async def _handle(self, kind: bytes, payload: bytes) -> None:
        if kind == b"D":
            await self.on_data(payload)
        elif kind == b"P":
            await self.on_packed(payload)
        elif (told := json.loads(payload).get("type")) in ("exit", "deliver_file_start"):
            self._left = self._left or told == "exit"
            await self.on_meta(payload)


def cells(wanted: int) -> int:
    """A terminal's width or height, within bounds."""
    return max(1, min(wanted, MOST_CELLS))


def _parse(message: WSMessage) -> Any:
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        return json.loads(message.data)
    except (ValueError, RecursionError):
        return None


async def _is_there(lines: asyncio.StreamReader) -> bool:
    """Whether the process begins as a Textual app does."""
    for _ in range(_FIRST_LINES):
        line = await lines.readline()
        if line == b"__GANGLION__\n":
            return True
        if not line:
            break
    return False


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The last that a stream brings."""
    last = b""
    while chunk := await stream.read(4096):
        last = (last + chunk)[-_COMPLAINT_BYTES:]
    return last
