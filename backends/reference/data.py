"""The `data` verb: prepare a data set ahead of its run, list what the cache holds, remove some of it.

data prepare --dataset D [--shards N] [--profile P] [--device D]
data list [--json]
data remove NAME|KEY [--yes]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from backends.reference import cache, inventory, prepare
from backends.reference.corpus import BadInput
from backends.reference.digests import cache_folder
from backends.reference.inventory import Holding
from backends.reference.profiles import PROFILES, Device

INTERRUPTED = 130


def main(words: Sequence[str], prog: str, find_device: Callable[[str], Device]) -> None:
    """Do what the words say. Bad input: one line on stderr, status 2; an interrupt: one line, status 130."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started us may have set it to be ignored
    arguments = _parser(prog).parse_args(words)
    try:
        match arguments.what:
            case "prepare":
                _prepare(arguments, find_device)
            case "list":
                found = inventory.holdings()
                print(json.dumps([_described(one) for one in found]) if arguments.json else table(found))
            case "remove":
                _remove(arguments.name, yes=arguments.yes)
    except BadInput as error:
        print(f"autoresearch: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has left
    except KeyboardInterrupt:
        print(
            "autoresearch: interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr
        )
        sys.exit(INTERRUPTED)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Data sets: prepare, list, remove.")
    verbs = parser.add_subparsers(dest="what", required=True, metavar="prepare | list | remove")
    making = verbs.add_parser("prepare", help="download, tokenise and pack a data set")
    making.add_argument("--dataset", required=True, help=prepare.DATASETS)
    making.add_argument("--shards", type=int, help="training shards of climbmix; 10")
    making.add_argument("--profile", default="auto", help=f"auto, {', '.join(PROFILES)}")
    making.add_argument("--device", default="auto", help="what profile auto looks at")
    listing = verbs.add_parser("list", help="what the cache holds")
    listing.add_argument("--json", action="store_true", help="for programs")
    removing = verbs.add_parser("remove", help="free what a data set takes")
    removing.add_argument("name", metavar="NAME|KEY")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    return parser


# --- prepare ---------------------------------------------------------------------------------------------------------


def _prepare(arguments: argparse.Namespace, find_device: Callable[[str], Device]) -> None:
    settings = {"profile": arguments.profile, "dataset": arguments.dataset}
    if arguments.shards is not None:
        settings["shards"] = arguments.shards
    asked = prepare.resolve(settings, find_device(arguments.device))
    prepared = prepare.make(asked)
    record, length = prepared.record, asked["sequence_length"]
    rows, vocab_size = record["train_row_count"], asked["vocab_size"]
    size = sum(path.stat().st_size for path in prepared.folder.iterdir())
    for note in record["notes"]:
        print(note)
    print(
        f"{rows:,} rows of {length:,} tokens to train on ({rows * length / 1e6:,.1f} M), "
        f"{record['validation_row_count']:,} to validate; vocabulary {vocab_size:,}; profile {asked['profile']}"
    )
    print(f"{megabytes(size)} in {prepared.folder}")
    # JSON's strings are TOML's, but for what no path here needs.
    lines = [f"dataset = {json.dumps(asked['dataset'], ensure_ascii=False)}"]
    lines += [f"shards = {asked['shards']}"] if "shards" in asked else []
    print("to train on it, in task.toml under [settings]:", *lines, sep="\n  ", flush=True)


# --- list and remove -------------------------------------------------------------------------------------------------


def _described(one: Holding) -> dict[str, Any]:
    return {**asdict(one), "paths": [str(path) for path in one.paths]}


def table(found: Sequence[Holding]) -> str:
    """What there is, for people: a block for each data set, a line for each thing."""
    lines = []
    for name in dict.fromkeys(one.dataset for one in found):
        of_it = [one for one in found if one.dataset == name]
        lines.append(f"{name}: {megabytes(sum(one.size_bytes for one in of_it))}")
        lines += [
            f"  {one.kind:<10}{megabytes(one.size_bytes):>10}  {day(one.used):<10}  {one.key[:12]:<12}  {_details(one)}"
            for one in of_it
        ]
    total = sum(one.size_bytes for one in found)
    folder = cache_folder()
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    if not found:
        return f"nothing in {folder} yet; start with: autoresearch prepare --dataset climbmix"
    return "\n".join([*lines, f"{megabytes(total)} in {folder}, {megabytes(free)} free"])


def _details(one: Holding) -> str:
    facts = one.facts
    said = [
        f"T {facts['sequence_length']:,}" if facts.get("sequence_length") else "",
        f"V {facts['vocab_size']:,}" if "vocab_size" in facts else "",
        f"{facts['rows']:,} + {facts['validation_rows']:,} rows" if "rows" in facts else "",
        f"{facts['tokens'] / 1e6:,.1f} M tokens" if "tokens" in facts else "",
        f"{facts['shards']} shards" if facts.get("shards") else "",
        f"{facts['files']} files" if "files" in facts else "",
    ]
    return ", ".join(part for part in said if part)


def _remove(name: str, *, yes: bool) -> None:
    some = inventory.chosen(inventory.holdings(), name)
    size = megabytes(sum(one.size_bytes for one in some))
    if not yes:
        print(table(some).rsplit("\n", 1)[0])
    if any(one.kind == "text" for one in some):
        print(f"with the shards in {some[0].paths[0].parent}, which the original program may use as well")
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(f"{name}: {size}; nobody here to ask, so add --yes")
        print(f"remove {size}? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):  # the end of input is a no
            print("nothing removed")
            return
    with cache.writing(cache_folder(), 0, "removal"):
        inventory.remove(some)
    print(f"removed {size} of {', '.join(dict.fromkeys(one.dataset for one in some))}")


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 10**9 else f"{size_bytes / 1e6:,.1f} MB"


def day(seconds: float) -> str:
    """The day of a time; the hour, where it was today."""
    then = datetime.datetime.fromtimestamp(seconds)
    today = datetime.datetime.fromtimestamp(time.time()).date()
    return then.strftime("%H:%M") if then.date() == today else then.strftime("%Y-%m-%d")
