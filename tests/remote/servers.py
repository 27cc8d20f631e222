"""A web server on the loopback that counts what it is asked, and fails as it is told."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Bucket:
    """A folder that is served, and what becomes of requests.

    ``mark`` says what tells contents apart: ``"etag"``, ``"time"`` (Last-Modified), or ``"nothing"``. ``fails`` is
    called with each request and answers a status, or None. ``seen`` has method and path of each request that was
    answered, ``sent`` the bytes of contents. With ``ranges`` parts of files may be asked for. A request that
    ``stalls`` waits for the event after half of its answer.
    """

    folder: Path
    mark: str = "etag"
    listing: bool = False
    fails: Callable[[str, str], int | None] = lambda method, path: None
    ranges: bool = False
    half: bool = False
    stalls: threading.Event | None = None
    after: Callable[[str], None] = lambda path: None
    url: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0

    def fetched(self) -> list[str]:
        """The names of the files whose contents were sent, once for each time."""
        return sorted(Path(path).name for method, path in self.seen if method == "GET")


@contextmanager
def served(bucket: Bucket) -> Iterator[Bucket]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, bucket))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, bucket: Bucket, *args: object) -> None:
        self.bucket = bucket
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        status = self.bucket.fails(method, path)
        file = self.bucket.folder / path.lstrip("/")
        if status is None and file.is_dir() and self.bucket.listing:
            names = "".join(
                f'<a href="{each.name}{"/" if each.is_dir() else ""}">x</a>\n'
                for each in sorted(file.iterdir())
            )
            self._send(200, names.encode(), {"Content-Type": "text/html"}, method)
            return
        if status is not None or not file.is_file():
            self._send(status or 404, b"", {}, method)
            return
        data = file.read_bytes()
        marks = {
            "etag": {"ETag": f'"{hashlib.md5(data).hexdigest()}"'},
            "time": {"Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)},
            "nothing": {},
        }
        self.bucket.seen.append((method, path))
        headers = marks[self.bucket.mark] | ({"Accept-Ranges": "bytes"} if self.bucket.ranges else {})
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if self.bucket.ranges and part is not None:
            first, last = int(part[1]), min(int(part[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self._send(206, data[first : last + 1], headers, method)
        else:
            self._send(200, data, headers, method)
        self.bucket.after(path) if method == "GET" else None

    def _send(self, status: int, data: bytes, headers: dict[str, str], method: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if method == "GET":
            sent = data[: len(data) // 2] if self.bucket.half else data
            self.bucket.sent += len(sent)
            self.wfile.write(sent[: len(sent) // 2])
            if self.bucket.stalls is not None:
                self.wfile.flush()
                self.bucket.stalls.wait(30)
            self.wfile.write(sent[len(sent) // 2 :])
            self.bucket.half = False
            if sent is not data:
                self.close_connection = True
