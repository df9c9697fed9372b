"""What the command palette offers: every key by what it does, and the themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from core.facts import fact
from tui import asked
from tui.app import Cockpit
from tui.config import path
from tui.feed import find
from tui.keys import KEYS, Key, means, own, words
from tui.standing import goes_on
from tui.themes import THEMES

_NAMED, _BEGINS, _HOLDS = 4000.0, 3000.0, 2000.0  # whatever letters match here and there is below


@fact
class Offer:
    """One row: what it does, the key that does it, and names that it goes by."""

    words: str
    act: Callable[[], object]
    key: str = ""
    names: tuple[str, ...] = ()

    @property
    def row(self) -> Text:
        return Text.assemble((f"{self.key:<9}", "bold"), self.words)


class Offers(Provider):
    """What can be done now, and nothing else."""

    async def discover(self) -> Hits:
        for offer in self._offers():
            yield DiscoveryHit(offer.row, offer.act, text=offer.words)

    async def search(self, query: str) -> Hits:
        app, typed = self.app, query.strip()
        assert isinstance(app, Cockpit)
        hidden = any(typed.lower() in _names(key) and not may(app, key) for key in KEYS)
        alike = self.matcher(query).match
        for offer in self._offers():
            # Who types the name of what cannot be done now does not mean what has the same letters.
            if (score := _meant(typed, offer) or (0.0 if hidden else alike(offer.words))) > 0:
                yield Hit(score, offer.row, offer.act, text=offer.words)

    def _offers(self) -> Iterator[Offer]:
        app = self.app
        assert isinstance(app, Cockpit)
        for key in KEYS:
            if key.id != "palette" and may(app, key):
                act = partial(app.run_action, key.action, self.screen)
                yield Offer(words(key, app.place), act, own(key, app.config.keys), _names(key))
        for name in THEMES:
            yield Offer(f"theme: the colours of {name}", partial(_dress, app, name))


def _names(key: Key) -> tuple[str, ...]:
    return (key.id, *key.also.split())


def _meant(query: str, offer: Offer) -> float:
    """How surely it is this that a person means who types that; 0 where only its letters may be alike. Equals stay in
    the order of the table."""
    typed, told = query.lower(), offer.words.lower()
    if query == offer.key:
        return _NAMED + 1
    if typed in offer.names:
        return _NAMED - offer.names.index(typed) / 100
    if told.startswith(typed):
        return _BEGINS
    return _HOLDS if any(f" {named}".find(f" {typed}") >= 0 for named in (told, *offer.names)) else 0.0


def may(app: Cockpit, key: Key) -> bool:
    """Whether what a key does can be done now."""
    h, selected = app.state.history, app.research.experiments.selected
    if app.NO_EDITOR and key.id in ("source", "open"):
        return False
    if key.group not in ("Run", "Replay") or not means(key, app.place):
        return means(key, app.place)
    if key.id == "again" and (selected is None or find(h, selected) is None):
        return False
    if app.over:
        return goes_on(app.state) if key.id == "pause" else key.id == "again" and app.relaunch.possible
    match key.id:
        case "answer":
            return asked.waiting(h) is not None
        case "skip":
            return h.phase in ("startup", "training")
        case "pause-after":
            return not app.paused
    return True


def _dress(app: Cockpit, name: str) -> None:
    app.theme = name
    app.say("done", f'{name} for now; for good: theme = "{name}" below [cockpit] in {path()}')
