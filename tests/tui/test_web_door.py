"""Who the door of `autoresearch web` lets in."""

from __future__ import annotations

import pytest

from tui.web.door import Door, door, headers, is_loopback

HOST = "127.0.0.1:8000"


@pytest.fixture
def keeper() -> Door:
    return door({"Lab-Box"})


@pytest.mark.parametrize("host", [HOST, "localhost:8000", "[::1]:8000", "lab-box", "192.168.1.5:80", "10.0.0.1"])
def test_it_is_known_by_its_addresses_and_names(keeper: Door, host: str) -> None:
    assert keeper.refusal({"Host": host}, keeper.token, None) == ""
    assert keeper.refusal({"Host": host, "Origin": f"http://{host}"}, None, keeper.pass_word) == ""


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "127.0.0.1@evil", "a b", "127.0.0.1;x"]
)
def test_a_name_of_somebody_elses_is_refused(keeper: Door, host: str) -> None:
    assert "a name that is not this server's" in keeper.refusal({"Host": host}, keeper.token, keeper.pass_word)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9000", "", f"ftp://{HOST}"])
def test_pages_of_other_servers_are_refused(keeper: Door, origin: str) -> None:
    asked = {"Host": HOST, "Origin": origin}
    assert "a page of another server" in keeper.refusal(asked, keeper.token, keeper.pass_word)


def test_it_takes_the_token_or_the_cookie_and_never_one_for_the_other(keeper: Door) -> None:
    asked = {"Host": HOST}
    wrong = [(None, None), ("", None), ("x", None), (keeper.pass_word, None), (None, keeper.token), (None, "ü\udc80")]
    wrong += [(f"{keeper.token}x", keeper.pass_word), (keeper.token[:-1], None)]
    for token, cookie in wrong:
        assert "no entry without the token" in keeper.refusal(asked, token, cookie)
    assert keeper.refusal(asked, None, keeper.pass_word) == ""
    assert keeper.token not in repr(keeper)
    assert door(()).token != keeper.token


def test_what_is_loopback() -> None:
    assert [h for h in ("localhost", "127.0.0.1", "127.8.8.8", "::1") if not is_loopback(h)] == []
    assert [h for h in ("0.0.0.0", "::", "192.168.1.5", "lab-box") if is_loopback(h)] == []


def test_no_answer_lets_a_page_ask_elsewhere() -> None:
    policy = headers(HOST)["Content-Security-Policy"]
    sources = {word for part in policy.split(";") for word in part.split()[1:]}
    assert sources == {"'none'", "'self'", "'unsafe-inline'", f"ws://{HOST}", f"wss://{HOST}"}
    assert "script-src 'self';" in policy
