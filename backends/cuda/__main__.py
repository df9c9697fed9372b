"""The verbs of the cuda backend: `python -P -m backends.cuda VERB …`.

Each verb imports only what it needs: a wait here is felt in every trial. A verb with words of its own reads them
itself; `python -P -m backends.cuda VERB --help` lists them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

VERBS = {
    "check": "what works here",
    "prepare": "make the rows (started by a run)",
    "scaffold": "write a task folder",
    "serve": "answer token rows (started by evaluate)",
    "evaluate": "score a checkpoint (started by a run)",
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
            from backends.cuda import devices
            from backends.reference import prepare

            prepare.main("cuda", devices.find)
        case "scaffold":
            _scaffold(words)
        case "serve":
            from backends.cuda import serve

            serve.main()
        case "evaluate":
            from backends.reference import evaluate

            evaluate.main()


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
    from backends.cuda import devices
    from backends.reference import profiles, scaffold
    from backends.reference.corpus import BadInput

    parser = _words("scaffold")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--profile", default="auto", help=f"auto, {', '.join(profiles.PROFILES)}")
    parser.add_argument("--device", default="auto", help="what profile auto looks at")
    arguments = parser.parse_args(words)
    try:
        chosen = profiles.profile_for(devices.find(arguments.device), arguments.profile)
        scaffold.write(Path(__file__).parent, arguments.folder, chosen)
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
