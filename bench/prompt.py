"""How large a prompt is after so many experiments, and how much of it a server's cache already has.

    python bench/prompt.py

Made without a model and without a run: nights of invented experiments on the reference train.py, program.md and
contract, every 8th a keep, with notes of the agent and of the human. Tokens are an estimate, 3.3 characters each, as
code and figures come to; what is charged is what the server counts. "cached": the part of the prompt, in per cent,
whose blocks are those of the proposal before, byte for byte, in the mean over 25 proposals. "worst": every text as long
as it may be, and an artifact at the limit.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from core.agents import Unable
from core.agents.prompt import LARGEST_SOURCES, Prompt, prompt
from core.notes import Note
from core.task import read

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "agents"))
from prompt_history import history, night, request

ROOT = Path(__file__).parents[1]
COUNTS = (10, 100, 1_000, 10_000)
PROPOSALS = 25  # over which the cached part is taken
CHARACTERS_A_TOKEN = 3.3
SOURCE = (ROOT / "backends" / "cuda" / "train.py").read_text(encoding="utf-8")
PROGRAM = (ROOT / "program.md").read_text(encoding="utf-8")
CONTRACT = read(ROOT / "backends", "cuda")[0].contract


def asked(experiments: int, long: bool = False) -> Prompt:
    """The prompt after so many. A keep changes the source, as in a run."""
    done = night(experiments)
    kept = max((e.number for e in done if e.verdict.outcome == "keep"), default=0)
    words = ("lorem ipsum " * 400) if long else "A larger batch did not pay: fewer steps. Noise is about 0.002."
    spaced = range(0, experiments, 1 if long else 20)
    memory = tuple(Note(n, f"#{n}. {words}", float(n)) for n in spaced)
    human = memory if long else (Note(3, "Leave the tokenizer alone.", 0.0), Note(9, "Try fewer layers.", 1.0))
    if long:
        done = tuple(replace(e, description=words, hypothesis=words, diff=f"+{words}\n" * 50) for e in done)
    h = history(done, memory=memory, notes=human, notes_read=len(human))
    source = "x = 1\n" * (LARGEST_SOURCES // 6) if long else f"{SOURCE}# kept: {kept}\n"
    program = "p" * 99_999 if long else PROGRAM
    return prompt(request(h, {"train.py": source}, program, contract=CONTRACT))


def cached(before: Prompt, now: Prompt) -> float:
    """The part of the second prompt that is the first one's, from the beginning, in whole blocks."""
    same = 0
    for a, b in zip((*before.stable, *before.lasting), (*now.stable, *now.lasting), strict=False):
        if a != b:
            break
        same += len(b)
    return same / len(now.text)


def figures(count: int) -> dict[str, float]:
    begun = time.process_time()
    made = asked(count)
    seconds = time.process_time() - begun
    few = [asked(n) for n in range(count, count + (PROPOSALS if count <= 1_000 else 4) + 1)]
    shares = [cached(a, b) for a, b in pairwise(few)]
    return {
        "experiments": count,
        "characters": len(made.text),
        "tokens_about": round(len(made.text) / CHARACTERS_A_TOKEN),
        "stable_characters": sum(map(len, made.stable)),
        "cached_percent": round(100 * sum(shares) / len(shares), 1),
        "seconds_with_the_night": round(seconds, 2),
    }


def main() -> None:
    try:
        prompt(request(sources={"train.py": "#" * 2**20}))
    except Unable as refusal:
        print(f"an artifact of 1 MiB: {refusal}", file=sys.stderr)
    worst = asked(1_000, long=True)
    table = [figures(count) for count in COUNTS]
    print(f"{'experiments':>11} {'characters':>11} {'tokens':>8} {'cached':>7}", file=sys.stderr)
    for row in table:
        line = (
            f"{row['experiments']:>11,} {row['characters']:>11,} {row['tokens_about']:>8,} {row['cached_percent']:>6}%"
        )
        print(line, file=sys.stderr)
    print(f"{'worst':>11} {len(worst.text):>11,}", file=sys.stderr)
    print(json.dumps({"prompt": table, "worst_characters": len(worst.text)}))


if __name__ == "__main__":
    main()
