"""`claude`: a model behind the Messages API edits the artifact. The only file that knows Anthropic's SDK.

A server of one's own that speaks the same API works as well (ANTHROPIC_BASE_URL). The SDK's own retries are off: how
often and how long we wait is shown, and every try is paid for in the journal.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from core.agents import CalledOff, Desk, Refused, Request, Unable
from core.agents.answers import Answer, Gathering, NotTheApi, TooLong
from core.agents.calls import Calls, Trouble
from core.agents.conversation import Conversation, common
from core.agents.prices import DEFAULT_MODEL, MODELS, price
from core.agents.prompt import prompt
from core.agents.wire import NO_SUCH_SERVER, OFFICIAL, address, refused, shown, status_of, words
from core.errors import UsageError
from core.experiment import Proposal
from core.log import plain
from core.spending import Usage

if TYPE_CHECKING:
    import anthropic

EFFORTS = ("low", "medium", "high", "xhigh", "max")
MAX_TOKENS = 32_000  # of one answer, its thoughts included
CONNECT_SECONDS, SILENCE_SECONDS = 20.0, 600.0  # a local model may read a long prompt for minutes without a word
LONGEST_SECONDS = 3600.0  # of one answer
READABLE = (".py", ".md", ".toml", ".yaml", ".yml", ".cfg", ".sh")  # of the task's other files; data is not shown
_LOOK_SECONDS = 0.2  # how often it looks whether the run is to stop


class Claude:
    """The agent. `options`: model, effort, price_in, price_out, base_url; nothing secret."""

    reads_notes = True
    repairs = 2

    def __init__(self, options: Mapping[str, Any], chance: random.Random | None = None) -> None:
        self.model = str(options.get("model") or DEFAULT_MODEL)
        self.price = price(options)
        self._base = address(options.get("base_url") or os.environ.get("ANTHROPIC_BASE_URL"))
        self.where = shown(self._base)
        effort = options.get("effort")
        if effort is not None and effort not in EFFORTS:
            raise UsageError(f"--effort {effort}: no such effort; use {', '.join(EFFORTS)}")
        known = MODELS.get(self.model)
        self._extra: dict[str, Any] = {"output_config": {"effort": effort}} if effort else {}
        if known and known.adaptive:
            self._extra["thinking"] = {"type": "adaptive", "display": "summarized"}
        self._key: str | None = None
        self._calls = Calls(self.model, self.price, self._exchange, chance)

    def propose(self, request: Request) -> Proposal:
        """The next proposal, or the repair of the one that crashed. Raises Refused, Unable, CalledOff or CapReached."""
        self._key = self._find_key()
        request.desk.say(f"[asks {self.model} at {self.where}]\n")
        return self.conversation(request).proposal()

    def conversation(self, request: Request) -> Conversation:
        """The conversation about this proposal, before anything is said."""
        told = prompt(request)
        marked = self.model.startswith("claude-")  # others cache by themselves, or not at all
        shared = common(self.model, told.stable, MAX_TOKENS, self._extra, marked)
        return Conversation(request, told, shared, self._calls, lambda name: _committed(request, name))

    def _find_key(self) -> str:
        from core.secrets import check, find, missing

        found = find()
        if self._base != OFFICIAL and (found is None or found.stored):
            return "none"  # a server of one's own asks for no key; the SDK wants one
        if found is None:
            raise Unable("the claude agent needs an API key", missing())
        try:
            check(found.key)
        except UsageError as error:
            raise Unable(str(error), "set it anew: autoresearch key set") from None
        return found.key

    # --- one call

    def _exchange(self, body: Mapping[str, Any], desk: Desk) -> Answer:
        """One request and its answer. Raises Trouble, CalledOff, Refused."""
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self._watched(body, desk))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _watched(self, body: Mapping[str, Any], desk: Desk) -> Answer:
        """Stream the answer, and give up at once when the run is to stop."""
        said: list[str] = []
        streaming = asyncio.ensure_future(self._stream(body, said))
        deadline = asyncio.get_running_loop().time() + LONGEST_SECONDS
        try:
            while not streaming.done():
                await asyncio.wait({streaming}, timeout=_LOOK_SECONDS)
                if said:
                    desk.say(plain("".join(said)))
                    said.clear()
                if desk.stopping and not streaming.done():
                    raise CalledOff
                if asyncio.get_running_loop().time() > deadline:
                    raise Refused(f"the answer did not end within {LONGEST_SECONDS / 60:.0f} minutes")
            return streaming.result()
        finally:
            if not streaming.done():
                streaming.cancel()
                await asyncio.wait({streaming}, timeout=2.0)

    async def _stream(self, body: Mapping[str, Any], said: list[str]) -> Answer:
        """Gather the answer; what is to be shown of it goes into `said`."""
        import anthropic
        import httpx2

        answer = Gathering()
        limits = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, write=60.0)
        try:
            async with (
                anthropic.AsyncAnthropic(
                    api_key=self._key, base_url=self._base, max_retries=0, timeout=limits,
                    http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False, timeout=limits),
                ) as client,
                await client.messages.create(**body, stream=True) as events,
            ):  # fmt: skip
                if "event-stream" not in events.response.headers.get("content-type", ""):
                    raise NotTheApi("no stream")
                async for event in events:
                    if shown := answer.add(event.to_dict()):
                        said.append(shown)
        except anthropic.APIStatusError as error:
            raise self._status(error, answer, body) from None
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
            if (whole := answer.whole()) is None:
                raise self._broken(error, answer, body) from None
            return whole
        except TooLong as error:
            raise Refused(str(error)) from None
        except (NotTheApi, ValueError, TypeError, AttributeError, anthropic.AnthropicError) as error:
            raise self._unreadable(error, answer, body) from None
        if (whole := answer.whole()) is None:
            raise self._broken(None, answer, body)
        return whole

    def _status(self, error: anthropic.APIStatusError, answer: Gathering, body: Mapping[str, Any]) -> Trouble:
        from core.secrets import refuse

        status = status_of(error.status_code, getattr(error, "type", None))
        if status == 401 and self._key:
            refuse(self._key)
        said = words(_message(error.body), self._key)
        spent = _at_most(answer, body) if answer.started else Usage()  # an error instead of an answer is not charged
        code = getattr(error, "error_code", None) or ""
        return refused(status, said, error.response.headers, self.where, self.model, code, spent)

    def _broken(self, error: Exception | None, answer: Gathering, body: Mapping[str, Any]) -> Trouble:
        """No connection, or one that ended before the answer did."""
        import httpx2

        cause = error.__cause__ if error is not None and not isinstance(error, httpx2.HTTPError) else error
        if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            mend = "look at ANTHROPIC_BASE_URL and at the proxies of the environment, then stop and resume"
            return Trouble(f"{self.where} cannot be asked ({type(cause).__name__})", mend=mend, spent=Usage())
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ProxyError):
            why = words(cause, self._key) or type(cause).__name__
            why += "" if self._base == OFFICIAL else "; is the server started, and ANTHROPIC_BASE_URL its address?"
            return Trouble(f"{self.where} cannot be reached: {why}", spent=Usage())
        if answer.started:
            return Trouble(f"{self.where} broke off in mid-answer", spent=_at_most(answer, body))
        silent = isinstance(cause, httpx2.TimeoutException)
        return Trouble(f"{self.where} {'was silent for too long' if silent else 'broke off before it answered'}")

    def _unreadable(self, error: Exception, answer: Gathering, body: Mapping[str, Any]) -> Trouble:
        """What comes is not what the API sends. Where it began as that, it may have been cut."""
        if answer.started:
            return Trouble(
                f"{self.where} sent what cannot be read ({type(error).__name__})", spent=_at_most(answer, body)
            )
        reason = f"{self.where} does not answer as the Messages API does ({type(error).__name__})"
        return Trouble(reason, mend=NO_SUCH_SERVER)


def preview(request: Request, options: Mapping[str, Any]) -> tuple[str, int, float | None]:
    """The first prompt as text, the most tokens of it and of its answer, and the dollars: None without a price."""
    agent = Claude(options)
    ask = agent.conversation(request).ask()
    return prompt(request).text, ask.hour + ask.rest + ask.output, agent._calls.worst(ask)


def _committed(request: Request, name: str) -> str | None:
    """A file of the task's folder that is no data, as it was committed when the run began; None for any other."""
    from core.workspace import Workspace

    run = request.history.run
    if run is None or PurePosixPath(name).suffix not in READABLE:
        return None
    try:
        return Workspace(request.desk.workspace).read(run.base, str(PurePosixPath(run.task_folder) / name))
    except UsageError:
        return None


def _message(body: object) -> str:
    """The words of an error's body; none where it is a web page."""
    error = body.get("error") if isinstance(body, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    said = str(message) if message else body[:200] if isinstance(body, str) else ""
    return "" if said.lstrip("\ufeff \t\r\n").startswith("<") else said


def _at_most(answer: Gathering, body: Mapping[str, Any]) -> Usage | None:
    """What a call that broke off can have cost: its input is known, its answer may have gone on to its limit.

    None where the server has not said how long the prompt was.
    """
    usage = answer.usage
    if not answer.counted_in:
        return None
    return Usage(usage.input, usage.cache_read, usage.cache_write, max(usage.output, body["max_tokens"]))
