"""Every key of the cockpit, once: bindings, the bar at the bottom, help and palette are made from this table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from textual.binding import Binding, BindingType
from textual.keys import format_key

from core.facts import fact

Place = Literal["run", "recording", "replay"]  # in what a key is pressed; only a run can be controlled


@fact
class Key:
    """`keys` in Textual's names; `help` stands alone, in the help and in the palette, and `looking` in its place where
    nothing can be controlled; `also` are other words that somebody looks for it by; `label` stands in the bar at the
    bottom, if any, behind `bar` where those are not all of its keys."""

    id: str
    keys: str
    action: str
    help: str
    group: str
    label: str = ""
    rank: int = 1  # labels with a low rank give way first in a narrow window
    first: bool = False  # it goes before whatever else has the key, where its action may be done at all
    bar: str = ""
    also: str = ""
    looking: str = ""


KEYS = (
    Key(
        "pause", "p,space", "app.pause", "pause the run now, or go on", "Run", "pause", 8,
        bar="p", also="hold resume continue", looking="hold the replay, or go on",
    ),
    Key("slower", "H", "app.speed(0.5)", "the replay at half the speed", "Replay", also="slow"),
    Key("faster", "L", "app.speed(2.0)", "the replay at twice the speed", "Replay", "speed", 4, bar="H L", also="fast"),
    Key("pause-after", "P", "app.pause_after", "pause when this trial is over; again: do not", "Run"),
    Key("skip", "s", "app.skip", "end this trial and discard its experiment", "Run", "skip", 7, also="cancel kill"),
    Key("again", "r", "app.again", "another trial of the selected experiment", "Run", also="run repeat rerun"),
    Key("steer", "t", "app.steer", "steer: a note to the agent", "Run", "steer", 3, first=True, also="tell prompt"),
    Key("approval", "a", "app.approval", "approval on, off: each proposal waits for yes", "Run"),
    Key(
        "answer", "A", "app.answer", "answer the proposal that waits: yes, no, edit", "Run",
        first=True, also="approve reject",
    ),
    Key("select", "j,down", "select(1)", "select the experiment below", "Experiments", also="next"),
    Key("up", "k,up", "select(-1)", "select the experiment above", "Experiments", also="previous"),
    Key("live", "full_stop,g", "newest", "select the newest, and follow it", "Experiments", "live", 3, also="latest"),
    Key("oldest", "G", "oldest", "select the baseline", "Experiments"),
    Key("kept", "left_square_bracket", "kept(-1)", "select the kept experiment before", "Experiments"),
    Key("kept-next", "right_square_bracket", "kept(1)", "select the kept experiment after", "Experiments"),
    Key("best", "b", "best", "select the best", "Experiments", "best", 4),
    Key("search", "slash", "search", "search words and diffs", "Experiments", first=True, also="find"),
    Key("filter", "f", "filter", "list all, the kept, discarded or crashed", "Experiments", also="show only"),
    Key("order", "O", "order", "list the best first; again: the newest first", "Experiments", also="sort score"),
    Key("quantity", "m", "plot('quantity')", "plot another quantity: score, memory, speed", "Plot", also="metric"),
    Key("scale", "y", "plot('scale')", "plot with clipped outliers, or a log scale", "Plot"),
    Key("axis", "x", "plot('axis')", "plot by number, or by time", "Plot"),
    Key("split", "d", "diff('split')", "the diff side by side, or in one column", "Diff"),
    Key("wrap", "w", "diff('wrap')", "wrap long lines, or do not", "Diff"),
    Key("hunk", "n,ctrl+n", "hunk(1)", "the next change of the diff, or match", "Diff"),
    Key("hunk-up", "N", "hunk(-1)", "the change of the diff before, or match", "Diff", also="previous"),
    Key("more", "right_curly_bracket", "diff('more')", "more lines around a change", "Diff", also="context"),
    Key("less", "left_curly_bracket", "diff('less')", "fewer lines around a change", "Diff", also="context"),
    Key("against", "v", "diff('against')", "the diff against parent, baseline or best", "Diff", also="compare versus"),
    Key("whole", "D", "diff('whole')", "the diffs of the whole run in one scroll", "Diff", also="all"),
    Key("scroll", "J", "scroll_pane(1)", "scroll this pane down a line", "Panes", "scroll", 5, bar="J K"),
    Key("scroll-up", "K", "scroll_pane(-1)", "scroll this pane up a line", "Panes"),
    Key("page", "ctrl+d,pagedown", "page_pane(1)", "scroll this pane down half a page", "Panes"),
    Key("page-up", "ctrl+u,pageup", "page_pane(-1)", "scroll this pane up half a page", "Panes"),
    Key("top", "home", "end_pane(-1)", "scroll this pane to its top", "Panes"),
    Key("bottom", "end", "end_pane(1)", "scroll this pane to its end", "Panes"),
    Key("shift", "right", "shift_pane(8)", "shift this pane to the right", "Panes", also="sideways"),
    Key("shift-left", "left", "shift_pane(-8)", "shift this pane to the left", "Panes", also="sideways"),
    Key("zoom", "enter", "zoom", "this pane alone; again: all of it", "Panes", "zoom", 2, bar="enter esc", also="full"),
    Key("back", "escape", "back", "back: from the zoom, from a search", "Panes"),
    Key("copy", "c", "app.copy", "copy what is marked, or this pane", "Panes", also="clipboard yank"),
    Key("open", "o", "app.open", "open this pane in $PAGER", "Panes", also="pager less"),
    Key("source", "e", "app.source", "the selected source in $EDITOR, to look at", "Panes", also="edit open train.py"),
    Key("pane", "tab", "next_pane", "the next pane: diff, log, notes", "Panes", "pane", 6, first=True, also="switch"),
    Key("diff", "1", "pane('diff')", "show the diff", "Panes"),
    Key("log", "2", "pane('log')", "show the log", "Panes", also="output"),
    Key("notes", "3", "pane('notes')", "show the notes", "Panes", also="hypothesis"),
    Key("list-alone", "4", "alone('experiments')", "show the list alone; again: all of it", "Panes"),
    Key("plot-alone", "5", "alone('plot')", "show the plot alone; again: all of it", "Panes"),
    Key("follow", "l", "follow", "follow the newest and the end of its log", "Panes", also="tail"),
    Key("said", "i", "app.said", "all of what the top rows say, and said before", "Panes", also="messages info"),
    Key("border-left", "less_than_sign", "border(-2)", "move the border beside this pane to the left", "Layout"),
    Key("border-right", "greater_than_sign", "border(2)", "move the border beside this pane to the right", "Layout"),
    Key("taller", "plus,equals_sign", "taller(1)", "make this pane taller", "Layout", also="resize"),
    Key("lower", "minus", "taller(-1)", "make this pane lower", "Layout", also="resize"),
    Key("plot-lower", "left_parenthesis", "plot_taller(-1)", "make the plot lower", "Layout", also="resize"),
    Key("plot-taller", "right_parenthesis", "plot_taller(1)", "make the plot taller", "Layout", also="resize"),
    Key("put-back", "0", "put_back", "put the layout back as it comes", "Layout", also="reset"),
    Key("help", "question_mark,f1", "app.help", "help: all keys, and what glyphs mean", "Leaving", "help", 9, bar="?"),
    Key("palette", "ctrl+p", "app.command_palette", "search all of this by words", "Leaving", first=True),
    Key("screenshot", "S", "app.picture", "save a picture of the screen", "Leaving", also="svg"),
    Key(
        "leave", "q", "app.leave", "leave: detach, stop after this, stop now", "Leaving", "leave", 10,
        first=True, also="quit exit close", looking="leave",
    ),
    Key(
        "interrupt", "ctrl+c", "app.interrupt", "twice: stop the run now, and leave", "Leaving",
        first=True, looking="twice: leave",
    ),
)  # fmt: skip


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


def names(keys: str) -> Iterator[str]:
    """The keys in a text as Textual names them."""
    return (single.key for single in Binding.make_bindings([(keys, "", "")]))


def written(name: str) -> str:
    """A key as a person writes it."""
    return format_key(name).replace("⏎", "enter")


def shown(key: Key, remapped: Mapping[str, str]) -> str:
    """As the bar says it; the user may have given it other keys."""
    return key.bar if key.bar and key.id not in remapped else every(key, remapped)


def every(key: Key, remapped: Mapping[str, str]) -> str:
    """All keys that do this, as a person writes them."""
    return " ".join(map(written, names(remapped.get(key.id, key.keys))))


def own(key: Key, remapped: Mapping[str, str]) -> str:
    """The one key that does this, as a person writes it."""
    return written(next(names(remapped.get(key.id, key.keys))))


def means(key: Key, place: Place) -> bool:
    """Whether a key does something there."""
    if key.group == "Replay" or key.id == "pause":
        return place == "replay" or (place == "run" and key.group == "Run")
    return key.group != "Run" or place == "run"


def words(key: Key, place: Place) -> str:
    """What a key does there."""
    return key.help if place == "run" else key.looking or key.help


def groups(place: Place) -> dict[str, list[Key]]:
    """What the help says: the keys by what they act on, in the order of the table; a replay's own first."""
    found: dict[str, list[Key]] = {}
    for key in KEYS:
        if means(key, place):
            found.setdefault("Replay" if key.group == "Run" and place == "replay" else key.group, []).append(key)
    return found
