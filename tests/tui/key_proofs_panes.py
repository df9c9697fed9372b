"""What proves the keys that move about and arrange."""

from __future__ import annotations

from driving import experiments, screen, until
from key_proofs import At, proves

from core import events as ev
from tui import programs

# --- experiments -----------------------------------------------------------------------------------------------------


@proves("select", "up")
async def _(at: At) -> None:
    await at.press("j", "down", "j", "k")
    assert at.selected == 16
    await at.press("up")
    assert at.selected == 17


@proves("live", "oldest")
async def _(at: At) -> None:
    for pressed, number in (("G", 0), ("g", 18), (".", 18)):
        await at.press(pressed)
        assert at.selected == number


@proves("kept", "kept-next")
async def _(at: At) -> None:
    await at.press("[", "[")
    assert at.selected == 11
    await at.press("]")
    assert at.selected == 13


@proves("best")
async def _(at: At) -> None:
    await at.press("b")
    assert at.selected == 13


@proves("search")
async def _(at: At) -> None:
    await at.press("slash", *"GELU", "enter")
    await at.sees("“GELU”")
    assert at.selected == 8


@proves("filter")
async def _(at: At) -> None:
    await at.press("f")
    await until(at.pilot, lambda: len(experiments(at.app).listing.finished) == 7)


@proves("order")
async def _(at: At) -> None:
    await at.press("O")
    await at.sees("by score")
    assert at.selected == 13, "what was selected is under way: it has no score"
    values = [e.measurement.value for e in reversed(experiments(at.app).listing.finished) if e.measurement]
    assert values == sorted(values)
    await at.press("O")
    await until(at.pilot, lambda: "by score" not in screen(at.app))


# --- plot ------------------------------------------------------------------------------------------------------------


@proves("quantity", "scale", "axis")
async def _(at: At) -> None:
    await at.press("m", "y", "x")
    await at.sees("peak memory")
    await at.sees("log scale, by time")


# --- panes -----------------------------------------------------------------------------------------------------------


@proves("scroll", "scroll-up", "page", "page-up")
async def _(at: At) -> None:
    await at.long_diff()
    half = at.diff.size.height // 2
    for pressed, row in (("J", 1), ("J", 2), ("K", 1), ("ctrl+d", 1 + half), ("ctrl+u", 1), ("pagedown", 1 + half)):
        await at.press(pressed)
        assert at.diff.scroll_offset.y == row
    assert at.selected == 18


@proves("top", "bottom")
async def _(at: At) -> None:
    await at.long_diff()
    await at.press("end")
    assert at.diff.scroll_offset.y == at.diff.max_scroll_y > 0
    await at.press("home")
    assert at.diff.scroll_offset.y == 0
    assert at.selected == 18


@proves("shift", "shift-left")
async def _(at: At) -> None:
    at.engine.write(ev.Committed(18, "c" * 40, "r", "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n+" + "wide " * 90 + "\n", 1))
    await until(at.pilot, lambda: at.diff.virtual_size.width > 300)
    await at.press("right")
    assert at.diff.scroll_offset.x == 8
    await at.press("left")
    assert at.diff.scroll_offset.x == 0


@proves("hunk", "hunk-up")
async def _(at: At) -> None:
    await at.long_diff()
    rows = []
    for pressed in ("n", "n", "ctrl+n", "N"):
        await at.press(pressed)
        rows.append(at.diff.scroll_offset.y)
    assert rows[0] < rows[1] < rows[2]
    assert rows[3] == rows[1]


@proves("split")
async def _(at: At) -> None:
    assert not at.diff.splits
    await at.press("d")
    assert at.diff.splits
    await at.sees("side by side")


@proves("wrap")
async def _(at: At) -> None:
    at.engine.write(ev.Committed(18, "c" * 40, "r", "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n+" + "wide " * 90 + "\n", 1))
    await until(at.pilot, lambda: at.diff.virtual_size.width > 300)
    rows = at.diff.virtual_size.height
    await at.press("w")
    await until(at.pilot, lambda: at.diff.virtual_size.height > rows + 3)


@proves("more", "less")
async def _(at: At) -> None:
    await at.press("b")
    await at.sees('+ WINDOW_PATTERN = "L"')
    await at.press("}", "}", "}")
    await at.sees("a small GPT and how it is trained")
    await at.press(*"{{{{{")
    await until(at.pilot, lambda: "a small GPT and how it is trained" not in screen(at.app))


@proves("against")
async def _(at: At) -> None:
    await at.press("b", "v")
    await at.sees("against the baseline")


@proves("whole")
async def _(at: At) -> None:
    await at.press("D")
    await at.sees("whole run, #17 to #0 · D: one alone")


@proves("zoom", "back")
async def _(at: At) -> None:
    await at.press("enter")
    await until(at.pilot, lambda: "val_bpb ↓" not in screen(at.app))
    await at.sees("EMBEDDING_LR = 0.75")
    await at.press("escape")
    await at.sees("val_bpb ↓")


@proves("list-alone", "plot-alone")
async def _(at: At) -> None:
    await at.press("4")
    await until(at.pilot, lambda: "val_bpb ↓" not in screen(at.app))
    await at.sees("unembedding LR 0.004 to 0.006")
    await at.press("escape", "5")
    await until(at.pilot, lambda: "baseline" not in screen(at.app))
    await at.sees("val_bpb ↓")


@proves("follow")
async def _(at: At) -> None:
    await at.press("j", "j")
    assert at.selected == 16
    await at.press("l")
    assert at.selected == 18
    assert experiments(at.app).following


@proves("border-left", "border-right")
async def _(at: At) -> None:
    width = at.diff.size.width
    await at.press("<")
    await until(at.pilot, lambda: at.diff.size.width > width)
    await at.press(">")
    await until(at.pilot, lambda: at.diff.size.width == width)


@proves("taller", "lower")
async def _(at: At) -> None:
    height = at.diff.size.height
    await at.press("+", "=")
    await until(at.pilot, lambda: at.diff.size.height == height + 2)
    await at.press("-", "-")
    await until(at.pilot, lambda: at.diff.size.height == height)


@proves("plot-lower", "plot-taller")
async def _(at: At) -> None:
    height = at.app.research.plot.size.height
    await at.press("(")
    await until(at.pilot, lambda: at.app.research.plot.size.height == height - 1)
    await at.press(")", ")")
    await until(at.pilot, lambda: at.app.research.plot.size.height == height + 1)


@proves("put-back")
async def _(at: At) -> None:
    size = at.diff.size
    await at.press("<", "+", "0")
    await until(at.pilot, lambda: at.diff.size == size)


@proves("copy")
async def _(at: At) -> None:
    await at.press("b", "c")
    assert '+WINDOW_PATTERN = "L"' in at.app.clipboard


@proves("open")
async def _(at: At) -> None:
    said: list[bytes] = []
    at.monkeypatch.setattr(programs, "run", lambda app, argv, words, folder: said.append(words) or "")
    await at.press("b", "o")
    assert b'+WINDOW_PATTERN = "L"' in said[0]


@proves("pane", "diff", "log", "notes")
async def _(at: At) -> None:
    for pressed, pane in (("2", "log"), ("1", "diff"), ("3", "notes"), ("tab", "diff"), ("tab", "log")):
        await at.press(pressed)
        assert at.app.research.pane == pane
