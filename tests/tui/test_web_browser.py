"""The page of `autoresearch web` in a real browser: headless Chromium, listened to."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import CHROMIUM, Page, browser
from conftest import until
from driving import engine_of
from recorded_run import write_run
from serving import Served, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome")
COLOURS = """
new Set([...document.querySelectorAll("canvas")].flatMap((canvas) => {
  const context = canvas.getContext("2d");
  return context ? [...new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer)] : [];
})).size
"""


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "work" / ".autoresearch" / "nov20", 18)


@pytest.fixture
def served(run_folder: Path) -> Iterator[Served]:
    with serving(run_folder) as server:
        yield server


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Page]]]:
    async with browser(tmp_path / "profile") as open_tab:
        yield open_tab


async def painted(page: Page) -> bool:
    """Whether there is more on the page's canvas than a ground and one colour."""
    return bool(await page.says(COLOURS) > 20)


async def test_the_page_paints_takes_keys_and_asks_nobody_else(
    served: Served, run_folder: Path, tab: Callable[[], Awaitable[Page]]
) -> None:
    with engine_of(run_folder) as engine:
        page = await tab()
        await page.open(served.url)
        await page.until(lambda: "best 2.2993 (#13)" in page.shown)
        await page.until(lambda: painted(page))
        assert await page.words() == ""
        assert str(await page.says("document.title")).endswith(" 2.2993 #18 autoresearch")
        await page.press("?")
        await page.until(lambda: "select the baseline" in page.shown)
        await page.press("?")
        await page.until(lambda: "select the baseline" not in page.shown)
        await page.press("p")
        await page.until(lambda: "this page only looks" in page.shown)
        assert engine.heard == []
    assert await page.says("location.href") == f"{served.root}/", "the token is out of the address"
    assert await page.says("document.cookie") == "", "no script can read the cookie"
    assert await page.says('document.fonts.check("16px Roboto Mono")') is True
    assert {urlsplit(url).hostname for url in page.requested} == {"127.0.0.1"}
    assert {urlsplit(url).path for url in page.requested} >= {"/", "/ws", "/static/textual.js", "/static/mono.ttf"}
    assert [words for words in page.complaints if "WebGL" not in words] == []


async def test_what_is_sent_before_the_connection_is_there_waits_for_it(
    served: Served, tab: Callable[[], Awaitable[Page]]
) -> None:
    page = await tab()
    await page.open(served.url)
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    attempt = """(() => { const early = new WebSocket(location.origin.replace("http", "ws") + "/nowhere");
        try { early.send("x"); return "it waits"; } catch (error) { return error.name; } })()"""
    assert await page.says(attempt) == "it waits"


async def test_it_goes_nowhere_even_when_told_to(served: Served, tab: Callable[[], Awaitable[Page]]) -> None:
    page = await tab()
    await page.open(served.url)
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    for attempt in (
        'fetch("http://203.0.113.7/").then(() => "out", () => "kept in")',
        'new Promise((r) => { const i = new Image(); i.onload = () => r("out"); i.onerror = () => r("kept in"); '
        'i.src = "http://203.0.113.7/"; })',
    ):
        assert await page.says(attempt) == "kept in"
    assert len([words for words in page.complaints if "Content Security Policy" in words]) >= 2


async def test_without_the_token_there_is_no_terminal(served: Served, tab: Callable[[], Awaitable[Page]]) -> None:
    page = await tab()
    for url in (served.root, f"{served.root}/?token=x"):
        await page.open(url)
        await page.until(lambda: says(page, "open the whole URL"))
        assert await page.says('document.querySelector("canvas")') is None
    assert served.pages == []


async def says(page: Page, words: str) -> bool:
    return words in str(await page.says("document.body && document.body.innerText"))


async def test_reloaded_it_needs_no_token_again(served: Served, tab: Callable[[], Awaitable[Page]]) -> None:
    page = await tab()
    await page.open(served.url)
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    first = served.pages
    await page.call("Page.reload")
    await page.until(lambda: len([url for url in page.requested if url.startswith("ws:")]) == 2)
    await page.until(lambda: painted(page))
    until(lambda: len(served.pages) == 1 and served.pages != first)
    await page.call("Page.close")
    until(lambda: served.pages == [])


async def test_a_phone_gets_a_terminal_that_holds_the_cockpit(
    served: Served, tab: Callable[[], Awaitable[Page]]
) -> None:
    page = await tab()
    await page.open(served.url, (390, 844))
    await page.until(lambda: "best 2.2993 (#13)" in page.shown and "q leave" in page.shown)
    assert 60 <= page.screen.columns <= 70
    assert await page.says("document.documentElement.scrollWidth") == 390
    await page.resize((844, 390))
    await page.until(lambda: page.screen.columns > 120 and "q leave" in page.screen.display[-1])


async def test_who_leaves_is_told_and_can_come_back(served: Served, tab: Callable[[], Awaitable[Page]]) -> None:
    page = await tab()
    await page.open(served.url)
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    await page.press("q")
    await page.until(lambda: says_over(page, "You have left the cockpit"))
    until(lambda: served.pages == [])
    await page.says('document.getElementById("again").click()')
    await page.until(lambda: len([url for url in page.requested if url.startswith("ws:")]) == 2)
    await page.until(lambda: painted(page))
    served.process.send_signal(signal.SIGINT)
    await page.until(lambda: says_over(page, "`autoresearch web` has ended"))


async def says_over(page: Page, words: str) -> bool:
    return words in await page.words()


async def test_a_connection_that_is_lost_is_made_again(
    served: Served, run_folder: Path, tab: Callable[[], Awaitable[Page]]
) -> None:
    page = await tab()
    await page.open(served.url)
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    served.process.kill()
    served.process.wait()
    await page.until(lambda: says_over(page, "this page tries again"))
    with serving(run_folder, "--port", re.findall(r":(\d+)$", served.root)[0]):
        await page.until(lambda: says_over(page, "another `autoresearch web` by now"))


async def test_a_picture_is_downloaded(served: Served, tmp_path: Path, tab: Callable[[], Awaitable[Page]]) -> None:
    page = await tab()
    await page.open(served.url)
    await page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    await page.until(lambda: "best 2.2993 (#13)" in page.shown)
    await page.press("S")
    await page.until(lambda: (tmp_path / "autoresearch-nov20.svg").exists())
    assert "2.2993" in (tmp_path / "autoresearch-nov20.svg").read_text()
