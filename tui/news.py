"""What happens in a run that somebody who looks elsewhere wants to know of."""

from __future__ import annotations

from tui import asked, text
from tui.away import Look, on_return
from tui.feed import State
from tui.going_on import last_words
from tui.standing import another, last_crash, standing


class News:
    """Remembers whether a run is in trouble already: that is told once."""

    def __init__(self) -> None:
        self._in_trouble = False

    def begin(self, state: State, now: float) -> None:
        """From here on; what is so by now is known."""
        self._in_trouble = standing(state, now).trouble

    def between(self, was: State, state: State, now: float, selected: int | None, following: bool) -> str:
        """What has happened; empty for nothing of the kind. `selected`, `following`: what the list shows."""
        stands = standing(state, now)
        news = happened(was, state, selected, following)
        if not news and stands.trouble and not self._in_trouble and not state.replay:
            news = f"{stands.word}: {stands.detail}"
        self._in_trouble = stands.trouble
        return news


def since(look: Look | None, state: State, now: float) -> tuple[str, str]:
    """What happened since the last look, and behind it why the run ended, which stands in the same place; and the same
    in fewer words."""
    ended = state.history.ended
    why = standing(state, now).detail if ended and last_words(ended.message) else ""
    over = standing(state, now).over
    told, brief = (on_return(state.history, look, now, short, over) for short in (False, True))
    return (f"{why}; {told}" if told and why else told), (f"{why}; {brief}" if brief and why else brief)


def rejected(was: State, now: State) -> str:
    """That a proposal was rejected, and what comes of it; empty where none was."""
    before, rejected = was.history.pending, now.history.rejected
    if len(rejected) <= len(was.history.rejected):
        return ""
    mend = before is not None and before.before is not None
    what = "mend rejected; the crash stays" if mend else "rejected; the agent proposes another"
    return f"#{rejected[-1].number} {what}"


def speaks(state: State, now: float) -> bool:
    """Whether a run has something to say that is worth more than a greeting: a crash, trouble, its end."""
    return bool(standing(state, now).detail or last_crash(state, now))


def happened(was: State, now: State, selected: int | None, following: bool) -> str:
    """What somebody in another window wants to know of; empty for all else."""
    best, p = now.best, now.history.pending
    if best and best.number and best.measurement and now.history.incumbent != was.history.incumbent:
        return f"new best {text.score(best.measurement.value)} (#{best.number})"
    if now.replay:
        return ""  # what waited or failed then is nobody's business now
    if p and p.awaited and p.awaited != asked.awaited(was.history):
        new = another(now)  # of that number one was rejected before it: so it is told by its words too
        said = f": {text.one_line(p.proposed.description)}" if new and p.proposed else ""
        said = ": . shows it" if selected != p.number and not following else said
        return f"{'another ' if new else ''}#{p.number} waits for your yes{said}"
    if now.history.programs > max(1, was.history.programs):
        return f"program.md changed: the agent reads the new one from #{now.history.next_number} on"
    return ""
