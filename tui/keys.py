"""Every key of the cockpit, once: bindings, the bar at the bottom and the help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` in Textual's names; `shown` as people write them, "" where the key before says it already; `label` stands
    in the bar at the bottom, if any."""

    id: str
    keys: str
    shown: str
    action: str
    help: str
    group: str
    label: str = ""
    rank: int = 1  # labels with a low rank give way first in a narrow window


KEYS = (
    Key("pause", "p,space", "p", "app.pause", "pause the run now, or go on (space too)", "Run", "pause", 8),
    Key("skip", "s", "s", "app.skip", "end the trial under way and discard its experiment", "Run", "skip", 7),
    Key("select", "j,down", "j k ↓ ↑", "select(1)", "select the experiment below, above", "Experiments"),
    Key("up", "k,up", "", "select(-1)", "select the experiment above", "Experiments"),
    Key("live", "full_stop,g,home", ". g", "newest", "select the newest, and follow it", "Experiments", "live", 3),
    Key("oldest", "G,end", "G", "oldest", "select the baseline", "Experiments"),
    Key("kept", "left_square_bracket", "[ ]", "kept(-1)", "the kept experiment before, after", "Experiments"),
    Key("kept-next", "right_square_bracket", "", "kept(1)", "the kept experiment after", "Experiments"),
    Key("search", "slash", "/", "search", "search words and diffs", "Experiments"),
    Key("filter", "f", "f", "filter", "list all, the kept, the discarded, the crashed", "Experiments"),
    Key("best", "b", "b", "best", "select the best", "Experiments", "best", 4),
    Key(
        "quantity",
        "m",
        "m y x",
        "plot('quantity')",
        "another metric, scale (clipped, log), axis (number, time)",
        "Plot",
    ),
    Key("scale", "y", "", "plot('scale')", "clip the outliers, or a log scale", "Plot"),
    Key("axis", "x", "", "plot('axis')", "by number, or by time", "Plot"),
    Key("scroll", "J", "J K", "scroll_pane(1)", "scroll the diff or log by a line", "Panes", "scroll", 5),
    Key("scroll-up", "K", "", "scroll_pane(-1)", "scroll it up by a line", "Panes"),
    Key("page", "ctrl+d,pagedown", "ctrl+d ctrl+u", "page_pane(1)", "scroll it by half a page", "Panes"),
    Key("page-up", "ctrl+u,pageup", "", "page_pane(-1)", "scroll it up by half a page", "Panes"),
    Key("shift", "right", "← →", "shift_pane(8)", "shift it sideways", "Panes"),
    Key("shift-left", "left", "", "shift_pane(-8)", "shift it to the left", "Panes"),
    Key("split", "d", "d w", "diff('split')", "the diff side by side or in one column; wrap long lines", "Diff"),
    Key("wrap", "w", "", "diff('wrap')", "wrap long lines", "Diff"),
    Key("hunk", "n", "n N", "hunk(1)", "the next hunk, the one before", "Diff"),
    Key("hunk-up", "N", "", "hunk(-1)", "the hunk before", "Diff"),
    Key("more", "right_curly_bracket", "{ }", "diff('more')", "less, more lines around a change", "Diff"),
    Key("less", "left_curly_bracket", "", "diff('less')", "fewer lines around a change", "Diff"),
    Key("against", "v", "v", "diff('against')", "compare with the parent, the baseline, the best", "Diff"),
    Key("whole", "D", "D", "diff('whole')", "the diffs of the whole run in one scroll", "Diff"),
    Key("zoom", "enter", "enter esc", "zoom", "this pane alone; back", "Panes", "zoom", 2),
    Key("back", "escape", "", "back", "back: from the zoom, from a search", "Panes"),
    Key("copy", "c", "c o", "app.copy", "copy the diff or log; open it in $PAGER", "Panes"),
    Key("open", "o", "", "app.open", "open the diff or log in $PAGER", "Panes"),
    Key("screenshot", "S", "S", "app.picture", "save a picture of the screen", "Leaving"),
    Key("pane", "tab", "tab", "next_pane", "the other pane: diff or log", "Panes", "diff/log", 6),
    Key("diff", "1", "1 2", "pane('diff')", "the diff, the log", "Panes"),
    Key("log", "2", "", "pane('log')", "the log", "Panes"),
    Key("help", "question_mark,f1", "?", "app.help", "this page", "Leaving", "help", 9),
    Key("leave", "q,ctrl+c", "q", "app.leave", "leave: detach, stop after this, stop now", "Leaving", "leave", 10),
)


def bindings() -> list[BindingType]:
    """The table as Textual wants it; an id each, for a key map of the user's own."""
    return [Binding(key.keys, key.action, key.help, show=False, priority=key.keys == "tab", id=key.id) for key in KEYS]


def groups() -> dict[str, list[Key]]:
    """What the help says: the keys by what they act on, in the order of the table."""
    found: dict[str, list[Key]] = {}
    for key in KEYS:
        if key.shown:
            found.setdefault(key.group, []).append(key)
    return found
