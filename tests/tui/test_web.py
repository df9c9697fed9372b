"""`autoresearch web` without a browser: who is let in, what a page may do, and that no process outlives its page."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from conftest import autoresearch, lives, until
from driving import engine_of
from recorded_run import write_run
from serving import Served, let_in, page, serving
from textual.app import App

from core.errors import UsageError
from tui.cli import cli
from tui.web import downloads
from tui.web.door import door
from tui.web.driver import PageDriver
from tui.web.server import STATIC, CockpitServer


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "work" / ".autoresearch" / "nov20", 18)


@pytest.fixture
def served(run_folder: Path) -> Iterator[Served]:
    with serving(run_folder) as server:
        yield server


def gone(pages: list[psutil.Process]) -> bool:
    return not any(p.is_running() and lives(p.pid) for p in pages)


# --- the server


async def test_without_the_token_every_route_is_shut(served: Served) -> None:
    paths = ("/", "/?token=", f"/?token={served.token}x", "/static/textual.js", "/static/", "/ws", "/download/1", "/no")
    async with aiohttp.ClientSession(cookies={"autoresearch": "x"}) as http:
        for path in paths:
            for method in ("GET", "POST", "HEAD"):
                async with http.request(method, served.root + path) as answer:
                    assert (answer.status, path, method) == (403, path, method)
                    assert "set-cookie" not in answer.headers
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{served.root}/ws")
        assert refused.value.status == 403
        async with http.get(served.root) as answer:
            assert "open the whole URL" in await answer.text()
    assert served.pages == []


async def test_with_the_token_it_gives_the_page_and_a_cookie(served: Served) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.get(served.url) as answer:
            assert answer.status == 200
            told = await answer.text()
            cookie = next(iter(answer.cookies.values()))
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            policy = answer.headers["Content-Security-Policy"]
        assert "<title>nov20 · autoresearch</title>" in told
        assert "http" not in told, "nothing is linked that is not its own"
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert served.token not in (*told.splitlines(), cookie.value)
        assert "default-src 'none'" in policy
        assert served.root.replace("http", "ws") in policy
        for name in STATIC:
            async with http.get(f"{served.root}/static/{name}") as answer:
                assert answer.status == 200
                assert len(await answer.read()) > 100
        for path in ("/static/", "/static/server.py", "/static/..%2f..%2fcli.py", "/download/1", "/favicon.ico"):
            async with http.get(served.root + path) as answer:
                assert answer.status == 404


async def test_a_foreign_page_gets_no_terminal_with_the_users_cookie(served: Served) -> None:
    async with let_in(served.url) as http:
        for head in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{served.root}/ws", headers=head)
            assert refused.value.status == 403
    assert served.pages == []


# --- a page


async def test_a_page_shows_the_run_takes_keys_and_controls_nothing(served: Served, run_folder: Path) -> None:
    with engine_of(run_folder) as engine:
        async with let_in(served.url) as http, page(http, served.root) as it:
            await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            await it.press("?")
            await it.until(lambda: "select the baseline" in it.shown)
            await it.press("\x1b")
            await it.until(lambda: "select the baseline" not in it.shown)
            await it.press("ps")
            await it.until(lambda: "this page only looks" in it.shown)
            await it.press("o")
            await it.until(lambda: "no pager" in it.shown)
            await it.press("q")
            await it.until(lambda: it.websocket.closed)
            assert it.dismissed == 1000
        assert engine.heard == []
    until(lambda: served.pages == [])


async def test_with_control_a_key_reaches_the_engine(run_folder: Path) -> None:
    with engine_of(run_folder) as engine, serving(run_folder, "--control") as served:
        async with let_in(served.url) as http, page(http, served.root) as it:
            await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            await it.press("p")
            await it.until(lambda: engine.heard == ["pause"])


async def test_what_is_no_message_of_the_pages_changes_nothing(served: Served) -> None:
    junk = ["", "{}", "[", "[[]]", '["stdin"]', '["stdin", 1]', '["resize", {"width": "x"}]', '["quit"]', "[" * 9999]
    async with let_in(served.url) as http, page(http, served.root) as it:
        for message in junk:
            await it.websocket.send_str(message)
        await it.websocket.send_bytes(b'M\0\0\0\x0f{"type":"quit"}')
        await it.websocket.send_json(["ping", "7"])
        await it.until(lambda: ["pong", "7"] in it.told)
        await it.websocket.send_json(["resize", {"width": 10**9, "height": -1}])
        await it.websocket.send_json(["resize", {"width": 100, "height": 30}])
        await it.until(lambda: "best 2.2993 (#13)" in it.shown)
        assert len(served.pages) == 1


async def test_no_keys_resize_a_page(served: Served) -> None:
    async with let_in(served.url) as http, page(http, served.root) as it:
        await it.until(lambda: "best 2.2993 (#13)" in it.shown)
        for keys in ("\x1b[48;20000;20000;0;0t", "\x1b[48;20000", ";20000;0;0t", "\x1b[48;5;20;0;0t"):
            await it.press(keys)
        await it.press("?")
        await it.until(lambda: "select the baseline" in it.shown)
        assert served.pages[0].memory_info().rss < 400 * 2**20


async def test_a_picture_goes_to_the_browser_and_not_to_the_servers_disk(served: Served, run_folder: Path) -> None:
    before = sorted(run_folder.parent.iterdir())
    async with let_in(served.url) as http, page(http, served.root) as it:
        await it.until(lambda: "best 2.2993 (#13)" in it.shown)
        await it.press("S")
        await it.until(lambda: any(told[0] == "deliver_file_start" for told in it.told))
        key = next(told[1] for told in it.told if told[0] == "deliver_file_start")
        async with aiohttp.ClientSession() as stranger, stranger.get(f"{served.root}/download/{key}") as answer:
            assert answer.status == 403
        async with http.get(f"{served.root}/download/{key}") as answer:
            assert answer.headers["Content-Disposition"] == "attachment; filename=autoresearch-nov20.svg"
            assert "2.2993" in await answer.text()
        async with http.get(f"{served.root}/download/{key}") as answer:
            assert answer.status == 404, "once is enough"
    assert sorted(run_folder.parent.iterdir()) == before


async def test_a_download_ends_with_its_page(run_folder: Path) -> None:
    keeper = door(())
    server = CockpitServer(run_folder, keeper, control=False)
    runner, port = await server.listen("127.0.0.1", 0)
    root = f"http://127.0.0.1:{port}"
    try:
        async with let_in(f"{root}/?token={keeper.token}") as http:
            async with page(http, root) as it:
                await it.until(lambda: "best 2.2993 (#13)" in it.shown)
                await it.press("S")
                await it.until(lambda: any(told[0] == "deliver_file_start" for told in it.told))
                key = next(told[1] for told in it.told if told[0] == "deliver_file_start")
            async with page(http, root) as it:  # by now the first one's process has been stopped, or is being
                await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            async with http.get(f"{root}/download/{key}") as answer:
                assert answer.status == 404
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("ends", ["stalls", "dies"])
async def test_a_download_that_does_not_come_whole_does_not_pass_for_it(
    ends: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(downloads, "STALLED_SECONDS", 0.5 if ends == "stalls" else 60.0)
    keeper = door(())
    server = CockpitServer(run_folder, keeper, control=False)
    runner, port = await server.listen("127.0.0.1", 0)
    root = f"http://127.0.0.1:{port}"
    try:
        async with let_in(f"{root}/?token={keeper.token}") as http, page(http, root) as it:
            await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            await it.press("S")
            await it.until(lambda: any(told[0] == "deliver_file_start" for told in it.told))
            key = next(told[1] for told in it.told if told[0] == "deliver_file_start")
            (process,) = [p for p in psutil.Process().children() if "tui.web.cockpit" in p.cmdline()]
            process.send_signal(signal.SIGSTOP)
            answer = await http.get(f"{root}/download/{key}")
            if ends == "dies":
                process.kill()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
    finally:
        await runner.cleanup()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_pages_are_bounded_and_one_that_closes_makes_room(run_folder: Path) -> None:
    keeper = door(())
    server = CockpitServer(run_folder, keeper, control=False, pages=1)
    runner, port = await server.listen("127.0.0.1", 0)
    root = f"http://127.0.0.1:{port}"
    try:
        async with let_in(f"{root}/?token={keeper.token}") as http:
            async with page(http, root) as first:
                await first.until(lambda: "best 2.2993 (#13)" in first.shown)
                async with page(http, root) as second:
                    message = await second.websocket.receive()
                    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1013)
                    assert "1 at once is the limit" in message.extra
            async with page(http, root) as third:
                await third.until(lambda: "best 2.2993 (#13)" in third.shown)
    finally:
        await runner.cleanup()


async def test_a_process_that_breaks_down_is_told_of(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeper = door(())
    server = CockpitServer(run_folder, keeper, control=False)
    server.argv = (sys.executable, "-c", "raise SystemExit('\\x1b[2Jno such thing')")
    runner, port = await server.listen("127.0.0.1", 0)
    root = f"http://127.0.0.1:{port}"
    try:
        async with let_in(f"{root}/?token={keeper.token}") as http, page(http, root) as it:
            message = await it.websocket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
    finally:
        await runner.cleanup()
    assert capsys.readouterr().err.splitlines() == [
        "no such thing", "a page's process ended by itself (exit status 1)"
    ]  # fmt: skip


async def test_packets_of_two_threads_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual.drivers.web_driver.InputReader", lambda: None)
    come, go = os.pipe()
    driver = PageDriver(App())
    driver.fileno = go
    size, times = 300_000, 5  # several times what a pipe holds

    def send(letter: bytes) -> None:
        for _ in range(times):
            driver._write(letter * size)

    def packets() -> list[bytes]:
        with open(come, "rb") as pipe:
            return [pipe.read(size) for _ in range(2 * times)]

    sending = (asyncio.to_thread(send, letter) for letter in (b"a", b"b"))
    came, *_ = await asyncio.gather(asyncio.to_thread(packets), *sending)
    os.close(go)
    assert sorted(map(set, came), key=sorted) == [{ord("a")}] * times + [{ord("b")}] * times


# --- processes end


async def test_a_process_ends_with_its_page(served: Served) -> None:
    async with let_in(served.url) as http:
        async with page(http, served.root) as it:
            await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            pages = served.pages
            assert len(pages) == 1
        until(lambda: gone(pages))


async def test_a_process_that_does_not_listen_ends_with_its_page(served: Served) -> None:
    async with let_in(served.url) as http:
        async with page(http, served.root) as it:
            await it.until(lambda: "best 2.2993 (#13)" in it.shown)
            pages = served.pages
            pages[0].send_signal(signal.SIGSTOP)
        until(lambda: gone(pages))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_processes_end_with_the_server(served: Served, number: signal.Signals) -> None:
    async with let_in(served.url) as http, page(http, served.root) as one, page(http, served.root) as two:
        await one.until(lambda: "best 2.2993 (#13)" in one.shown)
        await two.until(lambda: "best 2.2993 (#13)" in two.shown)
        pages = served.pages
        assert len(pages) == 2
        os.kill(served.process.pid, number)
        await one.until(lambda: one.websocket.closed)
        await two.until(lambda: two.websocket.closed)
        status = await asyncio.to_thread(served.process.wait, 30)
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        if number != signal.SIGKILL:
            assert (one.dismissed, two.dismissed) == (1001, 1001)
        until(lambda: gone(pages))


# --- the command


def test_it_says_what_can_be_reached_and_what_not(run_folder: Path) -> None:
    for flags, words in (((), "run nov20, to look at;"), (("--control",), "run nov20, to look at and to control;")):
        with serving(run_folder, *flags) as served:
            assert served.root.startswith("http://127.0.0.1:")
            served.process.send_signal(signal.SIGINT)
            said = served.process.communicate(timeout=30)[1]
            assert words in said
            assert "warning" not in said
    with serving(run_folder, "--host", "0.0.0.0") as served:
        served.process.send_signal(signal.SIGINT)
        assert "nothing is encrypted" in served.process.communicate(timeout=30)[1]


async def test_a_port_that_is_taken(run_folder: Path) -> None:
    server = CockpitServer(run_folder, door(()), control=False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {taken}: .*choose another with --port"):
            await server.listen("127.0.0.1", taken)
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.7: .*name an address of this machine"):
        await server.listen("203.0.113.7", None)
    first = await CockpitServer(run_folder, door(()), control=False).listen("127.0.0.1", None)
    second = await CockpitServer(run_folder, door(()), control=False).listen("127.0.0.1", None)
    assert second[1] not in (8000, first[1])
    for runner, _ in (first, second):
        await runner.cleanup()


def test_without_the_extra_it_names_it(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = ["web", "nov20", "--workspace", str(run_folder.parent.parent)]
    with pytest.raises(UsageError, match=r"pip install .*\[web\]'"):
        cli(words, standalone_mode=False)


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    done = autoresearch("web", cwd=tmp_path)
    assert done.returncode == 2
    assert "no run here yet" in done.stderr
