"""A real browser for tests: headless Chromium, spoken to in its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pyte

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--remote-debugging-port=0", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
)  # fmt: skip
LIMIT = 60.0


class Page:
    """One tab: every address it asks for, what its console says, and the terminal that its websocket paints."""

    def __init__(self, devtools: aiohttp.ClientWebSocketResponse) -> None:
        self._devtools, self._number = devtools, 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.frames = 0
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self._listening = asyncio.create_task(self._listen())

    async def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._devtools.send_json({"id": self._number, "method": method, "params": parameters})
        return await asyncio.wait_for(answer, LIMIT)

    async def open(self, url: str, size: tuple[int, int] = (1280, 800)) -> None:
        for domain in ("Network", "Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.resize(size)
        await self.call("Page.navigate", url=url)

    async def resize(self, size: tuple[int, int], mobile: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=mobile
        )

    async def press(self, key: str) -> None:
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def says(self, expression: str) -> Any:
        """What a JavaScript expression comes to in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def words(self) -> str:
        """What the page itself says over the terminal; empty while it shows the cockpit."""
        told = await self.says("document.getElementById('notice')?.hidden ? '' : document.body.innerText")
        return str(told or "")

    async def picture(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    @property
    def shown(self) -> str:
        """What the terminal in the page was given to show, by an emulator of our own."""
        return "\n".join(self.screen.display)

    async def until(self, what: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + LIMIT
        while True:
            told = what()
            if told if isinstance(told, bool) else await told:
                return
            assert time.monotonic() < deadline, f"it did not happen in time:\n{self.shown}\n{self.complaints}"
            await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        async for message in self._devtools:
            told = message.json()
            if "id" in told:
                if not (waiting := self._answers.pop(told["id"])).done():
                    waiting.set_result(told.get("result", {}))
                continue
            match told["method"], told["params"]:
                case "Network.requestWillBeSent", {"request": {"url": url}}:
                    self.requested.append(url)
                case "Network.webSocketCreated", {"url": url}:
                    self.requested.append(url)
                case "Network.webSocketFrameSent", {"response": {"payloadData": str(sent)}} if sent.startswith('["re'):
                    self._resized(sent)
                case "Network.webSocketFrameReceived", {"response": {"opcode": 2, "payloadData": data}}:
                    self.frames += 1
                    self._stream.feed(base64.b64decode(data))
                case "Log.entryAdded", {"entry": entry}:
                    self.complaints.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    self.complaints.append(str(details.get("exception", details)))

    def _resized(self, sent: str) -> None:
        import json

        size = json.loads(sent)[1]
        self.screen.resize(size["height"], size["width"])

    async def close(self) -> None:
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Callable[[], Awaitable[Page]]]:
    """A browser with a profile of its own; what it yields opens a tab, all of them in one and the same browser."""
    assert CHROMIUM is not None
    profile.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    pages: list[Page] = []
    try:
        port = await asyncio.wait_for(_port(process), LIMIT)
        async with aiohttp.ClientSession() as http:

            async def tab() -> Page:
                async with http.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    address = (await answer.json())["webSocketDebuggerUrl"]
                pages.append(Page(await http.ws_connect(address, max_msg_size=0)))
                return pages[-1]

            yield tab
            for page in pages:
                await page.close()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async for line in process.stderr:
        if line.startswith(b"DevTools listening on ws://"):
            return int(line.split(b":")[2].split(b"/")[0])
    raise AssertionError("Chromium ended before it listened")
