"""``--tfparity-cache``: what was proven of unchanged files is not proven again, and nothing else is remembered."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import MANIFEST, Project
from pytest_tfparity.remembered import identity
from pytest_tfparity.remembered.hashes import Stamp

REMEMBERED = "parity: 1 proven equal (1 remembered, its files being unchanged)"
PROVEN = "parity: 1 proven equal"
CACHE = "--tfparity-cache=proven.json"


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting: nothing here is written twice within a tick of the clock."""
    monkeypatch.setattr(Stamp, "settled", True)


def closing(project: Project, *arguments: str) -> str:
    result = project.run(CACHE, *arguments)
    return next(line for line in result.outlines if line.startswith("parity: "))


def records(project: Project) -> dict[str, Any]:
    path = project.path / "proven.json"
    return json.loads(path.read_bytes())["records"] if path.exists() else {}


def test_unchanged_files_are_not_proven_again(project: Project) -> None:
    assert closing(project) == PROVEN
    assert len(records(project)) == 1
    result = project.run(CACHE, "--tfparity-report=out")
    result.assert_outcomes(passed=1)
    assert REMEMBERED in result.outlines
    (check,) = json.loads((project.path / "out" / "report.json").read_bytes())["checks"]
    assert (check["verdict"], check["remembered"], check["export"]) == ("proven", True, "model.pb")
    assert closing(project, "--tfparity-run=always") == PROVEN
    assert closing(project, "--tfparity-cache=off") == PROVEN


def test_pytests_own_cache_is_the_default(project: Project) -> None:
    arguments = ("-W", "default", "-p", "no:hypothesispytest")
    for expected in (PROVEN, REMEMBERED):
        assert expected in project.pytester.runpytest_inprocess(*arguments).outlines
    assert (project.path / ".pytest_cache" / "d" / "tfparity" / "verdicts.json").exists()
    assert PROVEN in project.pytester.runpytest_inprocess(*arguments, "--cache-clear").outlines


def test_the_file_of_a_team_holds_in_another_folder_and_for_every_worker(project: Project) -> None:
    pytest.importorskip("xdist")
    assert closing(project) == PROVEN
    other = project.path / "elsewhere"
    other.mkdir()
    for file in [*project.path.glob("model*"), project.path / "images.npz", project.path / "tfparity.yaml"]:
        shutil.copy(file, other)
    time.sleep(0.2)  # workers are processes of their own, in which files have to settle
    result = project.run_apart(CACHE, "-n", "2", "elsewhere")
    result.assert_outcomes(passed=1)
    assert REMEMBERED in result.outlines


@pytest.mark.parametrize(
    "name", ["model.pb", "model.ckpt-7.data-00000-of-00001", "model.ckpt-7.meta", "images.npz"]
)
def test_a_file_that_was_written_to_is_looked_at_again(project: Project, name: str) -> None:
    assert closing(project) == PROVEN
    path = project.path / name
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "remembered" not in closing(project)


def test_another_export_fails_whatever_is_remembered(project: Project) -> None:
    assert closing(project) == PROVEN
    wrong = project._networks(training_bn=True)
    shutil.copy(wrong.frozen_graph, project.path / "model.pb")
    project.run(CACHE).assert_outcomes(failed=1)
    assert len(records(project)) == 1


@pytest.mark.parametrize(
    "change",
    [
        ('"logits:0", ', ""),
        ("    outputs:", "    atol: 1.0e-4\n    outputs:"),
        ("    outputs:", "    health: ignore\n    outputs:"),
        ("model.ckpt-7}", "model.ckpt-7, ema: none}"),
        ("    outputs:", "    session: default\n    outputs:"),
    ],
)
def test_what_is_stated_is_part_of_what_is_remembered(project: Project, change: tuple[str, str]) -> None:
    assert closing(project) == PROVEN
    project.write("tfparity.yaml", MANIFEST.replace(*change))
    assert "remembered" not in closing(project)


def test_another_version_remembers_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert closing(project) == PROVEN
    monkeypatch.setattr(identity, "_program", lambda: {"source": "another"})
    assert closing(project) == PROVEN
    assert len(records(project)) == 2


def test_what_a_function_of_the_project_makes_is_never_remembered(project: Project) -> None:
    project.write("images.py", "import numpy as np\ndef made(): return np.load('images.npz')['image']\n")
    project.write("tfparity.yaml", MANIFEST.replace("{npz: images.npz, key: image}", "{call: images:made}"))
    for _ in range(2):
        assert closing(project) == PROVEN
    assert records(project) == {}


def test_only_what_is_proven_is_remembered(broken_project: Project) -> None:
    for _ in range(2):
        broken_project.run(CACHE).assert_outcomes(failed=1)
    assert records(broken_project) == {}
    assert "within tolerance" in closing(broken_project, "--tfparity-atol=100")
    assert records(broken_project) == {}


def test_goldens_belong_to_what_is_remembered(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST + "    golden: goldens/net.npz\n")
    project.run(CACHE, "--tfparity-update").assert_outcomes(passed=1)
    assert records(project) == {}
    assert [closing(project), closing(project)] == [PROVEN, REMEMBERED]
    np.savez(project.path / "goldens" / "net.npz", image=np.zeros(3))
    project.run(CACHE).assert_outcomes(failed=1)


@pytest.mark.parametrize("content", [b"", b"\x08\x01\xff\xfe", b'{"a": 1}'])
def test_a_foreign_file_is_named_and_left_alone(project: Project, content: bytes) -> None:
    (project.path / "proven.json").write_bytes(content)
    result = project.run(CACHE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["net: *proven.json is no such file*: no verdict is remembered. Remove it, or name*"]
    )
    assert (project.path / "proven.json").read_bytes() == content


def test_a_file_that_changes_while_it_is_checked_is_not_remembered(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_tfparity.plugin.session import ParitySession

    decide = ParitySession._decided

    def decide_and_touch(self: ParitySession, *arguments: Any) -> Any:
        result = decide(self, *arguments)
        Path(project.path, "model.pb").touch()
        return result

    monkeypatch.setattr(ParitySession, "_decided", decide_and_touch)
    assert closing(project) == PROVEN
    assert records(project) == {}
