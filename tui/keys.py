"""Every key of the cockpit, once: bindings, the bar at the bottom and the help are made from this table."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType
from textual.keys import format_key

from core.facts import fact


@fact
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
    first: bool = False  # it goes before whatever else has the key, where its action may be done at all


KEYS = (
    Key("pause", "p,space", "p", "app.pause", "pause the run now, or go on (space too)", "Run", "pause", 8),
    Key("pause-after", "P", "P", "app.pause_after", "pause when this trial is over; again: do not", "Run"),
    Key("skip", "s", "s", "app.skip", "end this trial and discard its experiment", "Run", "skip", 7),
    Key("again", "r", "r", "app.again", "another trial of the selected experiment", "Run"),
    Key("steer", "t", "t", "app.steer", "steer: a note to the agent", "Run", "steer", 3, first=True),
    Key("approval", "a", "a", "app.approval", "approval on, off: each proposal waits for yes", "Run"),
    Key("answer", "A", "A", "app.answer", "answer the proposal that waits: yes, no, edit", "Run", first=True),
    Key("said", "i", "i", "app.said", "all of what the top rows say, and said before", "Run"),
    Key("source", "e", "e", "app.source", "the selected source in $EDITOR, to look at", "Panes"),
    Key("select", "j,down", "j k ↓ ↑", "select(1)", "select the experiment below, above", "Experiments"),
    Key("up", "k,up", "", "select(-1)", "select the experiment above", "Experiments"),
    Key("live", "full_stop,g", ". g", "newest", "select the newest, and follow it", "Experiments", "live", 3),
    Key("oldest", "G", "G", "oldest", "select the baseline", "Experiments"),
    Key("kept", "left_square_bracket", "[ ]", "kept(-1)", "the kept experiment before, after", "Experiments"),
    Key("kept-next", "right_square_bracket", "", "kept(1)", "the kept experiment after", "Experiments"),
    Key("search", "slash", "/", "search", "search words and diffs", "Experiments", first=True),
    Key("filter", "f", "f", "filter", "all, the kept, the discarded, the crashed", "Experiments"),
    Key("order", "O", "O", "order", "the best first; again: the newest first", "Experiments"),
    Key("best", "b", "b", "best", "select the best", "Experiments", "best", 4),
    Key(
        "quantity",
        "m",
        "m y x",
        "plot('quantity')",
        "metric; log scale or clipped; number or time",
        "Plot",
    ),
    Key("scale", "y", "", "plot('scale')", "clip the outliers, or a log scale", "Plot"),
    Key("axis", "x", "", "plot('axis')", "by number, or by time", "Plot"),
    Key("scroll", "J", "J K", "scroll_pane(1)", "scroll the active pane by a line", "Panes", "scroll", 5),
    Key("scroll-up", "K", "", "scroll_pane(-1)", "scroll it up by a line", "Panes"),
    Key("page", "ctrl+d,pagedown", "ctrl+d ctrl+u", "page_pane(1)", "scroll it by half a page", "Panes"),
    Key("page-up", "ctrl+u,pageup", "", "page_pane(-1)", "scroll it up by half a page", "Panes"),
    Key("top", "home", "home end", "end_pane(-1)", "scroll it to its top, to its end", "Panes"),
    Key("bottom", "end", "", "end_pane(1)", "scroll it to its end", "Panes"),
    Key("shift", "right", "← →", "shift_pane(8)", "shift it sideways", "Panes"),
    Key("shift-left", "left", "", "shift_pane(-8)", "shift it to the left", "Panes"),
    Key("split", "d", "d w", "diff('split')", "side by side or in one column; wrap lines", "Diff"),
    Key("wrap", "w", "", "diff('wrap')", "wrap long lines", "Diff"),
    Key("hunk", "n,ctrl+n", "n N", "hunk(1)", "the next change (ctrl+n too) or match; before", "Diff"),
    Key("hunk-up", "N", "", "hunk(-1)", "the change before", "Diff"),
    Key("more", "right_curly_bracket", "{ }", "diff('more')", "less, more lines around a change", "Diff"),
    Key("less", "left_curly_bracket", "", "diff('less')", "fewer lines around a change", "Diff"),
    Key("against", "v", "v", "diff('against')", "against the parent, the baseline, the best", "Diff"),
    Key("whole", "D", "D", "diff('whole')", "the diffs of the whole run in one scroll", "Diff"),
    Key("zoom", "enter", "enter esc", "zoom", "this pane alone; back", "Panes", "zoom", 2),
    Key("back", "escape", "", "back", "back: from the zoom, from a search", "Panes"),
    Key("copy", "c", "c o", "app.copy", "copy the active pane; open it in $PAGER", "Panes"),
    Key("open", "o", "", "app.open", "open the active pane in $PAGER", "Panes"),
    Key("screenshot", "S", "S", "app.picture", "save a picture of the screen", "Leaving"),
    Key("pane", "tab", "tab", "next_pane", "the next pane: diff, log, notes", "Panes", "pane", 6, first=True),
    Key("diff", "1", "1 2 3", "pane('diff')", "the diff, the log, the notes", "Panes"),
    Key("log", "2", "", "pane('log')", "the log", "Panes"),
    Key("notes", "3", "", "pane('notes')", "the notes", "Panes"),
    Key("list-alone", "4", "4 5", "alone('experiments')", "the list alone, the plot alone; esc goes back", "Panes"),
    Key("plot-alone", "5", "", "alone('plot')", "the plot alone", "Panes"),
    Key("follow", "l", "l", "follow", "follow the newest and the end of its log", "Panes"),
    Key("border-left", "less_than_sign", "< >", "border(-2)", "move the upright border beside this pane", "Layout"),
    Key("border-right", "greater_than_sign", "", "border(2)", "move it to the right", "Layout"),
    Key("taller", "plus,equals_sign", "+ -", "taller(1)", "this pane taller (= too), lower", "Layout"),
    Key("lower", "minus", "", "taller(-1)", "this pane lower", "Layout"),
    Key("plot-lower", "left_parenthesis", "( )", "plot_taller(-1)", "the plot lower, taller", "Layout"),
    Key("plot-taller", "right_parenthesis", "", "plot_taller(1)", "the plot taller", "Layout"),
    Key("put-back", "0", "0", "put_back", "the layout as it comes", "Layout"),
    Key("help", "question_mark,f1", "?", "app.help", "this page", "Leaving", "help", 9),
    Key("palette", "ctrl+p", "ctrl+p", "app.command_palette", "search all of this by words", "Leaving", first=True),
    Key("leave", "q", "q", "app.leave", "leave: detach, stop after this, stop now", "Leaving", "leave", 10, first=True),
    Key("interrupt", "ctrl+c", "ctrl+c", "app.interrupt", "twice: stop the run now, and leave", "Leaving", first=True),
)


def bindings() -> list[BindingType]:
    """The table as Textual wants it for the main screen; an id each, for a key map of the user's own."""
    return [_binding(key) for key in KEYS if not _of_app(key)]


