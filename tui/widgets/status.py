"""The strip at the top: what run this is, how it stands, what happens now."""

from __future__ import annotations

import math
from itertools import zip_longest

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui import agent_words, text
from tui.asked import soon
from tui.feed import State
from tui.going_on import sibling
from tui.load import Load
from tui.pace import is_guessed, over_at, score_in, training_at_most, training_left
from tui.standing import Standing, activity, counts, label, standing
from tui.widgets.paint import Part, Piece, fit, part, strip
from tui.widgets.saying import Notice, style_of, words

__all__ = ["Notice", "StatusStrip", "curves", "head", "tiny", "words", "work"]

_ROOMY = 100  # columns from which everything about the run stands in the first row
_VAST = 160  # columns from which the trial has two rows: its progress, and its curves


class StatusStrip(Widget, can_focus=False):
    """Three rows at the top, four where it is wide; in a window too small for anything else one row. It never grows,
    for nothing below it may jump: a long sentence takes the row of what stands still. Only rows that have changed are
    painted again."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "StatusStrip { height: 3; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state, self._now = State(), 0.0
        self._notice: Notice | None = None
        self.only_looks = False  # no key controls from here, so none is named
        self._drawn: list[list[Piece]] = []
        self._drawn_for = Size(0, 0)

    @property
    def shows_load(self) -> bool:
        """Whether there is room for how busy the device is."""
        return self.size.height > 1 and self.size.width >= _ROOMY

    def show(self, state: State, now: float, notice: Notice | None) -> None:
        """Paint another state. `now` in Unix seconds."""
        self._state, self._now, self._notice = state, now, notice
        before, size = self._drawn, self._drawn_for
        self._draw()
        if size != self._drawn_for:
            self.refresh()
        else:
            rows = zip_longest(before, self._drawn)
            changed = [Region(0, y, self.size.width, 1) for y, (old, new) in enumerate(rows) if old != new]
            if changed:
                self.refresh(*changed)

    def _draw(self) -> None:
        state, now, width = self._state, self._now, self.size.width
        self._drawn_for = self.size
        if self.size.height == 1:
            self._drawn = [tiny(state, now, width)]
        else:
            over, below = standing(state, now).over, self.size.height - 1
            trial = (work, curves) if width >= _VAST and not over else (work,)
            gives_way = over or state.live is None or self._notice is not None
            free = below if over else max(1, below - len(trial))
            most = below if gives_way else free
            said = words(state, now, width, self._notice, free, most, by_key=not self.only_looks)
            shown = [row(state, now, width) for row in trial[: max(0, below - len(said))]]
            self._drawn = [head(state, now, width), *shown, *said]

    def on_resize(self) -> None:
        self.show(self._state, self._now, self._notice)

    def render_line(self, y: int) -> Strip:
        if self._drawn_for != self.size:
            self._draw()
        return strip(self, self._drawn[y] if y < len(self._drawn) else (), self.size.width)


def tiny(state: State, now: float, width: int) -> list[Piece]:
    """Everything in one row, for a window where nothing else fits."""
    stands = standing(state, now)
    style = style_of(stands)
    best = state.best.measurement if state.best else None
    number = f"(#{state.best.number})" if state.best and best else ""
    left = [
        part(10, (stands.glyph, style)),
        part(3 if best else 9, (stands.word, style)),
        part(2, (f"{label(state)} {activity(state)}", "")),
    ]
    right = [
        part(5, ("best" if best else "", "dim")),
        part(11, (text.score(best.value) if best else "", "kept")),
        part(4, (number, "dim")),
        part(6, (_believed(state), "pausing")),
    ]
    return fit(left, right, width, gap=1)


def head(state: State, now: float, width: int) -> list[Piece]:
    """Run, backend, device, agent, state; best, counts, time."""
    h = state.history
    tally = [
        (f"{state.counts.get(o, 0)}{text.GLYPHS[o]} ", s)
        for o, s in (("keep", "kept"), ("discard", ""), ("crash", "crashed"))
    ]
    limit = h.engine.experiments if h.engine else None
    of = f"of {limit}" if limit is not None else "done"  # finished, of those wanted
    left = [
        _standing(standing(state, now), now),
        part(7, (text.one_line(state.tag), "strong")),
        part(8, (f"{h.proposals} {of}" if h.run else "", "")),
        part(3, (agent_words.where(h) if width >= _ROOMY else "", "dim")),
        part(4, (agent_words.label(h), "pausing")),
        part(3, (agent_words.spending(h) if width >= _ROOMY or h.ended else "", "dim")),
        part(6, (soon(state.asked) if not h.ended else "", "pausing")),
        part(4, ("approval" if h.approval and not h.ended else "", "pausing")),
        part(2, (_over_at(state, now), "dim")),
    ]
    elapsed = text.clock(state.elapsed_seconds(now)) if h.run and not h.run.imported_from else ""
    elapsed += f" of {text.clock(state.length_seconds)}" if elapsed and state.length_seconds is not None else ""
    best = [_best(state), part(6, (_believed(state), "pausing"))]
    return fit(left, [*best, part(7, *tally), part(5, (elapsed, "dim"))], width)


def work(state: State, now: float, width: int) -> list[Piece]:
    """What happens now, and for how long: the trial's step, loss, speed, memory, time left."""
    h, live = state.history, state.live
    stands = standing(state, now)
    if stands.over:
        each = f"{h.proposals} experiment{'' if h.proposals == 1 else 's'}"
        whole = f"{each} after the baseline: {counts(state)}"
        told = whole if len(whole) <= width else f"{each}: {counts(state)}"
        best = sibling(state.resume, state.tag, "best") if h.ended and state.best and not state.replay else ""
        shows = part(1, (f"`{best}` shows the best" if best else "", "dim"))
        return fit([part(20, (told if h.run else "", "")), shows], [], width)
    doing = "held" if stands.glyph == text.PAUSED else activity(state)
    left = [part(20, (f"{doing} {label(state)}" if h.run else "preparing", "live"))]
    if live and h.phase in ("training", "evaluating", "deciding"):
        left += _trial(state, now, width)
        if width < _VAST:
            left += _figures(state, width)
    elif h.run and doing != "held":
        left += [_in_phase(state, now), _score_in(state, now)]
        left.append(part(14, (agent_words.spending(h) if width < _ROOMY else "", "dim")))
    return fit(left, [], width)


