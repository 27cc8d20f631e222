"""Every code block of the documentation does what it shows.

``TFPARITY_WRITE_DOCS=1 pytest tests/docs`` puts what is printed now in place of what a page shows.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

import pytest_tfparity
from docs.pages import Block, Chapter, blocks, chapters, matches, shortened
from pytest_tfparity.__main__ import main
from pytest_tfparity.reports.html import missing_packages
from pytest_tfparity.settings import schema
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.roles import marker_section, sections

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "example_project"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHAPTERS = [chapter for page in PAGES for chapter in chapters(page)]
MODEL = {
    "reference": {"checkpoint": "artifacts/model.ckpt-400", "ema": "trainable"},
    "export": {"frozen_graph": "artifacts/digits.pb"},
    "inputs": {"image:0": {"npz": "goldens/images.npz", "key": "image"}},
    "outputs": ["logits:0", "probabilities:0"],
}
"""What the parts of a model are put into."""

# hypothesis would be imported anew each time; this process has TensorFlow at hand
QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-o", "tfparity_isolate=false")
MAKE_WRONG_EXPORTS = "python gone_wrong.py"
PROGRAM = "tfparity "
INSTALL = "python -m pip install "
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("CI", "GITHUB_ACTIONS")},
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    "COLUMNS": "80",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@pytest.fixture(scope="session")
def wrong_exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The example project after ``python gone_wrong.py``, and what that printed."""
    folder = tmp_path_factory.mktemp("wrong") / "example"
    copy_example(folder)
    done = subprocess.run(
        [sys.executable, "gone_wrong.py"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return folder, done.stdout.replace(str(folder), "/project").splitlines()


@pytest.fixture
def reader(
    pytester: pytest.Pytester,
    wrong_exports: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    networks: Callable[..., object],
) -> Reader:
    """A reader who tries everything out."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return Reader(pytester, wrong_exports, capsys)


def lacks(extra: str | None) -> bool:
    """Whether an extra of this project is not installed."""
    if extra == "tflite":
        return importlib.util.find_spec("ai_edge_litert") is None
    return extra is not None and bool(missing_packages())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.blocks[0].place)
def test_a_chapter_holds_what_it_shows(chapter: Chapter, reader: Reader) -> None:
    if any("keras.export." in block.text for block in chapter.blocks) and version("keras").startswith("2."):
        pytest.skip("Keras 2 has no ExportArchive")
    if chapter.project is not None:
        reader.open(chapter.project)
    for block in chapter.blocks:
        if "not run" not in block.notes and not lacks(block.notes.get("with the extra")):
            reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_table_of_fields_names_every_field(page: Path) -> None:
    text = page.read_text("utf-8")
    tables = re.findall(r"<!-- fields of: (\w+) -->\n+((?:\|.*\n)+)", text)
    assert tables or "<!-- fields of" not in text
    for name, table in tables:
        first = [row.split("|")[1] for row in table.splitlines()[2:]]
        fields = {field.name for field in dataclasses.fields(getattr(pytest_tfparity, name))}
        assert set(re.findall(r"`(\w+)`", " ".join(first))) == fields


def test_every_public_name_has_a_heading_of_its_own() -> None:
    headings = re.findall(r"^### `(\w+)`$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(pytest_tfparity.__all__)


def test_what_is_not_run_has_a_reason() -> None:
    notes = [block.notes for page in PAGES for block in blocks(page)]
    reasons = [note[kind] for note in notes for kind in ("not run", "read, not run") if kind in note]
    assert reasons
    assert all(len(reason.split()) > 1 for reason in reasons)


def test_the_generated_pages_hold_every_key_and_cause(capsys: pytest.CaptureFixture[str]) -> None:
    location = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert location is not None
    assert location.loader is not None
    hooks = importlib.util.module_from_spec(location)
    location.loader.exec_module(hooks)
    keys = hooks.on_page_markdown("<!-- generated: keys -->\n")
    for section in sections():
        assert f"{{: #{section.name} }}" in keys
        assert all(f"`{key.name}` {{: #" in keys and key.description in keys for key in section.keys)
    assert all(f"`{key.name}`" in hooks.marker() for key in marker_section().keys)
    assert all(key.flag in hooks.options() and key.ini in hooks.options() for key in schema.CONFIGURABLE)
    for name, page in hooks.cause_pages().items():
        assert main(["explain", name]) == 0
        assert capsys.readouterr().out == page
        assert f"[{name}]({name}.md)" in hooks.causes()
    assert hooks.on_page_markdown("a\n<!-- not run: a reason -->\nb\n") == "a\nb\n"


class Reader:
    """Follows a page in a folder of its own: writes its files, runs its commands."""

    def __init__(
        self,
        pytester: pytest.Pytester,
        wrong_exports: tuple[Path, list[str]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.pytester = pytester
        self.folder = pytester.path
        self.wrong_exports = wrong_exports
        self.capsys = capsys
        self.status = 0

    def open(self, project: str) -> None:
        """Fill the folder with a project."""
        if project == "files":
            shutil.copytree(EXAMPLE / "artifacts", self.folder / "artifacts")
            (self.folder / "goldens").mkdir()
            shutil.copy(EXAMPLE / "goldens" / "images.npz", self.folder / "goldens")
        elif project == "example":
            copy_example(self.folder)
        else:
            assert project == "wrong exports", project
            shutil.copytree(self.wrong_exports[0], self.folder, dirs_exist_ok=True)
        write_pictures(self.folder / "images")

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.language == "console":
            self.try_out(block)
        elif "excerpt of" in block.notes:
            real = json.loads((self.folder / block.notes["excerpt of"]).read_text())
            assert_part_of(json.loads(block.text), real, block.place)
        elif "part of" in block.notes:
            self.check_part(block)
        elif block.language == "sh":
            self.run_lines(block.text.splitlines())
        else:
            assert block.file is not None, (
                f"{block.place}: name the file in the first line, or say why it is not run"
            )
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            if path.name == "tfparity.yaml":
                assert load_manifest(path).models
            elif path.suffix == ".yml":
                self.run_lines(list(scripts(yaml.safe_load(block.text))))
            elif path.name.startswith("test_"):
                self.pytest(path.name).assert_outcomes(passed=block.text.count("\ndef test_"))

    def try_out(self, block: Block) -> None:
        """Run the commands of a console, and compare what they print with what the page shows."""
        lines: list[str] = []
        for command, shown in block.commands:
            printed = self.run(command)
            if not os.environ.get("TFPARITY_WRITE_DOCS"):
                assert matches(shown, printed), f"{block.place}: {command}\n" + "\n".join(printed)
            fresh = shown != ["..."] and matches(shown, printed)
            lines += [f"$ {command}", *(shown if fresh else shortened(printed))]
        if os.environ.get("TFPARITY_WRITE_DOCS"):
            text = block.page.read_text("utf-8")
            block.page.write_text(text.replace(block.text, "\n".join([*lines, ""]), 1), "utf-8")

    def run(self, command: str) -> list[str]:
        """Run a command and return what it prints."""
        if command == MAKE_WRONG_EXPORTS:
            shutil.copytree(self.wrong_exports[0], self.folder, dirs_exist_ok=True)
            return self.wrong_exports[1]
        simple = not re.search(r"[|<>&;$]", command)
        setting = re.match(r"(\w+)=(\S+) ", command)
        if simple and setting:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(setting[1], setting[2])
                return self.run(command.removeprefix(setting[0]))
        if simple and command.startswith("pytest"):
            outcome = self.pytest(*shlex.split(command)[1:])
            self.status, printed = int(outcome.ret), [*outcome.outlines, *outcome.errlines]
        elif simple and command.startswith(PROGRAM):
            self.capsys.readouterr()
            self.status = main(shlex.split(command.removeprefix(PROGRAM)))
            printed = self.capsys.readouterr().out.splitlines()
        else:
            if command.startswith(PROGRAM):  # this package's, whether or not its program is on the path
                command = f"{shlex.quote(sys.executable)} -m pytest_tfparity {command.removeprefix(PROGRAM)}"
            done = subprocess.run(
                ["bash", "-c", f"(exit {self.status}); {command}"],
                cwd=self.folder,
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                check=False,
            )
            self.status, printed = done.returncode, done.stdout.splitlines()
        while printed and not printed[-1]:
            printed.pop()
        return [line.replace(str(self.folder), "/project") for line in printed]

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """Run pytest here, in this process, which has TensorFlow at hand."""
        return self.pytester.runpytest_inprocess(*QUIET, "-W", "default", *arguments)

    def run_lines(self, lines: list[str]) -> None:
        """Run the lines of a script, all of which must succeed; what they install must exist."""
        for line in lines:
            if line.startswith(INSTALL):
                assert_installable(line.removeprefix(INSTALL))
            elif not line.startswith("#") and line not in ("", "set -e"):
                self.run(line)
                assert self.status == 0, line

    def check_part(self, block: Block) -> None:
        """Read a part of a manifest, and check the model that it makes."""
        model = {**MODEL, **yaml.safe_load(block.text)}
        path = self.folder / "tfparity.yaml"
        kept = path.read_bytes() if path.exists() else None
        path.write_text(yaml.safe_dump({"models": {"digits": model}}), "utf-8")
        assert list(load_manifest(path).models) == ["digits"]
        if "read, not run" not in block.notes:
            # a builder may switch all of TensorFlow to version 1, so it gets a process of its own
            run = self.pytester.runpytest_subprocess if "builder" in model["reference"] else self.pytest
            outcome = run("tfparity.yaml", "--tfparity-run=always")
            assert outcome.ret == 0, f"{block.place}\n{outcome.stdout}"
        if kept is not None:
            path.write_bytes(kept)


def copy_example(folder: Path) -> None:
    """Copy the example project, without what its scripts have made."""
    shutil.copytree(
        EXAMPLE,
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"),
    )
    for path in (*folder.glob("gone_wrong/*.pb"), *folder.glob("gone_wrong/trainables.*")):
        path.unlink()


def write_pictures(folder: Path) -> None:
    """Eight grey pictures of 8x8 pixels."""
    folder.mkdir()
    for number in range(8):
        rows = b"".join(bytes([0, *range(number, number + 64, 8)]) for _ in range(8))
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
        (folder / f"{number}.png").write_bytes(data)


def scripts(document: Any) -> Iterator[str]:
    """The commands of a CI configuration, in order."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("run", "script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from scripts(value)
    elif isinstance(document, list):
        for entry in document:
            yield from scripts(entry)


def assert_installable(requirements: str) -> None:
    """Every requirement is this project, with extras that it has."""
    extras = (ROOT / "pyproject.toml").read_text("utf-8").split("[project.optional-dependencies]")[1]
    known = re.findall(r"^(\w+) = \[", extras.split("\n[")[0], re.MULTILINE)
    for requirement in shlex.split(requirements):
        named = re.fullmatch(r"pytest-tfparity(?:\[([\w,]+)\])?", requirement)
        assert named, requirement
        assert set((named[1] or known[0]).split(",")) <= set(known)


def assert_part_of(part: Any, whole: Any, place: str) -> None:
    """``part`` shows what ``whole`` holds; times and versions are of the right kind."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole, f"{place}: {key}"
            if key in ("seconds", "environment"):
                assert {name: type(entry) for name, entry in value.items()}.items() <= {
                    name: type(entry) for name, entry in whole[key].items()
                }.items()
            else:
                assert_part_of(value, whole[key], f"{place}: {key}")
    elif isinstance(part, list):
        for value, real in zip(part, whole, strict=False):
            assert_part_of(value, real, place)
    elif isinstance(part, float):
        assert math.isclose(part, whole, rel_tol=1e-3, abs_tol=1e-5), place
    else:
        assert part == whole, place
