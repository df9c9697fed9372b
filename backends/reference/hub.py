"""One file from a dataset repository on the hub: what the server says of it, and its bytes, however often they are cut.

huggingface_hub gives the addresses, the token and the client (with the proxies and certificates of the environment);
HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT mean what they mean there. The transfer is
ours: the library's starts again from nothing in a new process, and waits as long as a server tells it to.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import FileMetadataError, HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from backends.reference.corpus import BadInput
from backends.reference.meter import Meter

# Else the library asks the hub for a list of coding agents, before anything else, and tells it which one works here.
constants.HF_HUB_DISABLE_TELEMETRY = True

_T = TypeVar("_T")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that another try may change


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a server is tried before its user is told."""

    tries: int = 5  # in a row that bring fewer than `least_bytes`
    connect_tries: int = 3  # the same, where nobody answers at all
    wait_seconds: float = 1.0  # before the second try; doubled before each further one
    longest_wait_seconds: float = 60.0  # also where the server asks for more
    most_tries: int = 100  # of one file, however much they bring
    read_seconds: float = constants.HF_HUB_DOWNLOAD_TIMEOUT  # without one byte
    look_up_seconds: float = constants.HF_HUB_ETAG_TIMEOUT
    slow_seconds: float = 60.0  # a transfer that brings less than `least_bytes` in this time counts as cut
    least_bytes: int = 60_000


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server says of a file; each None where it does not say. sha256: of the file's bytes."""

    name: str
    size_bytes: int | None
    etag: str | None
    sha256: str | None


