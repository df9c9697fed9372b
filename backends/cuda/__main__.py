"""The verbs of the cuda backend: `python -P -m backends.cuda VERB`.

check | prepare | scaffold DIR | serve | evaluate. Each verb imports only what it needs: a wait here is felt in every
trial.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> None:
    """Run the verb that the command line names. Bad input: one line on stderr, status 2."""
    arguments = _parser().parse_args()
    match arguments.verb:
        case "check":
            _check(as_json=arguments.json, fast=arguments.fast)
        case "prepare":
            from backends.cuda import devices
            from backends.reference import prepare

            prepare.main("cuda", devices.find)
        case "scaffold":
            _scaffold(arguments.folder, arguments.profile, arguments.device)
        case "serve":
            from backends.cuda import serve

            serve.main()
        case "evaluate":
            from backends.reference import evaluate

            evaluate.main()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m backends.cuda", description="The reference GPT on PyTorch.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="what works here")
    check.add_argument("--json", action="store_true", help="for programs")
    check.add_argument("--fast", action="store_true", help="look PyTorch up without importing it")
    verbs.add_parser("prepare", help="make the rows (started by a run)")
    scaffold = verbs.add_parser("scaffold", help="write a task folder")
    scaffold.add_argument("folder", type=Path, metavar="DIR")
    scaffold.add_argument("--profile", default="auto", help="auto, cpu or gpu-80gb")
    scaffold.add_argument("--device", default="auto", help="what profile auto looks at")
    verbs.add_parser("serve", help="answer token rows (started by evaluate)")
    verbs.add_parser("evaluate", help="score a checkpoint (started by a run)")
    return parser


def _check(as_json: bool, fast: bool) -> None:
    from backends.cuda import devices

    found = devices.check(fast)
    if as_json:
        print(json.dumps(found))
        return
    print(f"python {found['python']}, torch {found['torch'] or 'missing'}")
    for device in found["devices"]:
        attention = found["attention"][device["name"]]
        print(f"{device['name']}: {device['description']}, {device['memory_mb']:,} MB, attention {attention}")
    print(f"data: {len(found['data'])} sets of rows prepared")
    for problem in found["problems"]:
        print(f"! {problem['what']}; mend: {problem['mend']}")


def _scaffold(folder: Path, profile: str, device: str) -> None:
    from backends.cuda import devices
    from backends.reference import prepare, scaffold

    try:
        chosen = prepare.profile_for(devices.find(device), profile)
        scaffold.write(Path(__file__).parent, folder, chosen)
    except prepare.BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
