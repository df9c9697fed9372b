"""The artifact as `search` sees it: its constants and its structural places, over all its Python files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.agents import ANOTHER, Exhausted, Refused
from core.agents.constants import Constant, Value, edit, read
from core.agents.fit import fitted
from core.agents.moves import Site, moved, sites
from core.agents.number_moves import Move
from core.agents.space import hyperparameters
from core.experiment import Proposal


class Artifact:
    """The incumbent's. What two files name alike is told apart by the path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Raises Refused for a file that is not Python, Exhausted where there is nothing to change."""
        self._sources = {path: text for path, text in sources.items() if path.endswith(".py")}
        self._places, self._constants = _constants(self._sources)
        self._sites = _sites(self._sources)
        self.values = {key: constant.value for key, constant in self._constants.items()}
        self.parameters = hyperparameters(self.values)
        self.sites = {key: site for key, (_, site) in self._sites.items()}
        if not self.parameters and not self.sites:
            what = "no capital constants for the agent search to tune (NAME = number, at module level)"
            raise Exhausted(f"{', '.join(sources)}: {what}; {ANOTHER}")

    def fitted(self, moves: Sequence[Move], sequence_length: int | None, reformed: bool) -> dict[str, Value] | None:
        """The constants after these moves, made to go together; None if they cannot, or if nothing would come of them.

        reformed: something else changes as well, so that they may stay as they are.
        """
        if not moves and reformed:
            return dict(self.values)
        return fitted(_applied(self.values, moves), self.values, sequence_length)

    def edited(self, values: Mapping[str, Value], forms: Mapping[str, str]) -> dict[str, str]:
        """The files that these constants and these forms of places change, with their new text."""
        edits = {}
        for path, source in self._sources.items():
            here = {site.key: forms[key] for key, (file, site) in self._sites.items() if file == path and key in forms}
            text = edit(source, {name: values[key] for key, (file, name) in self._places.items() if file == path})
            text = moved(text, here)
            if text != source:
                edits[path] = text
        return edits

    def proposal(self, edits: Mapping[str, str], moves: Sequence[Move], forms: Mapping[str, str], why: str) -> Proposal:
        """The proposal of these edits; its details are read back from them: what was really applied."""
        sources = {**self._sources, **edits}
        _, after = _constants(sources)
        places = {key: site.form for key, (_, site) in _sites(sources).items()}
        changed = [key for key, value in self.values.items() if after[key].value != value]
        said = [f"{key} {self.sites[key].form} → {form}" for key, form in forms.items()]
        said += [f"{key} {self._constants[key].text} → {after[key].text}" for key in changed]
        return Proposal(
            edits=edits,
            description=", ".join(said),
            hypothesis=f"{why}.",
            details={
                "constants": {key: _json(constant.value) for key, constant in after.items()},
                "changed": {key: [_json(self.values[key]), _json(after[key].value)] for key in changed},
                "chosen": [move.parameter.key for move in moves],
                "forms": places,
                "reformed": {key: [self.sites[key].form, form] for key, form in forms.items()},
            },
        )


def _sites(sources: Mapping[str, str]) -> dict[str, tuple[str, Site]]:
    """key -> (path, place)."""
    found = {path: sites(text) for path, text in sources.items()}
    return {
        key if sum(key in others for others in found.values()) == 1 else f"{path}:{key}": (path, site)
        for path, named in found.items()
        for key, site in named.items()
    }


def _constants(sources: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], dict[str, Constant]]:
    """key -> (path, name), and key -> constant. Raises Refused for a file that is not Python."""
    found = {}
    for path, text in sources.items():
        try:
            found[path] = read(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # all that ast.parse raises
            raise Refused(f"{path} cannot be read as Python: {error}") from error
    places, constants = {}, {}
    for path, named in found.items():
        for name, constant in named.items():
            key = name if sum(name in others for others in found.values()) == 1 else f"{path}:{name}"
            places[key], constants[key] = (path, name), constant
    return places, constants


def _json(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _applied(values: Mapping[str, Value], moves: Sequence[Move]) -> dict[str, Value]:
    after = dict(values)
    for move in moves:
        name, index, old = move.parameter.constant, move.parameter.index, after[move.parameter.constant]
        if isinstance(old, tuple) and index is not None:
            assert isinstance(move.value, int | float)
            after[name] = (*old[:index], move.value, *old[index + 1 :])
        else:
            after[name] = move.value
    return after
