"""`autoresearch web`: the cockpit of a run in a browser."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import click

from core import installing
from core.errors import UsageError
from tui.options import TAG, WORKSPACE, find
from tui.watch import say


@click.command("web")
@TAG
@WORKSPACE
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="8000, or a free one where it is taken.")
@click.option("--control", is_flag=True, help="Let the page do what the cockpit can: pause, steer, approve, stop.")
def web(tag: str | None, workspace: Path | None, host: str, port: int | None, control: bool) -> int:
    """The cockpit in a browser, for whoever has the URL: it carries a token. Looks at the run and controls nothing,
    unless --control says so. Ctrl-C ends the pages; the run goes on.

    From another machine, rather than --host: ssh -L 8000:127.0.0.1:8000 MACHINE
    """
    if importlib.util.find_spec("textual_serve") is None:
        raise UsageError(f"autoresearch web needs textual-serve; install it: {installing.command('web')}")
    import asyncio

    from tui.web import door
    from tui.web.server import CockpitServer, serve

    folder = find(workspace, tag, here=control)
    keeper = door.door({host, socket.gethostname()})
    if not door.is_loopback(host):
        say(f"warning: {host} can be reached from other machines, and nothing is encrypted (no TLS);")
        say("         who reads the traffic can do what the page can. Safer: ssh -L 8000:127.0.0.1:8000 to here")

    def listening(bound: int) -> None:
        name = socket.gethostname() if door.is_everywhere(host) else host
        say(f"run {folder.name}, {'to look at and to control' if control else 'to look at'}; Ctrl-C ends the pages")
        click.echo(f"http://{f'[{name}]' if ':' in name else name}:{bound}/?token={keeper.token}")

    asyncio.run(serve(CockpitServer(folder, keeper, control=control), host, port, listening))
    return 0
