"""The verbs of a backend: `python -P -m backends.NAME VERB …`.

Each verb imports only what it needs: a wait here is felt in every trial. A verb with words of its own reads them
itself; `python -P -m backends.NAME VERB --help` lists them.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from backends.reference.profiles import Device, Profile

VERBS = {
    "check": "what works here",
    "prepare": "make the rows (started by a run)",
    "data": "prepare, list and remove data sets",
    "scaffold": "write a task folder",
    "standby": "import ahead, become a trial (started by a run)",
    "tune": "find the fastest DEVICE_BATCH_SIZE",
    "warm": "compile ahead for an NVIDIA device (started by a run)",
    "serve": "answer token rows (started by evaluate)",
    "evaluate": "score a checkpoint (started by a run)",
    "sample": "continue a text (started by best --sample)",
}
Words = list[str]


class Devices(Protocol):
    """The `devices` module of a backend."""

    def find(self, name: str) -> Device: ...
    def check(self, fast: bool) -> dict[str, Any]: ...
    def text(self, found: dict[str, Any]) -> str: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """What is a backend's own. Functions import what they need when they are called."""

    name: str
    description: str
    fast: str  # what `check --fast` does
    family: str  # how the profiles begin that are made for its devices
    elsewhere: str  # the profile for a machine that is not this one
    templates: Path  # where task.toml and train.py are
    devices: Callable[[], Devices]
    own: Mapping[str, Callable[[Words], None]]  # its verbs

    @property
    def verbs(self) -> dict[str, Callable[[Words], None]]:
        """In the order of VERBS."""
        shared = {"check": _check, "data": _data, "scaffold": _scaffold, "tune": _tune, "evaluate": _evaluate}
        has: dict[str, Callable[[Words], None]] = {verb: functools.partial(do, self) for verb, do in shared.items()}
        has.update(self.own)
        return {verb: has[verb] for verb in VERBS if verb in has}

    def parser(self, verb: str) -> argparse.ArgumentParser:
        return argparse.ArgumentParser(prog=f"python -P -m backends.{self.name} {verb}", description=VERBS[verb])


def main(backend: Backend) -> None:
    """Run the verb that the command line names. Bad input: one line on stderr, status 2."""
    verbs = backend.verbs
    parser = argparse.ArgumentParser(
        prog=f"python -P -m backends.{backend.name}",
        description=backend.description,
        epilog="\n".join(f"  {verb:<10}{VERBS[verb]}" for verb in verbs),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=verbs, metavar="VERB")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…")
    arguments = parser.parse_args()
    verbs[arguments.verb](arguments.words)


def _check(backend: Backend, words: Words) -> None:
    parser = backend.parser("check")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--fast", action="store_true", help=backend.fast)
    arguments = parser.parse_args(words)
    devices = backend.devices()
    found = devices.check(arguments.fast)
    print(json.dumps(found) if arguments.json else devices.text(found))


def _data(backend: Backend, words: Words) -> None:
    from backends.reference import data

    data.main(words, f"python -P -m backends.{backend.name} data", backend.devices().find)


def _evaluate(backend: Backend, words: Words) -> None:
    from backends.reference import evaluate

    evaluate.main()


def _scaffold(backend: Backend, words: Words) -> None:
    from backends.reference import profiles, scaffold
    from backends.reference.corpus import BadInput

    parser = backend.parser("scaffold")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--profile", default="auto", help=f"auto, demo, {', '.join(profiles.PROFILES)}")
    parser.add_argument("--device", default="auto", help="what profile auto looks at")
    parser.add_argument("--dataset", default="auto", help="stdlib, climbmix or a path; auto: climbmix on a GPU")
    parser.add_argument("--shards", type=int, help="training shards of climbmix")
    parser.add_argument("--elsewhere", action="store_true", help="nothing of this backend need be here")
    arguments = parser.parse_args(words)
    try:
        where, chosen = _sizes(backend, arguments.device, arguments.profile, arguments.elsewhere)
        dataset = arguments.dataset
        if dataset == "auto":  # the sources of a library are too little for the sizes of a GPU
            dataset = "climbmix" if chosen.made_for else "stdlib"
        scaffold.write(backend.templates, arguments.folder, chosen, dataset, arguments.shards)
        print(f"{backend.name}: profile {chosen.name} for {where}; text: {dataset}")
    except BadInput as error:
        _refuse(error)


def _sizes(backend: Backend, device: str, profile: str, elsewhere: bool) -> tuple[str, Profile]:
    """For whom, and the profile. `elsewhere`: what is not here is no error."""
    from backends.reference import profiles
    from backends.reference.corpus import BadInput

    try:
        found = backend.devices().find(device)
    except BadInput:
        if not elsewhere:
            raise
        name = {"auto": backend.elsewhere, "demo": "cpu"}.get(profile, profile)
        return "another machine", profiles.PROFILES[name]
    chosen = profiles.profile_for(found, profile)
    if chosen.made_for not in ("", found.kind) and not chosen.name.startswith(backend.family):
        fitting = ", ".join(name for name in profiles.PROFILES if name.startswith(backend.family))
        others = {"gpu-": "cuda", "mac-": "mlx"}[chosen.name[:4]]
        raise BadInput(
            f"profile {chosen.name} is made for {chosen.made_for} and the {others} backend (--backend {others}); "
            f"with {backend.name} use cpu, {fitting}"
        )
    return found.description, chosen


def _tune(backend: Backend, words: Words) -> None:
    from backends.reference import tune
    from backends.reference.corpus import BadInput

    parser = backend.parser("tune")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the task's folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--dry-run", action="store_true", help="measure, and leave train.py as it is")
    arguments = parser.parse_args(words)
    try:
        device = backend.devices().find(arguments.device)
        say = functools.partial(print, flush=True)
        tune.tune(arguments.folder, device, arguments.seconds, say, dry_run=arguments.dry_run)
    except BadInput as error:
        _refuse(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(error: Exception) -> NoReturn:
    print(error, file=sys.stderr)
    sys.exit(2)
