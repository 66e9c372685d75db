"""A real HTTP server on this machine with Range support and faults that a test programs."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Self
from urllib.parse import urlsplit

Fault = Callable[["Handler"], None]
"""Answers a request in place of the server."""


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    at: float


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed has hung up; that is what such a test is about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@dataclass
class FileServer:
    """Serves ``files`` by path. Each fault of a path is used for one request, in order."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        handler = type("BoundHandler", (Handler,), {"site": self})
        self._server = _QuietServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def asked_for(self, path: str) -> list[Asked]:
        return [request for request in self.asked if request.path == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: FileServer

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the tests look at ``asked``."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.asked.append(Asked(self.command, path, headers, monotonic()))
        if self.site.faults[path]:
            self.site.faults[path].pop(0)(self)
        elif path in self.site.files:
            self.send_file(path)
        else:
            self.send_status(404)

    def send_status(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_file(
        self,
        path: str,
        *,
        cut_at: int | None = None,
        use_range: bool = True,
        heed_if_range: bool = True,
    ) -> None:
        """The file, or the part that is asked for; the line is cut at byte ``cut_at``."""
        body, etag = self.site.files[path], self.site.etags.get(path, '"one"')
        offset = (
            int(match[1])
            if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")))
            else 0
        )
        if heed_if_range and self.headers.get("If-Range") not in {None, etag}:
            use_range = False
        offset = offset if use_range else 0
        self.send_response(206 if offset else 200)
        if offset:
            self.send_header("Content-Range", f"bytes {offset}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - offset))
        if etag:
            self.send_header("ETag", etag)
        for name, value in self.site.headers.get(path, {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[offset:cut_at])
        if cut_at is not None:
            self.hang_up()

    def hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def cut(at: int) -> Fault:
    """The connection breaks at that byte of the file."""
    return lambda handler: handler.send_file(urlsplit(handler.path).path, cut_at=at)


def status(code: int, **headers: str) -> Fault:
    return lambda handler: handler.send_status(code, **headers)


def whole_file(handler: Handler) -> None:
    """Range is not understood."""
    handler.send_file(urlsplit(handler.path).path, use_range=False)


def ignoring_if_range(handler: Handler) -> None:
    """The part that is asked for, of whatever version the file now is."""
    handler.send_file(urlsplit(handler.path).path, heed_if_range=False)


def stall(at: int) -> Fault:
    """The beginning up to that byte, then nothing until the test is over."""

    def fault(handler: Handler) -> None:
        body = handler.site.files[urlsplit(handler.path).path]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(body[:at])
        handler.wfile.flush()
        handler.site.closing.wait(30)
        handler.close_connection = True

    return fault


def without_length(handler: Handler) -> None:
    """Old style: the end of the connection is the end of the file."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(handler.site.files[urlsplit(handler.path).path])
    handler.hang_up()
