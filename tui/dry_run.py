"""`autoresearch run --dry-run`: what the agent would be asked first, and what that can cost."""

from __future__ import annotations

import click

from core.launch import Options
from tui import agent_words, text
from tui.watch import say


def show(options: Options) -> int:
    """The prompt to stdout; to stderr whose it is, what it can cost, and what would follow."""
    from core.dry_run import first_prompt

    first = first_prompt(options)
    for line in text.clean_lines(first.text):
        click.echo(line)
    said = [f"the first prompt to {text.one_line(first.model)}: {len(first.text):,} characters; {first.missing}"]
    if first.tokens is None:
        said.append("what it will cost is not known before it has run")
    elif first.dollars is None:
        said.append(f"at most {first.tokens:,} tokens with the answer; the price is not known: --price IN/OUT")
    else:
        paid = agent_words.dollars(first.dollars)
        said.append(f"at most {first.tokens:,} tokens and {paid} for the first call, its answer included")
        said.append("a proposal takes several calls, of which the later ones read most of the prompt from the cache")
    if options.max_dollars is not None or options.max_tokens is not None:
        caps = [agent_words.cap(options.max_dollars)] if options.max_dollars is not None else []
        caps += [f"{options.max_tokens:,} tokens"] if options.max_tokens is not None else []
        dear = options.max_dollars is not None and first.dollars is not None and first.dollars > options.max_dollars
        long = options.max_tokens is not None and first.tokens is not None and first.tokens > options.max_tokens
        said.append(
            f"no call fits into {caps[0 if dear else -1]}: not one would be made"
            if dear or long
            else f"the run ends before it can have cost more than {' or '.join(caps)}"
        )
    for line in (*said, f"nothing was started; it would be: {first.plan}"):
        say(line)
    return 0
