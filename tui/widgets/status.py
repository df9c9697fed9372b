"""The strip at the top: what run this is, how it stands, what happens now."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

from textual.strip import Strip
from textual.widget import Widget

from tui import text
from tui.feed import State
from tui.standing import Standing, activity, counts, standing
from tui.widgets.paint import STYLES, Part, Piece, fit, part, shorten, strip

_BAR, _SPARK = 24, 12
_ROOMY = 100  # columns from which everything about the run stands in the first row


Stage = Literal["pending", "done", "failed", "away"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of the last command, or what happened while nobody looked (`away`: it stays until a key comes)."""

    stage: Stage
    words: str


class StatusStrip(Widget, can_focus=False):
    """Three rows at the top, five where there is more to say; in a window too small for anything else one row."""

    COMPONENT_CLASSES = STYLES
    DEFAULT_CSS = "StatusStrip { height: 3; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state, self._now = State(), 0.0
        self._notice: Notice | None = None

    def show(self, state: State, now: float, notice: Notice | None) -> None:
        """Paint another state. `now` in Unix seconds."""
        self._state, self._now, self._notice = state, now, notice
        self.set_class(len(self._words()) > 1, "-wordy")
        self.refresh()

    def _words(self) -> list[list[Piece]]:
        return words(self._state, self._now, self.size.width, self._notice)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self.size.height == 1:
            row = tiny(self._state, self._now, width)
        elif y < 2:
            row = (head, work)[y](self._state, self._now, width)
        else:
            said = self._words()
            row = said[y - 2] if y - 2 < len(said) else []
        return strip(self, row, width)


def tiny(state: State, now: float, width: int) -> list[Piece]:
    """Everything in one row, for a window where nothing else fits."""
    stands = standing(state, now)
    style = _style(stands)
    best = _best(state)
    left = [
        part(10, (stands.glyph, style)),
        part(3 if best.width else 9, (stands.word, style)),
        part(2, (f"#{state.history.next_number} {activity(state)}", "")),
    ]
    return fit(left, [best], width, gap=1)


def head(state: State, now: float, width: int) -> list[Piece]:
    """Run, backend, device, agent, state; best, counts, time."""
    h = state.history
    tally = [
        (f"{h.count(o)}{text.GLYPHS[o]} ", s) for o, s in (("keep", "kept"), ("discard", ""), ("crash", "crashed"))
    ]
    limit = h.engine.experiments if h.engine else None
    of = f"/{limit}" if limit is not None else ""
    left = [
        _standing(standing(state, now)),
        part(7, (text.one_line(state.tag), "strong")),
        part(8, (f"exp {h.next_number if not h.ended else len(h.experiments) - 1}{of}" if h.run else "", "")),
        part(3, (_where(state) if width >= _ROOMY else "", "dim")),
    ]
    elapsed = text.clock(state.elapsed_seconds(now))
    return fit(left, [_best(state), part(5, *tally), part(6, (elapsed if h.run else "", "dim"))], width)


def work(state: State, now: float, width: int) -> list[Piece]:
    """What happens now: the trial's step, loss, speed, memory, time left."""
    h, live = state.history, state.live
    stands = standing(state, now)
    if stands.over:
        return fit([part(9, (f"{h.proposals} experiments: {counts(state)}" if h.run else "", ""))], [], width)
    doing = "held" if stands.glyph == text.PAUSED else activity(state)
    left = [part(9, (f"{doing} #{h.next_number}" if h.run else "preparing", "live"))]
    if live and h.phase in ("training", "evaluating", "deciding"):
        left += _trial(state, width)
    return fit(left, [], width)


def _trial(state: State, width: int) -> list[Part]:
    live = state.live
    assert live is not None
    training = state.history.phase == "training"
    done, rest = text.bar(live.progress if training else 1.0, _BAR if width >= _ROOMY else 16)
    eta = f" {text.seconds(live.eta_seconds)} left" if training and live.eta_seconds is not None else ""
    speed, mb = live.tokens_per_second, live.memory_mb
    parts = [
        part(7, (f"step {live.step}" if live.step is not None else "", "")),
        part(6, (done, "accent"), (rest, "track"), (eta, "")),
        part(8, (f"loss {live.loss:.3f}" if live.loss is not None else "", "strong")),
        part(4, (text.sparkline(live.losses, _SPARK if width >= _ROOMY else 6), "accent")),
        part(5, (f"{text.quantity(speed)} tok/s" if speed is not None else "", "")),
        part(3, (text.memory(mb) if mb is not None else "", "")),
    ]
    if live.mfu is not None:
        parts.append(part(2, (f"{100 * live.mfu:.1f} % MFU", "")))
    return parts


def words(state: State, now: float, width: int, notice: Notice | None) -> list[list[Piece]]:
    """The answer to a command, or why the run stands still and what to do, or what is being tried: one row, or up to
    three where a sentence needs them."""
    left = _words(state, now, notice)
    if len(left) == 1 and left[0].width > width > 20:
        sentence, style = left[0].pieces[0]
        return [[(line, style)] for line in textwrap.wrap(sentence, width)[:3]]
    right = [part(2, (_where(state) if width < _ROOMY else "", "dim"))]
    return [shorten(fit(left, right, width), width)]


def _words(state: State, now: float, notice: Notice | None) -> list[Part]:
    stands, pending = standing(state, now), state.history.pending
    if notice:
        return [part(3, (notice.words, {"pending": "pausing", "failed": "trouble"}.get(notice.stage, "accent")))]
    if stands.detail:
        return [part(3, (stands.detail, "" if stands.over and not stands.trouble else _style(stands)))]
    if pending and pending.proposed:
        trying = part(3, (f"trying #{pending.number}: ", "dim"), (text.one_line(pending.proposed.description), ""))
        return [trying, part(1, (text.one_line(pending.proposed.hypothesis), "dim"))]
    refused = state.history.last_refusal
    if pending and refused and refused.number == pending.number:
        return [part(3, (f"refused: {text.one_line(refused.reason)}", "dim"))]
    return []


def _style(stands: Standing) -> str:
    if stands.trouble:
        return "trouble"
    return "dim" if stands.over else "pausing" if stands.glyph == text.PAUSED else "live"


def _standing(stands: Standing) -> Part:
    return part(9, (f"{stands.glyph} {stands.word}", _style(stands)))


def _where(state: State) -> str:
    run = state.history.run
    return " · ".join(text.one_line(p) for p in (run.backend, run.device, run.agent) if p) if run else ""


def _best(state: State) -> Part:
    best = state.best
    if best is None or best.measurement is None:
        return part(8)
    return part(8, ("best ", "dim"), (text.score(best.measurement.value), "kept"), (f" (#{best.number})", "dim"))
