"""`autoresearch key`: the API key of the agent `claude`, in the system's keyring."""

from __future__ import annotations

import sys

import click

from core import secrets
from core.errors import UsageError


@click.group(invoke_without_command=True)
@click.pass_context
def key(context: click.Context) -> int:
    """Where claude's API key is; set it, remove it. It is never shown."""
    if context.invoked_subcommand is not None:
        return 0
    found = secrets.find()
    if found is None:
        click.echo(secrets.missing())
        return 1
    click.echo(f"found in {found.where}")
    return 0


@key.command(name="set")
def keep() -> int:
    """Keep a key in the system's keyring. It is typed unseen, or the first line of the standard input."""
    secrets.need_keyring()  # before a key is typed
    typed = click.prompt("API key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    if not typed.strip():
        raise UsageError("no key was given; type it, or send it: autoresearch key set < FILE")
    secrets.store(typed.strip())
    click.echo(f"kept in {secrets.where_stored()}")
    found = secrets.find()
    if found is not None and found.key != typed.strip():
        click.echo(f"note: {found.where} goes before it", err=True)
    return 0


@key.command()
def remove() -> int:
    """Take the key out of the keyring."""
    click.echo("removed" if secrets.remove() else "the keyring holds none")
    return 0