def first_bindings() -> list[BindingType]:
    """Those of the whole app."""
    return [_binding(key) for key in KEYS if _of_app(key)]


def _of_app(key: Key) -> bool:
    return key.first and key.action.startswith("app.")


def _binding(key: Key) -> Binding:
    return Binding(key.keys, key.action, key.help, show=False, priority=key.first, id=key.id)


def shown(key: Key, remapped: Mapping[str, str]) -> str:
    """As the user writes it, who may have given it other keys."""
    return " ".join(remapped[key.id].replace(",", " ").split()) if key.id in remapped else key.shown


def own(key: Key, remapped: Mapping[str, str]) -> str:
    """The one key that does this, as a person writes it."""
    return format_key(remapped.get(key.id, key.keys).split(",")[0].strip()).replace("⏎", "enter")


def taken_twice(remapped: Mapping[str, str]) -> str:
    """What the user's own keys have in common with others; empty if nothing."""
    owners: dict[str, Key] = {}
    for key in KEYS:
        if key.id not in remapped:
            owners.update((single.key, key) for single in Binding.make_bindings([_binding(key)]))
    taken = []
    for key in KEYS:
        words = remapped.get(key.id, "")
        for single in Binding.make_bindings([(words, key.action, "")]) if words else ():
            if owner := owners.get(single.key):
                taken.append(f"keys.{key.id} = {words!r}: {format_key(single.key)} is the key of {owner.id}")
            owners[single.key] = key
    return "; ".join(taken)


def groups(remapped: Mapping[str, str]) -> dict[str, list[Key]]:
    """What the help says: the keys by what they act on, in the order of the table."""
    found: dict[str, list[Key]] = {}
    for key in KEYS:
        if key.shown or key.id in remapped:
            found.setdefault(key.group, []).append(key)
    return found