def curves(state: State, now: float, width: int) -> list[Piece]:
    """Loss, speed, memory and load of the trial, with room for their curves."""
    live = state.live
    if live is None or standing(state, now).over or state.history.phase not in ("training", "evaluating", "deciding"):
        return []
    return fit(_figures(state, width), [], width)


def _trial(state: State, now: float, width: int) -> list[Part]:
    live, h = state.live, state.history
    assert live is not None
    training = h.phase == "training"
    cells = 10 if width < 90 else 12 if width < 130 else 24 if width < _VAST else 48
    done, rest = text.bar(live.progress if training else 1.0, cells)
    eta = "" if standing(state, now).trouble else _left(state, now)
    parts = [
        part(17, (f"step {live.step}" if live.step is not None else "", "")),
        part(16, (done, "accent"), (rest, "track"), (f" {eta}" if eta else "", "")),
    ]
    if not training:
        parts.append(_in_phase(state, now))
    return [*parts, _score_in(state, now)] if width >= _VAST or not training else parts


def _left(state: State, now: float) -> str:
    """Of training: what the trial says, or about what those before it took, or the limit, which is no estimate."""
    h, live = state.history, state.live
    left = training_left(h, live, now)
    if left is None:
        most = training_at_most(h, live, state.pace, now)
        return f"at most {text.seconds(most)} left" if most is not None else ""
    return f"~{text.clock(left)} left" if is_guessed(h, live) else f"{text.seconds(left)} left"


def _in_phase(state: State, now: float) -> Part:
    since = state.pace.since
    return part(15, (text.clock(now - since) if since and now - since >= 1 else "", "dim"))


def _score_in(state: State, now: float) -> Part:
    stalled = standing(state, now).trouble
    seconds = None if stalled else score_in(state.history, state.live, state.pace, now)
    return part(8, (f"score in ~{text.clock(seconds)}" if seconds is not None else "", "dim"))


def _figures(state: State, width: int) -> list[Part]:
    live, load = state.live, state.load
    assert live is not None
    loss, speed, mb, vast = live.loss, live.tokens_per_second, live.memory_mb, width >= _VAST
    diverged = loss is not None and not math.isfinite(loss)
    spark = 40 if vast else 12 if width >= _ROOMY else 6
    fast = text.sparkline(live.speed_curve.points, 24) if vast else ""
    return [
        part(18, (f"loss {text.loss(loss)}" if loss is not None else "", "trouble" if diverged else "strong")),
        part(12, (text.sparkline(live.loss_curve.points, spark), "accent")),
        part(14, (f"{text.quantity(speed)} tok/s" if speed is not None else "", "")),
        part(4, (fast, "accent")),
        part(11, (text.memory(mb) if mb is not None else "", "")),
        part(10, (f"{100 * live.mfu:.1f} % MFU" if live.mfu is not None and math.isfinite(live.mfu) else "", "")),
        *(part(9 - n, (words, "")) for n, words in enumerate(_busy(load))),
    ]


def _busy(load: Load | None) -> list[str]:
    """How busy the device is, what matters most first."""
    if load is None:
        return []
    told = [f"cpu {load.cpu} %" if load.cpu is not None else "", f"gpu {load.gpu} %" if load.gpu is not None else ""]
    if load.used_mb is not None and load.total_mb:
        told.append(f"{load.used_mb / 1024:.0f}/{load.total_mb / 1024:.0f} GB")
    told.append(f"{load.watts} W" if load.watts is not None else "")
    told.append(f"{load.celsius} °C" if load.celsius is not None else "")
    return [words for words in told if words]


def _standing(stands: Standing, now: float) -> Part:
    """While the run goes on, its dot breathes: once in two seconds, and only when something is painted anyhow."""
    style = style_of(stands)
    breath = "dim" if style == "live" and int(now) % 2 else style
    return part(9, (stands.glyph, breath), (f" {stands.word}", style))


def _over_at(state: State, now: float) -> str:
    """`done ~06:40`, with the day where that is not within the next hours."""
    goes_on = state.alive and not standing(state, now).trouble
    at = over_at(state.history, state.live, state.pace, now) if goes_on else None
    if at is None or abs(at - now) > 1e8:
        return ""
    form = "%H:%M" if at - now < 20 * 3600 else "%a %H:%M" if at - now < 6 * 86400 else "%d %b"
    return f"done ~{text.time_of_day(at, form)}"


def _best(state: State) -> Part:
    best = state.best
    if best is None or best.measurement is None:
        return part(8)
    return part(8, ("best ", "dim"), (text.score(best.measurement.value), "kept"), (f" (#{best.number})", "dim"))


def _believed(state: State) -> str:
    """Of a best score that nobody but the artifact measured."""
    return "self-reported" if state.best and state.best.measurement and state.best.measurement.self_reported else ""
