"""The ``parity`` marker: the models that a test is about, and the settings that it states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

parity = pytest.mark.parity
"""The marker: ``@parity("digits", atol=1e-5)``. See ``pytest --markers``."""

DESCRIPTION = (
    "parity(*models, atol=..., rtol=..., **settings): the test is about these models of tfparity.yaml (all of"
    " them if it names none), or about the files given as checkpoint=, frozen_graph= (or, of any format,"
    " reference={...}, export={...}), outputs=[...], under this tolerance."
)


def marked_settings(item: pytest.Item) -> Mapping[str, Any]:
    """The settings of the test's ``parity`` markers; the nearest marker wins."""
    merged: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("parity"))):
        merged.update(marker.kwargs)
    return merged


def marked_models(item: pytest.Item) -> tuple[str, ...]:
    """The models that the nearest marker names. Raises SettingsError where one is no name."""
    marker = item.get_closest_marker("parity")
    names = marker.args if marker else ()
    for name in names:
        if not isinstance(name, str):
            from ..errors import SettingsError

            raise SettingsError(
                f"{item.path}:{line_of(item)}: @parity takes names of models and keyword arguments, not {name!r}."
            )
    return names


def line_of(item: pytest.Item) -> int:
    """The line of the test, counted from 1."""
    return (item.location[1] or 0) + 1
