"""Who is let in: the token, the cookie that stands for it, and the names under which the server may be asked."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import field

from core.facts import folded

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")


def _secret() -> str:
    return secrets.token_urlsafe(32)


@folded
class Door:
    """The token opens the page; the page's own requests carry the cookie, which no script can read.

    The cookie is another secret than the token: browsers send cookies to every port of a host.
    """

    names: frozenset[str] = frozenset()
    token: str = field(default_factory=_secret, repr=False)
    pass_word: str = field(default_factory=_secret, repr=False)

    def refusal(self, headers: Mapping[str, str], token: str | None, cookie: str | None) -> str:
        """Why a request is not answered, in words for whoever sent it; empty if it is."""
        host = headers.get("Host", "")
        if not self._known(host):
            return "asked for under a name that is not this server's (its address, localhost, or --host)"
        if headers.get("Origin", f"http://{host}") not in (f"http://{host}", f"https://{host}"):
            return "asked for by a page of another server"
        if not (_same(token, self.token) if token is not None else _same(cookie, self.pass_word)):
            return "no entry without the token: open the whole URL that `autoresearch web` printed"
        return ""

    def _known(self, host: str) -> bool:
        """Addresses and names of our own: a name of somebody else's that is made to point here is how a foreign page
        reaches a server on loopback."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        return name in self.names or name == "localhost" or _is_address(name)


def door(names: Iterable[str]) -> Door:
    """A door with fresh secrets; `names`: by which the server is known beside its addresses and localhost."""
    return Door(frozenset(name.lower() for name in names))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_everywhere(host: str) -> bool:
    """Whether that is no address but all of them."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(given: str | None, secret: str) -> bool:
    return hmac.compare_digest((given or "").encode("utf-8", "surrogatepass"), secret.encode())


def headers(host: str) -> dict[str, str]:
    """What every answer carries: nothing from outside, no frame around it, no address handed on. `host`: as asked for,
    after the door; older Safaris do not count a websocket as 'self'."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; font-src 'self'; "
        f"connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
