"""Where the API key comes from, how it is handed to an engine, and what the keyring does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import autoresearch

from core import installing, secrets
from core.agents.claude import Claude
from core.errors import UsageError

AUTORESEARCH = str(Path(sys.executable).parent / "autoresearch")
KEYRING = """\
# In the place of the package `keyring`: what of it is used, kept in a file.
import json, os, pathlib, types
FILE = pathlib.Path(os.environ["KEYRING_FILE"])
class KeyringError(Exception): pass
class PasswordDeleteError(KeyringError): pass
errors = types.SimpleNamespace(KeyringError=KeyringError, PasswordDeleteError=PasswordDeleteError)
def _all():
    if FILE.with_name(FILE.name + ".locked").exists(): raise KeyringError("the collection is locked")
    return json.loads(FILE.read_text()) if FILE.exists() else {}
def get_keyring(): return types.SimpleNamespace(name="Test Ring")
def get_password(service, user): return _all().get(f"{service}/{user}")
def set_password(service, user, password): FILE.write_text(json.dumps({**_all(), f"{service}/{user}": password}))
def delete_password(service, user):
    kept = _all()
    if f"{service}/{user}" not in kept: raise PasswordDeleteError("not found")
    del kept[f"{service}/{user}"]
    FILE.write_text(json.dumps(kept))
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(secrets.VARIABLE, raising=False)
    monkeypatch.setattr(secrets, "_handed", "")
    monkeypatch.setattr(secrets, "_refused", "")
    monkeypatch.setattr(secrets, "_own", "")
    monkeypatch.setitem(sys.modules, "keyring", None)  # not installed, whatever is here


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keyring for this process and for commands; returns its file."""
    place = tmp_path / "packages"
    place.mkdir()
    (place / "keyring.py").write_text(KEYRING)
    monkeypatch.setenv("KEYRING_FILE", str(tmp_path / "ring.json"))
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "keyring")
    return tmp_path / "ring.json"


def found_key() -> str | None:
    found = secrets.find()
    return found.key if found else None


def test_the_environment_goes_before_the_keyring(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_key() is None
    assert "key set" in secrets.missing()
    secrets.store("sk-of-the-ring")
    found = secrets.find()
    assert found is not None
    assert (found.key, found.where) == ("sk-of-the-ring", "the keyring (Test Ring)")
    monkeypatch.setenv(secrets.VARIABLE, " sk-of-the-environment\n")
    assert found_key() == "sk-of-the-environment"
    assert "sk-of" not in repr(secrets.find())


def test_the_keyrings_key_goes_to_no_other_server(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.store("sk-of-the-ring")
    assert Claude({})._find_key() == "sk-of-the-ring"
    elsewhere = Claude({"base_url": "http://127.0.0.1:1"})
    assert elsewhere._find_key() == "none"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-environment")
    assert elsewhere._find_key() == "sk-of-the-environment"


def test_after_a_refused_key_the_keyring_has_its_say(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secrets.VARIABLE, "sk-wrong")
    secrets.refuse("sk-wrong")
    assert found_key() == "sk-wrong", "there is no other"
    secrets.store("sk-right")
    assert found_key() == "sk-right"
    secrets.refuse("sk-right")
    assert found_key() == "sk-wrong"


def test_a_keyring_that_does_not_answer_is_said_and_stops_nothing(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{ring}.locked").touch()
    assert found_key() is None
    assert "the collection is locked; unlock it" in secrets.missing()
    with pytest.raises(UsageError, match="locked"):
        secrets.store("sk-x")
    monkeypatch.setenv(secrets.VARIABLE, "sk-of-the-environment")
    assert found_key() == "sk-of-the-environment"


@pytest.mark.parametrize("key", ["two words", "sk-\u00fc", "sk-\x1b[2J", "x" * 5000, "line\nline"])
def test_what_is_no_key_is_refused_without_being_said(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        secrets.check(key)
    assert key not in str(refused.value)
    monkeypatch.setenv(secrets.VARIABLE, key)
    with pytest.raises(UsageError), secrets.handed_over():
        pass


def test_it_is_handed_over_on_a_pipe_and_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secrets.VARIABLE, "sk-handed")
    with secrets.handed_over() as (descriptor, environment):
        assert descriptor is not None
        assert secrets.VARIABLE not in environment
        assert environment["PATH"] == os.environ["PATH"]
        monkeypatch.delenv(secrets.VARIABLE)
        secrets.take(os.dup(descriptor))
        assert os.read(descriptor, 1) == b"", "nobody else gets it"
    assert found_key() == "sk-handed"
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_a_command_takes_it_out_of_its_childrens_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secrets.VARIABLE, "sk-own")
    secrets.seclude()
    assert secrets.VARIABLE not in os.environ
    assert subprocess.run(["env"], capture_output=True, text=True, check=True).stdout.count("sk-own") == 0
    found = secrets.find()
    assert found is not None
    assert (found.key, found.where) == ("sk-own", "ANTHROPIC_API_KEY of the environment")
    with secrets.handed_over() as (descriptor, _):
        assert descriptor is not None
        assert os.read(descriptor, 100) == b"sk-own"


def test_without_a_key_nothing_is_handed_over() -> None:
    with secrets.handed_over() as (descriptor, environment):
        assert descriptor is None
        assert secrets.VARIABLE not in environment


def test_the_command_keeps_shows_where_and_removes(ring: Path, tmp_path: Path) -> None:
    def key(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        argv = [AUTORESEARCH, "key", *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, input=typed, timeout=60)

    assert key().returncode == 1
    assert "no API key" in key().stdout
    assert key("set", typed="\n").returncode == 2
    assert "no key was given" in key("set", typed="\n").stderr
    kept = key("set", typed="sk-canary-1\n")
    assert (kept.returncode, kept.stdout) == (0, "kept in the keyring (Test Ring)\n")
    assert json.loads(ring.read_text()) == {"autoresearch/anthropic": "sk-canary-1"}
    assert key().stdout == "found in the keyring (Test Ring)\n"
    refused = key("set", typed="two words\n")
    assert refused.returncode == 2
    assert "two words" not in refused.stdout + refused.stderr
    assert key("remove").stdout == "removed\n"
    assert key("remove").stdout == "the keyring holds none\n"


def test_without_the_package_the_command_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for words in (("set",), ("remove",)):
        done = autoresearch("key", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert installing.command("keyring") in done.stderr
    monkeypatch.setenv(secrets.VARIABLE, "sk-canary-2")
    shown = autoresearch("key", cwd=tmp_path)
    assert shown.stdout == "found in ANTHROPIC_API_KEY of the environment\n"
