"""What torch.compile has made, kept for later trials, where no trial has business to write.

Compiling takes a trial from half a minute to minutes; with its results on disk, seconds. But these results are code,
and whoever can write them decides what later trials run. So there are two kinds of folder:

    kept      <cache folder>/compiled/<key>: written by the `warm` verb alone (warm.py), from the packaged train.py
    private   a copy of it in a trial's own folder, which goes when the trial does; whatever it compiles lands there

Until trials are sandboxed, nothing but manners keeps one from writing to the kept folder too.

About three quarters of edits change only numbers that are tensors here, and find everything in their copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs

PRIVATE = ".compiled"  # below the folder that a trial runs in
_PACKAGES = ("torch", "triton", "flash-attn-4")
_COMPILED = ("train.py", "attention.py", "loss.py")


def use_private_cache(folder: Path, device: str, settings: Mapping[str, Any]) -> bool:
    """Let this process compile into a folder of its own below `folder`. Whether it starts with a copy of what is kept.

    Call it before anything is compiled. It must be a copy: a hard link would be the kept file itself.
    """
    private = folder / PRIVATE
    kept = kept_folder(device, settings)
    shutil.rmtree(private, ignore_errors=True)
    there = kept.is_dir()
    if there:
        try:
            shutil.copytree(kept, private)
        except OSError:  # another engine has just forgotten it: this trial compiles for itself
            shutil.rmtree(private, ignore_errors=True)
            there = False
    compile_into(private)
    return there


def kept_folder(device: str, settings: Mapping[str, Any]) -> Path:
    """Where the results for this device and these sizes (sequence_length, vocab_size, profile) are kept."""
    import torch  # not for those who know the card's name: they have no seconds for it

    on = torch.device(device)
    return kept_for(torch.cuda.get_device_name(on) if on.type == "cuda" else platform.machine(), settings)


def kept_for(card: str, settings: Mapping[str, Any]) -> Path:
    """The same, for a card by its name as the driver gives it."""
    sizes = [settings.get(key) for key in ("sequence_length", "vocab_size", "profile")]
    key = json.dumps([card, sizes, platform.python_version(), [_version(name) for name in _PACKAGES], _sources()])
    return _root() / hashlib.sha256(key.encode()).hexdigest()[:16]


def compile_into(folder: Path) -> None:
    """From now on, this process and its children keep compiled code there."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    os.environ["FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED"] = "1"
    os.environ["FLASH_ATTENTION_CUTE_DSL_CACHE_DIR"] = str(folder / "fa4")


def _root() -> Path:
    return Path(platformdirs.user_cache_dir("autoresearch")) / "compiled"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _sources() -> str:
    """One hash of the code that is compiled: another version's results are of no use, and would be copied in vain."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _COMPILED)).hexdigest()
