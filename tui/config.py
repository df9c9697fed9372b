"""The user's own wishes: `config.toml` in the user's config folder (`autoresearch doctor` names it).

[cockpit]
theme = "day"            # night, day, ansi
bell = true              # ring on a new best, on trouble, and when a proposal waits
notify = false           # have the desktop say so too, where the terminal knows how to (OSC 9)

[keys]                   # names as the help (?) shows them in grey; several keys with commas between
pause = "f5,space"
skip = "X"
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

import platformdirs

from core.facts import fact
from tui.glyphs import LEVELS, Glyphs, level
from tui.remapping import settled

THEME = "night"
_SWITCHES = {"bell": True, "notify": False}


@fact
class Config:
    """`trouble`: what in the file was passed over, in words for the user; empty if nothing was."""

    theme: str = THEME
    glyphs: Glyphs = "braille"
    bell: bool = True
    notify: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def path() -> Path:
    """Where the file is looked for."""
    return Path(platformdirs.user_config_dir("autoresearch")) / "config.toml"


def load(themes: set[str]) -> Config:
    """What the file says; what it says wrongly is passed over and told."""
    own = level(os.environ)
    try:
        written = path().read_text(encoding="utf-8")
        import tomllib  # only where there is such a file

        said = tomllib.loads(written)
    except FileNotFoundError:
        return Config(glyphs=own)
    except (OSError, ValueError) as error:
        return Config(glyphs=own, trouble=f"{path()}: cannot be read ({error}); the defaults hold")
    wrong = [name for name in said if name not in ("cockpit", "keys")]
    wrong += [f"{name} (a table: [{name}])" for name in ("cockpit", "keys") if not isinstance(said.get(name, {}), dict)]
    cockpit, keys = (part if isinstance(part := said.get(name, {}), dict) else {} for name in ("cockpit", "keys"))
    theme, glyphs = cockpit.get("theme", THEME), cockpit.get("glyphs", own)
    wrong += [f"cockpit.{name}" for name in cockpit if name not in ("theme", "glyphs", *_SWITCHES)]
    if not isinstance(theme, str) or theme not in themes:
        wrong, theme = [*wrong, f"theme = {theme!r} (there are {', '.join(sorted(themes))})"], THEME
    if glyphs not in LEVELS:
        wrong, glyphs = [*wrong, f"glyphs = {glyphs!r} (there are {', '.join(LEVELS)})"], own
    switches = {name: cockpit.get(name, usual) for name, usual in _SWITCHES.items()}
    for name in [name for name, on in switches.items() if not isinstance(on, bool)]:
        wrong, switches[name] = [*wrong, f"{name} (true or false)"], _SWITCHES[name]
    good, others = settled(keys)
    trouble = f"passed over {'; '.join([*wrong, *others])} (in {path()})" if wrong or others else ""
    return Config(theme, glyphs, **switches, keys=good, trouble=trouble)
