"""A golden is the old one or the new one, whatever ends its writer and whenever."""

from __future__ import annotations

import os
import resource
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from pytest_tfparity.comparison.tolerance import Tolerance
from pytest_tfparity.errors import GoldenError
from pytest_tfparity.goldens import commit
from pytest_tfparity.goldens.store import prune_goldens, read_golden, stale_goldens, update_golden

OLD, NEW = np.float32([1, 2, 3]), np.float32([4, 5, 6])
Trace = Callable[[FrameType, str, Any], Any]


def update(path: Path, values: np.ndarray, fingerprint: str = "f00d") -> str:
    change = update_golden(
        path,
        inputs={"x:0": OLD},
        outputs={"y:0": values},
        tolerances={"y:0": Tolerance()},
        fingerprint=fingerprint,
        environment={},
    )
    return change.action


def value(path: Path) -> list[float]:
    found: list[float] = read_golden(path).outputs["y:0"].tolist()
    return found


def files(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "goldens" / "g.npz"


def at_line(step: int, do: Callable[[], None]) -> Trace:
    """A trace function that does ``do`` before line ``step`` of the module under test is executed."""
    passed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != commit.__file__:
            return None
        if event == "line":
            passed += 1
            if passed == step:
                do()
        return trace

    return trace


@contextmanager
def traced(trace: Trace) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def killed_at(step: int, write: Callable[[], object]) -> bool:
    """Run ``write`` in a process that is killed before line ``step``; whether it lived to reach it."""
    child = os.fork()
    if not child:
        try:
            with traced(at_line(step, lambda: os.kill(os.getpid(), signal.SIGKILL))):
                write()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def every_kill(path: Path, write: Callable[[], object]) -> Iterator[int]:
    """Each line at which a writer can be killed, after it was."""
    step = 1
    while killed_at(step, write):
        yield step
        step += 1
    assert step > 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is a fork of the test")
def test_a_kill_before_any_line_leaves_the_old_golden_or_the_new_one(path: Path) -> None:
    update(path, OLD)
    seen = []
    for _ in every_kill(path, lambda: update(path, NEW)):
        seen.append(value(path))
        assert update(path, OLD) in ("unchanged", "updated")
        assert files(path) == ["g.npz", "g.yaml"]
    assert seen == sorted(seen), "the new golden never becomes the old one again"
    assert OLD.tolist() in seen
    assert NEW.tolist() in seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is a fork of the test")
def test_a_kill_before_any_line_of_a_first_update_leaves_nothing_or_a_golden(path: Path) -> None:
    for _ in every_kill(path, lambda: update(path, NEW)):
        there = path.exists()
        assert update(path, NEW) == ("unchanged" if there else "created")
        assert files(path) == ["g.npz", "g.yaml"]
        prune_goldens([path])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is a fork of the test")
def test_a_kill_while_the_summary_alone_is_renewed_leaves_it_old_or_new(path: Path) -> None:
    update(path, OLD)
    for _ in every_kill(path, lambda: update(path, OLD, "cafe")):
        assert read_golden(path).fingerprint in ("f00d", "cafe")
        update(path, OLD, "f00d")
        assert files(path) == ["g.npz", "g.yaml"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that was just opened
def test_an_interrupt_before_any_line_leaves_the_old_golden_or_the_new_one(path: Path) -> None:
    update(path, OLD)

    def interrupt() -> None:
        raise KeyboardInterrupt

    for step in range(1, 1000):
        try:
            with traced(at_line(step, interrupt)):
                update(path, NEW)
            break
        except KeyboardInterrupt:
            assert value(path) in (OLD.tolist(), NEW.tolist())
            update(path, OLD)
            assert files(path) == ["g.npz", "g.yaml"]
    assert step > 20


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can be written that is larger, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_at_either_file_leaves_the_old_golden_and_says_which(path: Path) -> None:
    update(path, OLD)
    large = np.zeros(100_000, np.float32)
    for size, suffix in ((100, "yaml"), (10_000, "npz")):
        with (
            largest_file(size),
            pytest.raises(GoldenError, match=rf"g\.npz cannot be written: .*g\.{suffix}"),
        ):
            update(path, large)
        assert value(path) == OLD.tolist()
        assert files(path) == ["g.npz", "g.yaml"]
    assert update(path, large) == "updated"


def test_a_summary_that_cannot_be_put_in_its_place_is_there_at_the_next_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update(path, OLD)
    real = os.replace

    def refuse(source: Any, target: Any) -> None:
        if Path(target).suffix == ".yaml":
            raise OSError(5, "Input/output error", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(GoldenError, match=r"cannot be written: Input/output error \(.*g\.yaml\)"):
        update(path, NEW)
    monkeypatch.undo()
    assert value(path) == NEW.tolist()
    assert files(path) == ["g.npz", "g.yaml"]


def test_what_dead_writers_left_is_removed_and_nothing_else(path: Path) -> None:
    update(path, OLD)
    other = path.with_name("g.npz.x.npz")
    theirs = [".g.npz.backup", ".g.npz.x.npz.0123456789abcdef.tmp", "notes.tmp"]
    for name in (".g.npz.k3_abcd9.tmp", ".g.yaml.k3_abcd9.tmp", *theirs):
        (path.parent / name).write_bytes(b"half")
    assert update(path, OLD) == "unchanged"
    assert files(path) == sorted([*theirs, "g.npz", "g.yaml"])
    assert update(other, OLD) == "created"
    assert ".g.npz.x.npz.0123456789abcdef.tmp" not in files(path)


def test_links_are_followed(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "store" / "real.npz"
    update(real, OLD)
    path.parent.mkdir()
    path.symlink_to(os.path.relpath(real, path.parent))
    path.with_suffix(".yaml").symlink_to(real.with_suffix(".yaml"))
    assert value(path) == OLD.tolist()
    assert update(path, NEW) == "updated"
    assert path.is_symlink()
    assert path.with_suffix(".yaml").is_symlink()
    assert value(real) == NEW.tolist()
    assert files(real) == ["real.npz", "real.yaml"]


def test_a_file_keeps_its_permissions(path: Path) -> None:
    update(path, OLD)
    path.chmod(0o640)
    update(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_golden_of_which_only_the_summary_is_left_is_stale_and_pruned(path: Path) -> None:
    used = path.with_name("used.npz")
    update(path, OLD)
    update(used, OLD)
    path.unlink()
    assert stale_goldens([used]) == [path]
    assert prune_goldens([path]) == [path]
    assert files(path) == ["used.npz", "used.yaml"]
