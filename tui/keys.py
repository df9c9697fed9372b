"""Every key of the cockpit, once: bindings, the bar at the bottom and the help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` in Textual's names; `shown` as people write them; `label` stands in the bar at the bottom, if any."""

    id: str
    keys: str
    shown: str
    action: str
    help: str
    group: str
    label: str = ""
    rank: int = 1  # labels with a low rank give way first in a narrow window


KEYS = (
    Key("pause", "p,space", "p space", "app.pause", "pause the run now, or go on", "Run", "pause", 8),
    Key("skip", "s", "s", "app.skip", "end the trial under way and discard its experiment", "Run", "skip", 7),
    Key("leave", "q,ctrl+c", "q", "app.leave", "leave: detach, stop after this, stop now", "Run", "leave", 10),
    Key("down", "j,down", "j ↓", "select(1)", "select the experiment below", "Experiments", "", 0),
    Key("up", "k,up", "k ↑", "select(-1)", "select the experiment above", "Experiments", "", 0),
    Key("newest", "g,home", "g", "newest", "select the newest, and follow", "Experiments"),
    Key("oldest", "G,end", "G", "oldest", "select the baseline", "Experiments"),
    Key("best", "b", "b", "best", "select the best", "Experiments", "best", 4),
    Key("live", "full_stop", ".", "newest", "back to the live one, and follow it", "Experiments", "live", 5),
    Key("scroll-down", "J", "J", "scroll_pane(1)", "scroll the diff or log down by a line", "Panes", "", 0),
    Key("scroll-up", "K", "K", "scroll_pane(-1)", "scroll it up by a line", "Panes", "", 0),
    Key("page-down", "ctrl+d,pagedown", "ctrl+d", "page_pane(1)", "scroll it down by half a page", "Panes"),
    Key("page-up", "ctrl+u,pageup", "ctrl+u", "page_pane(-1)", "scroll it up by half a page", "Panes"),
    Key("left", "left", "←", "shift_pane(-8)", "shift it to the left", "Panes"),
    Key("right", "right", "→", "shift_pane(8)", "shift it to the right", "Panes"),
    Key("pane", "tab", "tab", "next_pane", "the other pane: diff or log", "Panes", "diff/log", 6),
    Key("diff", "1", "1", "pane('diff')", "the diff", "Panes"),
    Key("log", "2", "2", "pane('log')", "the log", "Panes"),
    Key("help", "question_mark,f1", "?", "app.help", "this page", "Help", "help", 9),
)
SELECT_LABEL = ("j k", "select", 3)
SCROLL_LABEL = ("J K", "scroll", 2)


def bindings() -> list[BindingType]:
    """The table as Textual wants it; an id each, for a key map of the user's own."""
    return [Binding(key.keys, key.action, key.help, show=False, priority=key.keys == "tab", id=key.id) for key in KEYS]


def groups() -> dict[str, list[Key]]:
    """The keys by what they act on, in the order of the table."""
    found: dict[str, list[Key]] = {}
    for key in KEYS:
        found.setdefault(key.group, []).append(key)
    return found
