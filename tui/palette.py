"""What the command palette offers: every key by what it does, and the themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.app import Cockpit
from tui.config import path
from tui.keys import KEYS, own
from tui.themes import THEMES


class Offers(Provider):
    """One row an offer: what it does, and the key that does it."""

    async def discover(self) -> Hits:
        for words, key, act in self._offers():
            yield DiscoveryHit(_row(words, key), act, text=words)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for words, key, act in self._offers():
            if (score := max(matcher.match(words), matcher.match(key))) > 0:
                yield Hit(score, _row(words, key), act, text=words)

    def _offers(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        app = self.app
        assert isinstance(app, Cockpit)
        for key in KEYS:
            if key.id != "palette" and app.may(key):
                act = partial(app.run_action, key.action, self.screen)
                yield key.help, own(key, app.config.keys), act
        for name in THEMES:
            yield f"theme: the colours of {name}", "", partial(_dress, app, name)


def _row(words: str, key: str) -> Text:
    return Text.assemble((f"{key:<9}", "bold"), words)


def _dress(app: Cockpit, name: str) -> None:
    app.theme = name
    app.say("done", f'{name} for now; for good: theme = "{name}" below [cockpit] in {path()}')
