"""The README as the package index shows it: no link of it leads nowhere."""

import re
from pathlib import Path

import pytest

from pytest_tfparity import __version__

ROOT = Path(__file__).parents[2]


def test_every_link_and_picture_of_the_readme_is_a_file_of_the_release() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    home = settings["project"]["urls"]["Source"]
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for each in settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        shown = re.sub(each["pattern"], each["replacement"], shown)
    links = re.findall(r"(!?)\[[^\]]+\]\(([^)]+)\)", shown)
    assert len(links) > 10
    for picture, link in links:
        place = home.replace("github.com", "raw.githubusercontent.com") if picture else f"{home}/blob"
        beginning = f"{place}/v$HFPR_VERSION/"  # the build puts the version there
        assert link.startswith(beginning)
        assert (ROOT / link.removeprefix(beginning)).is_file()
    assert "<!--" not in shown


def test_the_project_says_where_it_is() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project["urls"]
    assert {"Homepage", "Documentation", "Changelog", "Source", "Issues"} <= set(urls)
    assert all(each.startswith(urls["Source"]) for each in urls.values())
    assert (ROOT / urls["Documentation"].partition("/blob/main/")[2]).is_file()
    assert (ROOT / urls["Changelog"].partition("/blob/main/")[2]).is_file()
    assert project["version"] == __version__
