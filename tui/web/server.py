"""The server of `autoresearch web`: textual-serve's pages and packets behind a door of our own.

Each open page has a process of its own (`tui.web.process`), which ends with it.
"""

from __future__ import annotations

import asyncio
import html
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

import textual_serve
from aiohttp import web
from textual_serve.server import Server, to_int

from core.errors import UsageError
from tui import config
from tui.themes import THEMES
from tui.web.door import Door, headers
from tui.web.downloads import Downloads
from tui.web.process import PageProcess, cells

PAGES = 8  # open at once
FULL, OVER = 1013, 1001  # how a websocket is closed: no process left for it; the server ends
_FREE_SECONDS = 3.0  # in which the process of a page that is loaded anew makes room
_MOST_BYTES = 1 << 20  # of one message from a browser
_OURS, _THEIRS = files("tui.web") / "page", files(textual_serve) / "static"
STATIC = {
    "page.css": _OURS / "page.css",
    "page.js": _OURS / "page.js",
    "icon.svg": _OURS / "icon.svg",
    "xterm.css": _THEIRS / "css/xterm.css",
    "textual.js": _THEIRS / "js/textual.js",
    "mono.ttf": _THEIRS / "fonts/RobotoMono-VariableFont_wght.ttf",
    "mono-italic.ttf": _THEIRS / "fonts/RobotoMono-Italic-VariableFont_wght.ttf",
}  # nothing else is given out: not a folder, but these
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".ttf": "font/ttf"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CockpitServer(Server):
    """The cockpit of one run in browsers. Of textual-serve's server the downloads are left; it has no door, asks fonts
    of another server, hands a command to a shell, and knows no limit."""

    def __init__(self, run_folder: Path, door: Door, *, control: bool, pages: int = PAGES) -> None:
        self.argv = (sys.executable, "-P", "-m", "tui.web.cockpit", str(run_folder), "control" if control else "look")
        super().__init__(shlex.join(self.argv), title=f"{run_folder.name} · autoresearch")
        self.download_manager = Downloads()
        self.door, self.pages = door, pages
        self.cookie = "autoresearch"
        self._free = asyncio.Semaphore(pages)
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """All routes; each behind the door."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self.index),
                web.get("/ws", self.terminal),
                web.get("/static/{name}", self.static),
                web.get("/download/{key}", self.download),
            ]
        )
        app.on_response_prepare.append(_armour)
        app.on_shutdown.append(self.on_shutdown)
        return app

    async def listen(self, host: str, port: int | None) -> tuple[web.AppRunner, int]:
        """Begin to serve; the port it came to be. None: 8000, or a free one where that is taken. Raises UsageError."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=5.0)  # a log would hold the token
        await runner.setup()
        try:
            for wanted in (8000, 0) if port is None else (port,):
                try:
                    await web.TCPSite(runner, host, wanted).start()
                except OSError as error:
                    trouble = error
                else:
                    bound = int(runner.addresses[0][1])
                    self.cookie = f"autoresearch-{bound}"  # cookies know hosts, not ports
                    return runner, bound
            raise UsageError(_cannot_listen(host, port, trouble))
        except BaseException:
            await runner.cleanup()
            raise

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self.door.refusal(request.headers, request.query.get("token"), request.cookies.get(self.cookie))
        if refusal:
            return web.Response(status=403, text=f"{refusal}\n")
        return await handler(request)

    async def index(self, request: web.Request) -> web.Response:
        """The page; from here on the cookie opens the door, and the page takes the token out of the address."""
        ground = THEMES[config.load(set(THEMES)).theme].variables["ground"]
        told = {"title": self.title, "ground": ground if ground.startswith("#") else "#000000"}
        page = (_OURS / "page.html").read_text(encoding="utf-8")
        for name, words in told.items():
            page = page.replace(f"{{{name}}}", html.escape(words))
        response = web.Response(text=page, content_type="text/html")
        response.set_cookie(self.cookie, self.door.pass_word, httponly=True, samesite="Strict", path="/")
        return response

    async def static(self, request: web.Request) -> web.Response:
        """One of the files that the page consists of."""
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        return web.Response(body=STATIC[name].read_bytes(), content_type=_TYPES[Path(name).suffix])

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file of a page's process. One that does not come whole breaks off, so that the browser knows."""
        try:
            return await self.handle_download(request)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPGatewayTimeout from None

    async def terminal(self, request: web.Request) -> web.WebSocketResponse:
        """The cockpit of one page, from its first cell until page, process or server ends."""
        websocket = web.WebSocketResponse(heartbeat=15, timeout=2.0, max_msg_size=_MOST_BYTES)
        await websocket.prepare(request)
        self._open.add(websocket)
        try:
            async with asyncio.timeout(_FREE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            words = f"no page is left: each takes a process, and {self.pages} at once is the limit; close one"
            await websocket.close(code=FULL, message=words.encode())
        else:
            try:
                await self._serve(websocket, request)
            finally:
                self._free.release()
        finally:
            self._open.discard(websocket)
        return websocket

    async def _serve(self, websocket: web.WebSocketResponse, request: web.Request) -> None:
        process = PageProcess(self.argv, websocket, self.download_manager)
        try:
            await process.start(*(cells(to_int(request.query.get(n, ""), 80)) for n in ("width", "height")))
            async for message in websocket:
                await process.hear(message)
        finally:
            await process.stop()

    async def on_shutdown(self, app: web.Application) -> None:
        await asyncio.gather(*(w.close(code=OVER, message=b"the server has ended") for w in self._open))


async def _armour(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer's headers; to a refused name, those of no name."""
    response.headers.update(headers("" if response.status == 403 else request.host))


def _cannot_listen(host: str, port: int | None, error: OSError) -> str:
    mend = "choose another with --port" if port else "name an address of this machine with --host"
    return f"cannot listen on {host}{f' port {port}' if port else ''}: {error.strerror or error}; {mend}"


async def serve(server: CockpitServer, host: str, port: int | None, listening: Callable[[int], None]) -> None:
    """Serve until Ctrl-C. `listening` is told the port once pages can be opened."""
    runner, bound = await server.listen(host, port)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    try:
        listening(bound)
        await over.wait()
    finally:
        await runner.cleanup()