class Cut(Exception):
    """A transfer ended before the file did."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset repository, as one server has it. mend: what the user can do without it, for the end of messages."""

    name: str
    mend: str
    patience: Patience = Patience()

    @property
    def endpoint(self) -> str:
        return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")

    def look_up(self, name: str, meter: Meter) -> Remote:
        """Ask for a file's size and digest, without its bytes. Raises BadInput, Stopped."""

        def ask() -> Remote:
            found = get_hf_file_metadata(self._url(name), timeout=self.patience.look_up_seconds)
            digest = found.etag if found.etag and _SHA256.fullmatch(found.etag) else None
            return Remote(name, found.size, found.etag, digest)

        return self._patiently(name, ask, lambda: 0, meter)

    def fetch(self, remote: Remote, folder: Path, meter: Meter) -> Path:
        """Bring a file into `folder` under a name of its own, from where an earlier try left off; returns its path.

        Its bytes are not verified here but for their number. Raises BadInput, Stopped.
        """
        partial = self._partial(remote, folder)
        for other in folder.glob(f"{remote.name}.*.partial"):
            if other != partial or not remote.etag:
                other.unlink()
        meter.received(_size(partial))
        self._patiently(remote.name, lambda: self._go_on(remote, partial, meter), lambda: _size(partial), meter)
        return partial

    def missing_bytes(self, remote: Remote, folder: Path) -> int:
        """How much of a file an earlier try has not brought yet; 0 where the server does not say how large it is."""
        return max((remote.size_bytes or 0) - _size(self._partial(remote, folder)), 0)

    def _partial(self, remote: Remote, folder: Path) -> Path:
        version = hashlib.sha256((remote.etag or "").encode()).hexdigest()[:12]
        return folder / f"{remote.name}.{version}.partial"

    def _url(self, name: str) -> str:
        return hf_hub_url(self.name, name, repo_type="dataset", endpoint=self.endpoint)

    def _go_on(self, remote: Remote, partial: Path, meter: Meter) -> None:
        """One try at the bytes that are missing. Raises Cut, and what the client raises."""
        have = _size(partial)
        if have == remote.size_bytes:
            return
        if have > (remote.size_bytes or 0):  # more than there is; or nobody knows, and then nothing is appended
            meter.received(-have)
            partial.unlink()
            have = 0
        headers = build_hf_headers(headers={"Accept-Encoding": "identity"})
        if have:
            headers["Range"] = f"bytes={have}-"
        patience = self.patience
        timeout = httpx2.Timeout(patience.read_seconds, connect=patience.look_up_seconds)
        with get_session().stream(
            "GET", self._url(remote.name), headers=headers, timeout=timeout, follow_redirects=True
        ) as response:
            hf_raise_for_status(response)
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if have and not (response.status_code == 206 and goes_on):  # the server sends everything again
                meter.received(-have)
                have = 0
            try:
                with partial.open("r+b" if have else "wb", buffering=0) as file:
                    file.seek(have)
                    self._copy(response, file.write, meter)
            except OSError as error:
                raise self._no_room(remote, partial, error) from None
        if remote.size_bytes is not None and _size(partial) != remote.size_bytes:
            raise Cut(f"{_size(partial):,} of {remote.size_bytes:,} bytes came")

    def _copy(self, response: httpx2.Response, write: Callable[[bytes], int], meter: Meter) -> None:
        window_began, window_bytes = time.monotonic(), 0
        for block in response.iter_bytes():
            meter.check()
            unwritten = block
            while unwritten:  # an unbuffered file may take less than it is given
                unwritten = unwritten[write(unwritten) :]
            meter.received(len(block))
            window_bytes += len(block)
            if (now := time.monotonic()) - window_began > self.patience.slow_seconds:
                if window_bytes < self.patience.least_bytes:
                    raise Cut(f"only {window_bytes:,} bytes in {now - window_began:.0f} s")
                window_began, window_bytes = now, 0

    def _no_room(self, remote: Remote, partial: Path, error: OSError) -> BadInput:
        missing = (remote.size_bytes or 0) - _size(partial)
        return BadInput(
            f"{partial}: {error.strerror or error}: {missing / 1e6:,.1f} MB more needed, "
            f"{shutil.disk_usage(partial.parent).free / 1e6:,.1f} MB free; free some, or point XDG_CACHE_HOME to "
            "another disk; it goes on where it stopped"
        )

    # --- trying again ------------------------------------------------------------------------------------------------

    def _patiently(self, name: str, attempt: Callable[[], _T], progress: Callable[[], int], meter: Meter) -> _T:
        """attempt() until it succeeds or makes no progress for too long. Raises BadInput, Stopped."""
        failures = 0
        tried = 0
        while True:
            tried += 1
            meter.check()
            before = progress()
            try:
                return attempt()
            except OfflineModeIsEnabled:
                raise BadInput(
                    f"{name} is missing and HF_HUB_OFFLINE forbids to download it: unset that, or {self.mend}"
                ) from None
            except (httpx2.HTTPError, httpx2.InvalidURL, FileMetadataError, Cut) as error:
                failures = 1 if progress() - before >= self.patience.least_bytes else failures + 1
                if self._is_final(error) or failures >= self._tries(error) or tried >= self.patience.most_tries:
                    raise BadInput(self._failed(name, error)) from None
                wait = self._wait_seconds(error, failures)
                meter.say(f"{name}: {self._reason(error)}; trying again in {wait:.0f} s")
                meter.pause(wait)

    def _is_final(self, error: Exception) -> bool:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code not in _PASSING
        return isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects))

    def _tries(self, error: Exception) -> int:
        nobody = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError))
        return self.patience.connect_tries if nobody else self.patience.tries

    def _wait_seconds(self, error: Exception, failures: int) -> float:
        wait = self.patience.wait_seconds * 2.0 ** (failures - 1)
        if isinstance(error, HfHubHTTPError) and (asked := _asked_seconds(error.response.headers)) is not None:
            wait = asked
        return min(wait, self.patience.longest_wait_seconds)

    def _reason(self, error: Exception) -> str:
        """What went wrong, in a few words."""
        if isinstance(error, HfHubHTTPError):
            return f"the server answered {error.response.status_code}"
        if isinstance(error, httpx2.ConnectTimeout):
            return "no answer from the server"
        if isinstance(error, httpx2.TimeoutException):
            return "the server hangs"
        if isinstance(error, httpx2.ProxyError):
            return f"the proxy failed ({_short(error)})"
        if isinstance(error, httpx2.ConnectError):
            return f"no connection ({_short(error)})"
        return f"the transfer was cut ({_short(error)})"

    def _failed(self, name: str, error: Exception) -> str:
        """The one line for the user."""
        what = f"{name} cannot be downloaded from {self.endpoint}: {self._reason(error)}"
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
        if status in (401, 403):
            mend = f"set HF_TOKEN to a token that may read {self.name} (or unset a wrong one), or {self.mend}"
        elif status == 404:
            mend = f"it has no such file in dataset {self.name}: check HF_ENDPOINT, or {self.mend}"
        elif status == 429:
            asked = _asked_seconds(error.response.headers) if isinstance(error, HfHubHTTPError) else None
            later = f"in {asked:,.0f} s" if asked else "later"
            mend = f"too many requests: try again {later}, or set HF_TOKEN, which allows more; or {self.mend}"
        elif isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            mend = "HF_ENDPOINT must be an address like https://host"
        else:
            mend = f"try again, it goes on where it stopped; without a network {self.mend}"
        return f"{what}; {mend}"


def _asked_seconds(headers: httpx2.Headers) -> float | None:
    """How long the server asks to wait: Retry-After in seconds or as a date, else the hub's own RateLimit header."""
    if value := headers.get("Retry-After", "").strip():
        if value.isdigit():
            return float(value)
        try:
            return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
        except ValueError:
            return None
    limit = re.search(r"\br=0\s*;\s*t=(\d+)", headers.get("RateLimit", "").replace(" ", ""))
    return float(limit[1]) if limit else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
