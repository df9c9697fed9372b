"""The cockpit's colours: by night, by day, and the terminal's own sixteen.

Kept is a teal (or blue) and crashed a vermilion, which differ for every eye; glyphs say the same without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from rich.style import Style
from textual._styles_cache import StylesCache
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme
from textual.widget import Widget

from tui.glyphs import FewerGlyphs, Glyphs

Result = TypeVar("Result")

STYLES = {
    "kept", "discarded", "crashed", "live", "dim", "strong", "accent", "trouble", "pausing", "cursor", "track",
    "added", "removed", "added-word", "removed-word", "match", "match-now", "plus", "minus", "hunk", "gutter",
    "keyword", "string", "comment", "number",
}  # fmt: skip

_NAMES = (
    "ground", "panel-ground", "words", "strong", "faint", "comment", "gutter", "grip", "track", "cursor", "kept",
    "crashed", "live", "held", "added", "removed", "added-word", "removed-word", "hunk", "keyword", "string",
    "match", "match-words",
)  # fmt: skip
_NIGHT = """
    #0e1318 #18202a #cfd6de #ffffff #8793a1 #7f8c98 #66727f #5b6b7b #3a4653 #23405c #35c9a5
    #f27c5e #6db3f2 #f2bc57 #0f3d30 #4a1f24 #1a6a50 #8a2f35 #18222d #c6a0f6 #a6d189
    #f2bc57 #0e1318
"""
_DAY = """
    #fbfbf9 #eceef0 #2b3238 #000000 #5d6873 #6b7680 #8a949e #9aa4ad #c3cad1 #cfe3f7 #00755c
    #b3391b #0b62ad #8f5a00 #d8f0e6 #fbe0d9 #9fdcc4 #f3b3a3 #e6edf4 #6b3fa0 #3f6b1f
    #ffd866 #000000
"""
_ANSI = """
    ansi_default ansi_default ansi_default ansi_default ansi_bright_black ansi_bright_black ansi_bright_black
    ansi_bright_black ansi_bright_black ansi_blue ansi_cyan ansi_red ansi_bright_blue ansi_yellow ansi_default
    ansi_default ansi_green ansi_red ansi_default ansi_magenta ansi_green
    ansi_yellow ansi_black
"""
_OF_TEXTUAL = {"ansi-background": "ansi_default", "ansi-foreground": "ansi_default"}  # its own widgets ask for them


def _theme(name: str, colours: str, dark: bool, ansi: bool = False) -> Theme:
    own = dict(zip(_NAMES, colours.split(), strict=True))
    return Theme(
        name=name,
        primary=own["live"],
        background=own["ground"],
        surface=own["panel-ground"],
        foreground=own["words"],
        dark=dark,
        ansi=ansi,
        variables={**own, **_OF_TEXTUAL} if ansi else own,
    )


_ALL = _theme("night", _NIGHT, True), _theme("day", _DAY, False), _theme("ansi", _ANSI, True, ansi=True)
THEMES = {theme.name: theme for theme in _ALL}
DEFAULTS = THEMES["night"].variables


class ThemedApp(App[Result], Generic[Result]):
    """An app in these colours; the stylesheet knows them by name.

    The style classes that widgets paint with belong to the app: a widget that had them would be matched with the whole
    stylesheet once for each of them.
    """

    CSS_PATH = "app.tcss"
    COMPONENT_CLASSES = STYLES

    def __init__(self, theme: str, glyphs: Glyphs) -> None:
        super().__init__()
        self._fewer_glyphs = FewerGlyphs(glyphs)
        self._no_colour = NoColor()
        self._named_styles: dict[str, Style] = {}
        self._own_styles: WeakKeyDictionary[Widget, tuple[int, Style]] = WeakKeyDictionary()
        for known in THEMES.values():
            self.register_theme(known)
        self.theme = theme

    def named_style(self, name: str) -> Style:
        """What a style class sets, as lines of the screen want it."""
        style = self._named_styles.get(name)
        if style is None:
            style = self._named_styles[name] = self.get_component_styles(name).partial_rich_style
        return style

    def own_style(self, widget: Widget) -> Style:
        """What a widget inherits and sets itself, as lines of the screen want it."""
        known, style = self._own_styles.get(widget, (-1, Style()))
        if known != widget.styles._cache_key:
            style = widget.rich_style
            self._own_styles[widget] = widget.styles._cache_key, style
        return style

    def refresh_css(self, animate: bool = True) -> None:
        self._named_styles.clear()
        self._own_styles.clear()
        if self.screen_stack:
            super().refresh_css(animate)
        else:  # what the first screen needs is parsed with it: once is enough
            self.stylesheet.set_variables(self.get_css_variables())

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        if (
            self.no_color
        ):  # Textual would show greys: they are colours too, and may be unreadable on this terminal's own
            filters = [*(f for f in filters if not isinstance(f, Monochrome)), self._no_colour]
        return [*filters, self._fewer_glyphs] if self._fewer_glyphs.enabled else filters

    def pop_screen(self) -> AwaitComplete:
        """Textual remembers colours by the painter of every widget, the closed ones' with all that they painted."""
        StylesCache.get_inner_outer.cache_clear()
        return super().pop_screen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return DEFAULTS
