"""The verbs of the cuda backend: `python -P -m backends.cuda VERB …`.

Each verb imports only what it needs: a wait here is felt in every trial. A verb with words of its own reads them
itself; `python -P -m backends.cuda VERB --help` lists them.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.reference.profiles import Profile

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


def main() -> None:
    """Run the verb that the command line names. Bad input: one line on stderr, status 2."""
    parser = argparse.ArgumentParser(
        prog="python -P -m backends.cuda",
        description="The reference GPT on PyTorch.",
        epilog="\n".join(f"  {verb:<10}{what}" for verb, what in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…")
    arguments = parser.parse_args()
    words: list[str] = arguments.words
    match arguments.verb:
        case "check":
            _check(words)
        case "prepare":
            from backends.cuda import devices, warm
            from backends.reference import prepare

            prepare.main("cuda", devices.find, warm.command)
        case "data":
            from backends.cuda import devices
            from backends.reference import data

            data.main(words, "python -P -m backends.cuda data", devices.find)
        case "scaffold":
            _scaffold(words)
        case "standby":
            from backends.cuda import standby

            standby.main()
        case "tune":
            _tune(words)
        case "warm":
            from backends.cuda import warm

            warm.main(words)
        case "serve":
            from backends.cuda import standby

            standby.import_until_asked()  # a trial is training meanwhile
            from backends.cuda import serve

            serve.main()
        case "evaluate":
            from backends.reference import evaluate

            evaluate.main()
        case "sample":
            from backends.cuda import sample

            sample.main()


def _words(verb: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"python -P -m backends.cuda {verb}", description=VERBS[verb])


def _check(words: list[str]) -> None:
    from backends.cuda import devices

    parser = _words("check")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--fast", action="store_true", help="look PyTorch up without importing it")
    arguments = parser.parse_args(words)
    found = devices.check(arguments.fast)
    print(json.dumps(found) if arguments.json else devices.text(found))


def _scaffold(words: list[str]) -> None:
    from backends.reference import profiles, scaffold
    from backends.reference.corpus import BadInput

    parser = _words("scaffold")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--profile", default="auto", help=f"auto, demo, {', '.join(profiles.PROFILES)}")
    parser.add_argument("--device", default="auto", help="what profile auto looks at")
    parser.add_argument("--dataset", default="auto", help="stdlib, climbmix or a path; auto: climbmix on a GPU")
    parser.add_argument("--shards", type=int, help="training shards of climbmix")
    parser.add_argument("--elsewhere", action="store_true", help="nothing of this backend need be here")
    arguments = parser.parse_args(words)
    try:
        where, chosen = _sizes(arguments.device, arguments.profile, arguments.elsewhere)
        dataset = arguments.dataset
        if dataset == "auto":  # the sources of a library are too little for the sizes of a GPU
            dataset = "climbmix" if chosen.name.startswith("gpu-") else "stdlib"
        scaffold.write(Path(__file__).parent, arguments.folder, chosen, dataset, arguments.shards)
        print(f"cuda: profile {chosen.name} for {where}; text: {dataset}")
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _sizes(device: str, profile: str, elsewhere: bool) -> tuple[str, Profile]:
    """For whom, and the profile. `elsewhere`: what is not here is no error, and gets the sizes of the original."""
    from backends.cuda import devices
    from backends.reference import profiles
    from backends.reference.corpus import BadInput

    try:
        found = devices.find(device)
    except BadInput:
        if not elsewhere:
            raise
        name = {"auto": profiles.REFERENCE, "demo": "cpu"}.get(profile, profile)
        return "another machine", profiles.PROFILES[name]
    return found.description, profiles.profile_for(found, profile)


def _tune(words: list[str]) -> None:
    from backends.cuda import devices
    from backends.reference import tune
    from backends.reference.corpus import BadInput

    parser = _words("tune")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the task's folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--dry-run", action="store_true", help="measure, and leave train.py as it is")
    arguments = parser.parse_args(words)
    try:
        device = devices.find(arguments.device)
        say = functools.partial(print, flush=True)
        tune.tune(arguments.folder, device, arguments.seconds, say, dry_run=arguments.dry_run)
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
