"""The `warm` verb: compile ahead, so that trials start in seconds. A run starts it when it has the card."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.cuda import compiled
from backends.reference import profiles, scaffold
from backends.reference.corpus import BadInput
from backends.reference.profiles import Device, Profile

LIMIT_SECONDS = 900
KEPT = 4  # folders that stay besides the newest: of other cards, other versions, other sizes


def main(words: list[str]) -> None:
    """Compile the packaged train.py with a profile's constants, unless that is done already. Prints its progress."""
    from backends.cuda import devices

    parser = argparse.ArgumentParser(prog="python -P -m backends.cuda warm", description=main.__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--profile", default="auto", help=f"auto, {', '.join(profiles.PROFILES)}")
    parser.add_argument("--sequence-length", type=int, help="T, where it is not the profile's")
    parser.add_argument("--vocab-size", type=int, help="V, where it is not the profile's")
    arguments = parser.parse_args(words)
    try:
        device = devices.find(arguments.device)
        if not device.name.startswith("cuda"):
            raise BadInput(f"device {device.name}: nothing is compiled there; warm is for NVIDIA devices")
        profile = profiles.profile_for(device, arguments.profile)
        own = {name: size for name in ("sequence_length", "vocab_size") if (size := getattr(arguments, name))}
        warm(device.name, replace(profile, **own), Path(__file__).parent)
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def command(device: Device, settings: Mapping[str, Any]) -> list[str] | None:
    """What compiles for this device and these settings; None where it is done, or nothing is compiled."""
    if not device.gpu or compiled.kept_for(device.description, settings).is_dir():
        return None
    sizes = ["--sequence-length", str(settings["sequence_length"]), "--vocab-size", str(settings["vocab_size"])]
    words = ["--device", device.name, "--profile", str(settings["profile"]), *sizes]
    return [sys.executable, "-P", "-m", "backends.cuda", "warm", *words]


def warm(
    device: str,
    profile: Profile,
    templates: Path,
    progress: Callable[[str], None] = lambda line: print(line, flush=True),
) -> Path:
    """Compile the `templates`' train.py with the constants of a profile, unless it is done. Returns the kept folder.

    For a process of its own: it imports that train.py, and whatever it compiles later would be kept too.
    """
    settings = {"sequence_length": profile.sequence_length, "vocab_size": profile.vocab_size, "profile": profile.name}
    kept = compiled.kept_folder(device, settings)
    if kept.is_dir():
        return kept
    progress("compiling the model for this card: once, a minute or two")
    started = time.monotonic()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=kept.parent) as scratch:
        scaffold.write(templates, Path(scratch) / "task", profile)
        compiled.compile_into(Path(scratch) / "cache")
        train = _imported(Path(scratch) / "task" / "train.py")
        train.prepared(train.Config(profile.sequence_length, profile.vocab_size), device, compile_all=True)
        if not kept.is_dir():  # two may have been at it
            (Path(scratch) / "cache").rename(kept)
    _forget_all_but(kept)
    progress(f"compiled in {time.monotonic() - started:.0f} s; later trials start with it")
    return kept


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("train", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _forget_all_but(kept: Path) -> None:
    others = sorted((path.stat().st_mtime, path) for path in kept.parent.iterdir() if path != kept)
    cut_off = [path for at, path in others if path.name.startswith(".") and at < time.time() - LIMIT_SECONDS]
    whole = [path for _, path in others if not path.name.startswith(".")]
    for path in cut_off + whole[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
