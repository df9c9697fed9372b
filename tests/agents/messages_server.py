"""A real HTTP server on loopback that speaks the streaming Messages API as it is told, case by case.

    with MessagesServer([edit_and_submit("0.5", "0.4"), status(529)]) as server:
        Claude({"base_url": server.url})

A step answers one request: `reply` streams an answer, `status` is an error, `cut` ends a reply in the middle, `raw` is
anything. A function is called with the request's body and returns a step. What it would charge is counted.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 40  # characters of a delta


@dataclass(frozen=True)
class Step:
    """One answer. events: None: there is no stream, only a body. stop_after: events before the connection is cut."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: tuple[Mapping[str, Any], ...] | None = None
    stop_after: int | None = None
    hang_after: int | None = None  # events before it says nothing more until the server is closed
    output: int = 0


Scripted = Step | Callable[[dict[str, Any]], Step]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thought(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": "c2lnbmVk"}


def tool(name: str, given: Any = None, **more: Any) -> dict[str, Any]:
    """A call of a tool. `given`: its input as a string that is streamed as it is, or as an object."""
    return {"type": "tool_use", "name": name, "input": more if given is None else given}


def edit(old: str | None, new: str, path: str = "train.py") -> dict[str, Any]:
    return tool("edit", path=path, new_text=new, **({} if old is None else {"old_text": old}))


def submit(description: str = "a change", hypothesis: str = "It helps.") -> dict[str, Any]:
    return tool("submit", description=description, hypothesis=hypothesis)


def reply(*blocks: Mapping[str, Any], stop: str | None = None, output: int | None = None, **delta: Any) -> Step:
    """An answer of these blocks. stop: the reason; by default tool_use where a tool is called."""
    stop = stop or ("tool_use" if any(b["type"] == "tool_use" for b in blocks) else "end_turn")
    output = len(json.dumps(blocks)) // 4 + 1 if output is None else output
    events: list[Mapping[str, Any]] = [{"type": "message_start"}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        events += _block(index, block)
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None, **delta},
         "usage": {"output_tokens": output}}
    )  # fmt: skip
    events.append({"type": "message_stop"})
    return Step(events=tuple(events), output=output)


def edit_and_submit(old: str, new: str, description: str = "a change") -> Step:
    """The whole of a proposal in one answer."""
    return reply(thought(f"What if {new}?"), text("I change it."), edit(old, new), submit(description))


def cut(step: Step, after: int) -> Step:
    """The same, but the connection is cut after so many events; before the headers, with -1."""
    return Step(events=step.events, stop_after=after, output=step.output)


def hang(step: Step, after: int) -> Step:
    """The same, but after so many events nothing more comes."""
    return Step(events=step.events, hang_after=after, output=step.output)


def status(code: int, message: str = "no", kind: str = "error", **headers: str) -> Step:
    """An error of the API. Headers are written with _ for -."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Step(code, {"content-type": "application/json", **named}, json.dumps(body).encode())


def error_in_stream(kind: str, after: Iterable[Mapping[str, Any]] = ()) -> Step:
    """A stream that begins well and then tells of an error."""
    return Step(events=(*after, {"type": "error", "error": {"type": kind, "message": "in mid-stream"}}))


def raw(body: bytes, content_type: str = "text/html") -> Step:
    return Step(headers={"content-type": content_type}, body=body)


def _block(index: int, block: Mapping[str, Any]) -> list[dict[str, Any]]:
    start = dict(block)
    if block["type"] == "tool_use":
        whole = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
        start |= {"id": f"toolu_{index}_{abs(hash(whole)) % 10**8}", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(whole)]
    elif block["type"] == "thinking":
        start |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "text":
        start |= {"text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    else:
        deltas = []
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _pieces(whole: str) -> list[str]:
    size = max(PIECE, len(whole) // 200)
    return [whole[k : k + size] for k in range(0, len(whole), size)]


class MessagesServer:
    """The server. `requests`: the bodies it got; `keys`: the API keys; `charged`: (input, output) tokens.

    A call that is cut counts as if the answer had been made to its end: the harshest reading.
    """

    def __init__(self, steps: Iterable[Scripted] = (), default: Scripted | None = None) -> None:
        self.steps = list(steps)
        self.default = default
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.charged: list[tuple[int, int]] = []
        self._turn = threading.Lock()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> MessagesServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, *steps: Scripted) -> None:
        with self._turn:
            self.steps += steps

    def dollars(self, price_in: float, price_out: float) -> float:
        """What it would charge at these prices, with nothing read from a cache."""
        return sum(i * price_in + o * price_out for i, o in self.charged) / 1e6

    def told(self, number: int) -> list[dict[str, Any]]:
        """The messages of a request, without marks for the cache."""
        messages = json.loads(json.dumps(self.requests[number]["messages"]))
        for message in messages:
            for block in message["content"]:
                block.pop("cache_control", None)
        return messages

    def results(self, number: int) -> list[tuple[bool, str]]:
        """What the tools answered in a request: (is it an error, its words)."""
        blocks = [b for m in self.told(number) for b in m["content"] if b["type"] == "tool_result"]
        return [(bool(b.get("is_error")), b["content"]) for b in blocks]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length", 0))
        given = handler.rfile.read(length)
        body = json.loads(given)
        with self._turn:
            self.requests.append(body)
            sent = handler.headers.get("x-api-key") or handler.headers.get("authorization", "")
            self.keys.append(sent.removeprefix("Bearer "))
            step = self.steps.pop(0) if self.steps else (self.default or status(418, "the script is over"))
        if callable(step):
            step = step(body)
        if step.events is not None:
            with self._turn:
                self.charged.append((len(given) // 4, step.output))
        handler.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send(handler, step, len(given) // 4)

    def _send(self, handler: BaseHTTPRequestHandler, step: Step, tokens: int) -> None:
        if step.stop_after == -1:
            return
        handler.send_response(step.status)
        for name, value in step.headers.items():
            handler.send_header(name, value)
        if step.events is None:
            handler.send_header("content-length", str(len(step.body)))
            handler.end_headers()
            handler.wfile.write(step.body)
            return
        handler.send_header("content-type", "text/event-stream; charset=utf-8")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for k, event in enumerate(step.events):
            if k == step.stop_after:
                return  # without the last chunk: the other side sees a connection that broke
            if k == step.hang_after:
                self._closing.wait()
                return
            if event["type"] == "message_start":
                message = self._message(tokens)
                event = {"type": "message_start", "message": message | ({"usage": None} if "bare" in event else {})}
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def _message(self, tokens: int) -> dict[str, Any]:
        usage = {"input_tokens": tokens, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1},
        }  # fmt: skip
