"""See what becomes of a pair on a server, whatever happens to it: ``python benchmarks/buckets.py``.

A web server that sends parts of files, one that does not, and moto's S3 server, all on the loopback: the first run, one
with nothing changed, with another export, offline, killed while it fetches, four workers at once, an error in between;
then a large checkpoint of which only the index is needed. What was printed, how many bytes the server has sent, and
beside them a script that fetches and compares. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from cases import CASES, build
from run import ENVIRONMENT
from scale import DOWNLOAD, HERE, PYTEST, REMOTE, Bucket, served

PIECE = 1 << 16
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Server(Protocol):
    """A folder that is served. ``sent`` counts the bytes of contents; ``stalls`` holds every answer back half-way."""

    url: str
    environment: dict[str, str]
    sent: int
    stalls: threading.Event | None

    def put(self, file: Path, name: str) -> None:
        """Serve ``file`` as ``name`` from now on."""

    def fail_once(self, suffix: str) -> None:
        """Answer the next request for a file with this suffix with 500."""

    def stop(self) -> None:
        """Be unreachable from now on."""


class Web:
    """The web server of the tests; with ``ranges`` it sends parts of files."""

    def __init__(self, folder: Path, *, ranges: bool) -> None:
        self.environment: dict[str, str] = {}
        self.bucket = Bucket(folder, ranges=ranges)
        self._serving = served(self.bucket)
        self._serving.__enter__()

    @property
    def url(self) -> str:
        return self.bucket.url

    @property
    def sent(self) -> int:
        return self.bucket.sent

    @property
    def stalls(self) -> threading.Event | None:
        return self.bucket.stalls

    @stalls.setter
    def stalls(self, event: threading.Event | None) -> None:
        self.bucket.stalls = event

    def put(self, file: Path, name: str) -> None:
        shutil.copy(file, self.bucket.folder / name)

    def fail_once(self, suffix: str) -> None:
        self.bucket.fails = _once(suffix)

    def stop(self) -> None:
        self._serving.__exit__(None, None, None)


class S3:
    """moto's S3 server in this process, with a bucket ``models``."""

    def __init__(self, folder: Path) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.sent = 0
        self.stalls: threading.Event | None = None
        self._fails: Callable[[str, str], int | None] = lambda method, path: None
        self._answer = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._counted, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = S3_ENVIRONMENT | {"FSSPEC_S3_ENDPOINT_URL": endpoint}
        os.environ.update(self.environment)
        import s3fs

        self._system = s3fs.S3FileSystem(endpoint_url=endpoint)
        self._system.mkdir("models")
        for file in folder.iterdir():
            self.put(file, file.name)
        self.url = "s3://models"

    def put(self, file: Path, name: str) -> None:
        self._system.put_file(str(file), f"models/{name}")

    def fail_once(self, suffix: str) -> None:
        self._fails = _once(suffix)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _counted(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        method = environ["REQUEST_METHOD"]
        if self._fails(method, environ["PATH_INFO"]) is not None:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return
        of_a_file = method == "GET" and environ["PATH_INFO"].count("/") > 1  # not the listing of the bucket
        for chunk in self._answer(environ, start_response):
            for start in range(0, len(chunk), PIECE):  # s3fs hangs up on what it asks for first
                piece = chunk[start : start + PIECE]
                yield piece
                self.sent += len(piece) if of_a_file else 0
                if self.stalls is not None:
                    self.stalls.wait(30)


def _once(suffix: str) -> Callable[[str, str], int | None]:
    left = [500]
    return lambda method, path: left.pop() if left and method == "GET" and path.endswith(suffix) else None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One run: its exit code, how long it took, what the server sent meanwhile, and what was printed last."""

    code: int
    seconds: float
    sent: int
    printed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with a manifest about ``server``."""

    home: Path
    server: Server
    options: tuple[str, ...] = field(default=())

    @classmethod
    def made(cls, home: Path, server: Server, manifest: str) -> Project:
        home.mkdir()
        (home / "tfparity.yaml").write_text(manifest)
        (home / "pytest.ini").write_text(
            "[pytest]\ntfparity_downloads = downloads\ntfparity_cache = v.json\n"
        )
        return cls(home=home, server=server)

    def started(self) -> subprocess.Popen[str]:
        environment = ENVIRONMENT | self.server.environment
        command = [*PYTEST, "tfparity.yaml", *self.options]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.home, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(self) -> Seen:
        before, start = self.server.sent, time.perf_counter()
        process = self.started()
        printed, _ = process.communicate(timeout=300)
        lines = tuple(line for line in printed.splitlines() if line.strip())
        return Seen(
            code=process.returncode,
            seconds=time.perf_counter() - start,
            sent=self.server.sent - before,
            printed=lines,
        )

    def killed(self) -> Seen:
        """A run that is killed amidst the large files."""
        before, start = self.server.sent, time.perf_counter()
        process = self.started()
        while self.server.sent < before + 10**6 and time.perf_counter() - start < 60:
            time.sleep(0.001)
        self.server.stalls = released = threading.Event()
        time.sleep(1)
        process.kill()
        process.communicate()
        released.set()
        self.server.stalls = None
        return Seen(
            code=process.returncode,
            seconds=time.perf_counter() - start,
            sent=self.server.sent - before,
            printed=(),
        )


def tour(server: Server, home: Path, export: Path, other_export: Path) -> Iterator[tuple[str, Seen]]:
    """Everything that happens to the pair on ``server``, in turn."""
    manifest = REMOTE.format(url=server.url, trust="contents")
    project = Project.made(home / "project", server, manifest)
    yield "cold", project.run()
    yield "warm", project.run()
    four = "models:\n" + "".join(
        manifest.removeprefix("models:\n").replace("  net:", f"  net{i}:") for i in range(4)
    )
    workers = Project.made(home / "workers", server, four)
    yield "four workers at once, cold", replace(workers, options=("-p", "xdist.plugin", "-n", "4")).run()
    broken = Project.made(home / "broken", server, manifest)
    server.fail_once(".pb")
    yield "an error 500 in between, cold", broken.run()
    killed = Project.made(home / "killed", server, manifest)
    yield "killed while fetching", killed.killed()
    yield "run again after that", killed.run()
    server.put(other_export, "model.pb")
    yield "the export has changed", project.run()
    server.put(export, "model.pb")
    yield "and back", project.run()
    server.stop()
    yield "offline", project.run()
    yield "offline, allowed", replace(project, options=("--tfparity-offline=allow",)).run()


def server_of(kind: str, folder: Path, source: Path) -> Server:
    """A server of ``kind`` with a copy of the pair in ``source``."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.npz"))
    return S3(folder) if kind == "S3" else Web(folder, ranges=kind.endswith("ranges"))


def checksums(server: Server, home: Path, source: Path) -> Iterator[tuple[str, Seen]]:
    """A large checkpoint on ``server``, its export on this machine, with ``trust: checksums``."""
    manifest = REMOTE.format(url=server.url, trust="checksums")
    manifest = manifest.replace(f"{server.url}/model.pb", str(source / "model.pb"))
    project = Project.made(home / "checksums", server, manifest)
    yield "trust: checksums, cold", project.run()
    yield "trust: checksums, warm", project.run()


def plain(server: Server, home: Path, source: Path) -> Seen:
    """What one would do without the plugin, each time: fetch the files and run the plain script."""
    home.mkdir()
    shutil.copy(source / "inputs.npz", home)
    before, start = server.sent, time.perf_counter()
    files = [f"{server.url}/{path.name}" for path in source.glob("model*")]
    subprocess.run([sys.executable, "-c", DOWNLOAD, *files], cwd=home, env=ENVIRONMENT, check=True)
    found = subprocess.run(
        [sys.executable, str(HERE / "plain.py"), "."],
        cwd=home,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    return Seen(
        code=found.returncode, seconds=time.perf_counter() - start, sent=server.sent - before, printed=()
    )


def shown(case: str, seen: Seen, total: int) -> None:
    print(
        f"  {case:<32}{seen.code:>4}{seen.seconds:>8.1f} s{seen.sent / 1e6:>9.1f} MB{seen.sent / total:>9.2%}",
        flush=True,
    )
    told = [line for line in seen.printed if not set(line) <= set(".-=FE [%]0123456789")]
    for line in told[-6:]:
        print(f"      {line[:150]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ("web", "web with ranges", "S3")
    parser.add_argument("--networks", type=Path, default=Path(tempfile.gettempdir(), "tfparity-benchmarks"))
    parser.add_argument("--server", choices=kinds, action="append", help="this one only; may be repeated")
    parser.add_argument("--large", type=Path, help="a folder with a large pair, for trust: checksums")
    options = parser.parse_args()
    cases = {case.name: case for case in CASES}
    for name in ("resnet50", "resnet50-training"):
        build(cases[name], options.networks)
    source, wrong = (
        next(iter(cases[name].folders(options.networks))) for name in ("resnet50", "resnet50-training")
    )
    with tempfile.TemporaryDirectory() as folder:
        total = sum(path.stat().st_size for path in source.glob("model*"))
        for kind in options.server or kinds:
            print(f"{kind}: a pair of {total / 1e6:.1f} MB", flush=True)
            home = Path(folder, kind.replace(" ", "-"))
            home.mkdir()
            server = server_of(kind, home / "served", source)
            if kind != "S3":
                shown("fetched, plain script, each run", plain(server, home / "plain", source), total)
            for case, seen in tour(server, home, source / "model.pb", wrong / "model.pb"):
                shown(case, seen, total)
        if options.large is not None:
            size = sum(path.stat().st_size for path in options.large.glob("model.ckpt*"))
            print(f"a checkpoint of {size / 1e6:,.0f} MB", flush=True)
            server = Web(options.large, ranges=True)
            for case, seen in checksums(server, Path(folder), options.large):
                shown(case, seen, size)
            server.stop()


if __name__ == "__main__":
    main()
