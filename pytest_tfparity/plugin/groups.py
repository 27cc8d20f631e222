"""Which tests pytest-xdist should give to one worker, under ``--dist loadgroup``: those that share a file.

A model that two workers load is read, and opened in TensorFlow, twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..errors import TfparityError
from ..formats.format import ROLES
from ..settings.roles import stated_file
from .marker import marked_models, marked_settings
from .session import parity_session

if TYPE_CHECKING:
    from .session import ParitySession

_MARK = "xdist_group"


def group_by_files(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark the parity tests that share a file with the name of the first of them, unless they are in a group."""
    session = parity_session(config)
    files = {item: set(_files(item, session)) for item in items if item.get_closest_marker(_MARK) is None}
    for group in connected(files):
        if len(group) > 1:
            for item in group:
                item.add_marker(pytest.mark.xdist_group(f"tfparity:{group[0].name}"))


def connected(files: Mapping[pytest.Item, set[Path]]) -> Iterator[list[pytest.Item]]:
    """The tests that hang together by their files, directly or by way of others, each in the order of ``files``."""
    leader: dict[pytest.Item, pytest.Item] = {}

    def first(item: pytest.Item) -> pytest.Item:
        while leader.setdefault(item, item) is not item:
            leader[item] = item = leader[leader[item]]
        return item

    order = {item: number for number, item in enumerate(files)}
    holder: dict[Path, pytest.Item] = {}
    for item, paths in files.items():
        for path in paths:
            ends = sorted((first(item), first(holder.setdefault(path, item))), key=order.__getitem__)
            leader[ends[1]] = ends[0]
    groups: dict[pytest.Item, list[pytest.Item]] = {}
    for item in files:
        groups.setdefault(first(item), []).append(item)
    yield from groups.values()


def plain_nodeid(item: pytest.Item) -> str:
    """The node id without the group that pytest-xdist writes behind it: reports of all runs call a test alike."""
    marks = item.iter_markers(_MARK)
    names = sorted({str(mark.args[0] if mark.args else mark.kwargs.get("name", "default")) for mark in marks})
    return item.nodeid.removesuffix(f"@{'_'.join(names)}") if names else item.nodeid


def _files(item: pytest.Item, session: ParitySession) -> Iterable[Path]:
    """The files that a parity test is about, as far as they are stated; none where they are stated wrongly."""
    fixtures = getattr(item, "fixturenames", ())
    if "_tfparity_model_name" not in fixtures and item.get_closest_marker("parity") is None:
        return ()
    try:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        named = parameters.get("_tfparity_model_name")
        names = [named] if named else marked_models(item)
        if names:
            return session.files(item.path, names)
        stated = (stated_file(marked_settings(item), role) for role in ROLES)
        return [Path(os.path.abspath(item.path.parent / text)) for text in stated if text]
    except TfparityError:
        return ()
