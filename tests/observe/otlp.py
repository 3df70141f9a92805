"""A receiver in Python that speaks OTLP over HTTP: it reads what comes by the official messages of `opentelemetry-proto`, and keeps it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class Seen(NamedTuple):
    """A span as it came."""

    service: str
    namespace: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    said: dict[str, Any]
    error: str


class Receiver:
    """What came; and what it answers: 200, or an error."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.came = threading.Condition()
        self.answer = 200
        self.asked = 0
        self.url = ""

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            for group in request.resource_spans:
                who = _read(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [_seen(who, span) for span in scope.spans]
            self.came.notify_all()

    def wait(self, *names: str, seconds: float = 60.0) -> None:
        """Until spans of these names have come."""
        with self.came:
            found = self.came.wait_for(lambda: set(names) <= {span.name for span in self.spans}, seconds)
        assert found, f"never came: {set(names) - {span.name for span in self.spans}}"

    def one(self, name: str) -> Seen:
        (span,) = (span for span in self.spans if span.name == name)
        return span

    def story(self, trace: str) -> str:
        """One trace as text: the service, and the names below one another, with when they began and how long they took, in milliseconds."""
        spans = sorted((span for span in self.spans if span.trace == trace), key=lambda span: (span.start, span.end, span.name))
        began, known = spans[0].start, {span.id for span in spans}
        lines: list[str] = []

        def write(parent: str, depth: int) -> None:
            for span in spans:
                if (span.parent if span.parent in known else "") == parent:
                    state = span.said.get("farandole.state", "")
                    note = "" if state in ("", "done") else f"  {state}"
                    at, took = (span.start - began) / 1e6, (span.end - span.start) / 1e6
                    lines.append(f"{at:7.1f} {took:6.1f}  {span.service:<10} {'  ' * depth}{span.name}{note}")
                    write(span.id, depth + 1)

        write("", 0)
        return "\n".join(lines)


def _seen(who: dict[str, Any], span: Any) -> Seen:
    return Seen(
        who.get("service.name", ""), who.get("service.namespace", ""), span.name, span.trace_id.hex(), span.span_id.hex(),
        span.parent_span_id.hex(), span.start_time_unix_nano, span.end_time_unix_nano, _read(span.attributes), span.status.message,
    )  # fmt: skip


def _read(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """One at a port of its own, of loopback."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked += 1
            if found.answer == 200:
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(found.answer)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *what: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
