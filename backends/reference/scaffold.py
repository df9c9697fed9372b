"""The `scaffold` verb: a task folder from a backend's templates, with the constants of a profile in its train.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

from backends.reference.corpus import BadInput
from backends.reference.profiles import Profile


def write(templates: Path, folder: Path, profile: Profile, dataset: str = "stdlib", shards: int | None = None) -> None:
    """Write task.toml and train.py into `folder`, made if need be. Raises BadInput where one of them exists."""
    constants = {
        "DEPTH": profile.depth,
        "TOTAL_BATCH_SIZE": profile.total_batch_size,
        "DEVICE_BATCH_SIZE": profile.device_batch_size,
    }
    task = with_value((templates / "task.toml").read_text(encoding="utf-8"), "profile", f'"{profile.name}"')
    # JSON's strings are TOML's; without its escapes beyond ASCII, which TOML has no pairs of.
    task = with_value(task, "dataset", json.dumps(dataset, ensure_ascii=False))
    if shards is not None:
        task = task.rstrip("\n") + f"\nshards = {shards}\n"  # [settings] is the last table
    train = (templates / "train.py").read_text(encoding="utf-8")
    for name, value in constants.items():
        train = with_value(train, name, str(value))
    texts = {folder / "task.toml": task, folder / "train.py": train}
    for path in texts:
        if path.is_symlink() or path.exists():
            raise BadInput(f"{path} exists and is left as it is; choose another folder, or move it away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror or error}") from None


def with_value(text: str, name: str, value: str) -> str:
    """The text with `name = …` at the start of a line set to `value`; its comment stays, in its column if it has one.

    Raises ValueError unless there is exactly one such line.
    """
    line = re.compile(rf"^({name} *= *)([^#\n]*?)( *)(#.*)?$", re.MULTILINE)
    if len(line.findall(text)) != 1:
        raise ValueError(f"the template must have one line `{name} = …`")

    def changed(found: re.Match[str]) -> str:
        start, old, gap, comment = found.groups()
        aligned = len(gap) > 2
        room = " " * max(len(old) + len(gap) - len(value), 2) if aligned else gap
        return f"{start}{value}{room}{comment or ''}"

    return line.sub(changed, text)
