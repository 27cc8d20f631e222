"""Files of a server: fetched whole, once for each content, and never taken for another version."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

from pytest_tfparity.errors import NotThere, RemoteError, Unreachable
from pytest_tfparity.remote.cache import Cache
from pytest_tfparity.remote.fetch import Fetch
from pytest_tfparity.remote.server import Servers
from remote.servers import Bucket, served

MINUTE_AGO = 100
NO_WAITS = (0.0, 0.0, 0.0)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    folder = tmp_path / "bucket"
    folder.mkdir()
    with served(Bucket(folder)) as found:
        put(found, "a.pb", b"first" * 1000)
        yield found


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Fetch]:
    """A new run, as in a new process, with the cache of this machine."""
    return lambda limit=10**9: Fetch(Cache(tmp_path / "cache", limit), Servers(NO_WAITS))


def put(bucket: Bucket, name: str, data: bytes) -> None:
    path = bucket.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - MINUTE_AGO
    os.utime(path, (then, then))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("mark", ["etag", "time"])
def test_what_is_unchanged_is_not_fetched_again(bucket: Bucket, run: Callable[..., Fetch], mark: str) -> None:
    bucket.mark = mark
    for _ in range(3):
        path = run().file(f"{bucket.url}/a.pb")
        assert path.name == "a.pb"
        assert path.read_bytes() == b"first" * 1000
    assert bucket.fetched() == ["a.pb"]


@pytest.mark.parametrize("ranges", [False, True], ids=["without ranges", "with ranges"])
def test_each_byte_is_sent_once_whether_a_server_can_send_parts_or_not(
    bucket: Bucket, run: Callable[..., Fetch], ranges: bool
) -> None:
    bucket.ranges = ranges
    put(bucket, "large.pb", bytes(range(256)) * (3 << 12))  # 3 MiB
    path = run().file(f"{bucket.url}/large.pb")
    assert path.read_bytes() == (bucket.folder / "large.pb").read_bytes()
    assert bucket.sent == path.stat().st_size
    assert run().file(f"{bucket.url}/large.pb").read_bytes() == path.read_bytes()
    assert bucket.sent == path.stat().st_size


@pytest.mark.parametrize("mark", ["etag", "time", "nothing"])
def test_what_has_changed_is_fetched(bucket: Bucket, run: Callable[..., Fetch], mark: str) -> None:
    bucket.mark = mark
    old = run().file(f"{bucket.url}/a.pb")
    put(bucket, "a.pb", b"other" * 1000)
    os.utime(bucket.folder / "a.pb", (time.time() - 90, time.time() - 90))
    new = run().file(f"{bucket.url}/a.pb")
    assert new.read_bytes() == b"other" * 1000
    assert old.read_bytes() == b"first" * 1000  # whoever has it open keeps it


def test_a_time_of_this_minute_tells_nothing(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    bucket.mark = "time"
    os.utime(bucket.folder / "a.pb")
    status = (bucket.folder / "a.pb").stat()
    run().file(f"{bucket.url}/a.pb")
    (bucket.folder / "a.pb").write_bytes(b"other" * 1000)
    os.utime(bucket.folder / "a.pb", ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"other" * 1000


def test_without_a_mark_every_run_fetches_and_each_once(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    bucket.mark = "nothing"
    for _ in range(2):
        fetch = run()
        assert fetch.file(f"{bucket.url}/a.pb") == fetch.file(f"{bucket.url}/a.pb")
    assert bucket.fetched() == ["a.pb", "a.pb"]


def test_an_error_in_between_is_tried_again(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    answers = iter([500, 503, None, 502, 500])
    bucket.fails = lambda method, path: next(answers, None)
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"first" * 1000


def test_a_server_that_keeps_failing_is_named(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    bucket.fails = lambda method, path: 500
    with pytest.raises(Unreachable) as caught:
        run().file(f"{bucket.url}/a.pb?token=secret")
    assert str(caught.value) == (
        f"{bucket.url}/a.pb cannot be reached: HTTP status 500, and no copy of it was fetched before. Check the network"
        " and the URL."
    )


def test_a_server_that_gives_no_answer_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    clock = [1000.0]

    class Gone:
        def info(self, path: str) -> None:
            asked.append(path)
            raise ConnectionRefusedError("refused")

    servers = Servers(NO_WAITS)
    monkeypatch.setattr(servers, "_system", lambda url: (Gone(), url))
    monkeypatch.setattr("pytest_tfparity.remote.server.time.monotonic", lambda: clock[0])
    for name in ("a", "b", "c"):
        with pytest.raises(
            Unreachable, match=f"^s3://models/{name} cannot be reached: ConnectionRefused.*refused$"
        ):
            servers.version(f"s3://models/{name}")
    assert asked == ["s3://models/a"] * (1 + len(NO_WAITS))
    clock[0] += 31
    with pytest.raises(Unreachable):
        servers.version("s3://models/b")
    assert asked[4:] == ["s3://models/b"]


def test_an_error_of_one_file_keeps_no_other_from_being_fetched(
    bucket: Bucket, run: Callable[..., Fetch]
) -> None:
    put(bucket, "b.pb", b"second")
    bucket.fails = lambda method, path: 500 if path == "/a.pb" else None
    fetch = run()
    with pytest.raises(Unreachable):
        fetch.file(f"{bucket.url}/a.pb")
    assert fetch.file(f"{bucket.url}/b.pb").read_bytes() == b"second"


def test_a_refusal_and_a_missing_file_are_told_apart(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    with pytest.raises(NotThere, match=r"There is no http://.*/none.pb\."):
        run().file(f"{bucket.url}/none.pb")
    for status in (401, 403):
        bucket.fails = lambda method, path, status=status: status
        with pytest.raises(
            RemoteError, match=rf"a.pb is refused \(HTTP status {status}\). Its credentials"
        ) as caught:
            run().file(f"{bucket.url.replace('//', '//me:secret@')}/a.pb?secret")
        assert "secret" not in str(caught.value)
        assert not isinstance(caught.value, NotThere | Unreachable)


def test_half_a_file_is_none(bucket: Bucket, run: Callable[..., Fetch], tmp_path: Path) -> None:
    bucket.half = True
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"first" * 1000
    assert files(tmp_path / "cache" / "drafts") == []


KILLED = """\
import sys
from pathlib import Path
from pytest_tfparity.remote.cache import Cache
from pytest_tfparity.remote.fetch import Fetch
Fetch(Cache(Path(sys.argv[1]), 10**9)).file(sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process ends otherwise there")
def test_a_kill_while_fetching_leaves_nothing_half(
    bucket: Bucket, run: Callable[..., Fetch], tmp_path: Path
) -> None:
    put(bucket, "a.pb", b"x" * 8_000_000)
    bucket.stalls = threading.Event()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cache"), f"{bucket.url}/a.pb"]
    process = subprocess.Popen(command, env=environment)
    drafts = tmp_path / "cache" / "drafts"
    for _ in range(600):
        if any(path.stat().st_size for path in drafts.glob("*")):
            break
        time.sleep(0.05)
    else:
        pytest.fail("nothing came")
    process.kill()
    process.wait()
    bucket.stalls.set()
    bucket.stalls = None
    assert files(tmp_path / "cache" / "contents") == []
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"x" * 8_000_000


def test_a_change_while_it_is_fetched_is_seen(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    changes = iter([b"other" * 1000])
    bucket.after = lambda path: [put(bucket, "a.pb", data) for data in changes] and None
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"other" * 1000
    numbers = iter(range(100, 999))
    bucket.after = lambda path: put(bucket, "a.pb", b"%d" % next(numbers))
    put(bucket, "a.pb", b"new")
    with pytest.raises(RemoteError, match="changes while it is fetched"):
        run().file(f"{bucket.url}/a.pb")


def test_offline_a_copy_is_taken_only_where_that_is_stated(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    url = f"{bucket.url}/a.pb"
    run().file(url)
    with served(Bucket(bucket.folder)) as gone:
        nowhere = gone.url
    with pytest.raises(Unreachable, match="no copy of it was fetched before"):
        run().file(f"{nowhere}/a.pb")
    bucket.fails = lambda method, path: 503
    with pytest.raises(
        Unreachable, match=r"The copy of \d.* may no longer be what lies there; .*`offline: allow`"
    ):
        run().file(url)
    fetch = run()
    path = fetch.file(url, allow_offline=True)
    assert path.read_bytes() == b"first" * 1000
    (note,) = fetch.notes[path.parent]
    assert note.endswith("was taken (offline: allow).")


def test_files_that_belong_together_lie_together(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    put(bucket, "m.index", b"i")
    put(bucket, "m.data-0", b"d" * 100)
    fetch = run()
    folder = fetch.beside(f"{bucket.url}/m", ["m.index", "m.data-0", "m.meta"], optional=["m.meta"])
    assert files(folder) == ["m.data-0", "m.index"]
    assert fetch.origins[folder] == bucket.url
    with pytest.raises(NotThere, match=r"m\.meta"):
        run().beside(f"{bucket.url}/m", ["m.index", "m.meta"])
    put(bucket, "m.index", b"j")
    other = run().beside(f"{bucket.url}/m", ["m.index", "m.data-0"])
    assert other != folder
    assert bucket.fetched().count("m.data-0") == 1
    assert (folder / "m.index").read_bytes() == b"i"


def test_those_who_come_at_once_fetch_once(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(run().file(f"{bucket.url}/a.pb").read_bytes()))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [b"first" * 1000] * 4
    assert bucket.fetched() == ["a.pb"]


def test_a_damaged_copy_is_fetched_again(bucket: Bucket, run: Callable[..., Fetch], tmp_path: Path) -> None:
    run().file(f"{bucket.url}/a.pb")
    (content,) = (tmp_path / "cache" / "contents").iterdir()
    content.chmod(0o600)
    content.write_bytes(b"cut")
    assert run().file(f"{bucket.url}/a.pb").read_bytes() == b"first" * 1000


def test_what_was_not_used_for_longest_makes_room(
    bucket: Bucket, run: Callable[..., Fetch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_tfparity.remote.cache._IN_USE", -1.0)
    for name in "abcd":
        put(bucket, f"{name}.bin", name.encode() * 400)
        run(limit=1000).file(f"{bucket.url}/{name}.bin")
        time.sleep(0.02)
    kept = {path.read_bytes()[:1] for path in (tmp_path / "cache" / "contents").iterdir()}
    assert kept == {b"c", b"d"}
    assert len(files(tmp_path / "cache" / "folders")) == 2
    assert len(files(tmp_path / "cache" / "known")) == 2


def test_what_is_in_use_is_kept_beyond_the_limit(bucket: Bucket, run: Callable[..., Fetch]) -> None:
    put(bucket, "b.bin", b"b" * 400)
    fetch = run(limit=10)
    first, second = fetch.file(f"{bucket.url}/a.pb"), fetch.file(f"{bucket.url}/b.bin")
    assert first.exists()
    assert second.exists()


def test_a_cache_that_cannot_be_written_is_named(
    bucket: Bucket, run: Callable[..., Fetch], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        RemoteError, match=r"The copy of http.*a.pb cannot be written into .*cache: .* \(tfparity_downl"
    ):
        run().file(f"{bucket.url}/a.pb")


def test_a_scheme_that_nothing_opens_is_named(run: Callable[..., Fetch]) -> None:
    with pytest.raises(RemoteError, match=r"nothing://x/a.pb cannot be opened: .*nothing"):
        run().file("nothing://x/a.pb")
