"""The catalogue: each id once, each with a page, and every id that the package mentions in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import pytest_tfparity
from pytest_tfparity.diagnosis.causes import CATALOGUE, CAUSES, GRAPH
from pytest_tfparity.diagnosis.causes.pages import page_of, title_of

PACKAGE = Path(pytest_tfparity.__file__).parent
PACKAGES = ("check", "diagnosis", "reports", "cli")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
NO_IDS = re.compile(r"utf-8|aria-label|pytest-tfparity|tf(parity)?-.*|(intel-)?tensorflow(-.*)?")
"""What else is written with hyphens: encodings, attributes of HTML, names of plugins, threads and distributions."""


def mentioned(path: Path) -> Iterator[str]:
    """The texts of a module that look like the id of a cause."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ID.fullmatch(node.value):
            yield node.value


def sentences(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_what_the_reference_is_comes_from_its_format() -> None:
    """Health alone is about a checkpoint whatever the reference is: it is asked of nothing else."""
    paths = [path for path in (PACKAGE / "diagnosis").rglob("*.py") if path.name != "health.py"]
    assert [(path.name, text) for path in paths for text in sentences(path) if "the checkpoint" in text] == []


def modules() -> list[Path]:
    return [path for name in PACKAGES for path in sorted((PACKAGE / name).rglob("*.py"))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_id_that_is_mentioned_is_in_the_catalogue(path: Path) -> None:
    ids = {text for text in mentioned(path) if not NO_IDS.fullmatch(text)}
    assert ids <= set(CATALOGUE)


def test_every_cause_has_an_id_of_its_own() -> None:
    ids = [cause.id for cause in CAUSES]
    assert len(set(ids)) == len(ids)


def test_the_last_cause_of_the_graphs_takes_whatever_is_left() -> None:
    assert CAUSES[-len(GRAPH) :] == GRAPH
    assert GRAPH[-1].id == "graph-op-differs"


def test_every_cause_has_a_page_and_every_page_a_cause() -> None:
    folder = resources.files("pytest_tfparity.diagnosis.causes.pages")
    pages = {each.name.removesuffix(".md") for each in folder.iterdir() if each.name.endswith(".md")}
    assert pages == set(CATALOGUE)


@pytest.mark.parametrize("cause", sorted(CATALOGUE))
def test_a_page_begins_with_its_cause_and_fits_a_terminal(cause: str) -> None:
    assert page_of(cause).startswith(f"# {cause}: {title_of(cause)}\n\n")
    whole = ("# ", "`", "- <http")  # headings, code and links, which are not broken
    lines = [line for line in page_of(cause).splitlines() if not line.startswith(whole)]
    assert max(map(len, lines)) <= 100
