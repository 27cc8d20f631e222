"""A key that a user can write, and a section of keys: what a format and the schema state theirs with.

Named tuples rather than dataclasses, which take ten times as long to define: imported when pytest starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """One key: its name, what its value is (one of :data:`~pytest_tfparity.settings.kinds.KINDS`), a sentence.

    Only these three are given by position.
    ``default`` is written as a user would write it. ``sets`` is the setting that the key states, where that is not
    called like the key: ``feeds`` below ``export`` and ``export_feeds`` of a marker are both ``export.feeds``.
    ``configurable`` keys can also be set by an ini value ``tfparity_NAME`` and an option ``--tfparity-NAME``.
    """

    name: str
    kind: str
    description: str
    default: str = ""
    choices: tuple[str, ...] = ()
    sets: str = ""
    configurable: bool = False

    @property
    def setting(self) -> str:
        """The name of the setting where all settings stand side by side."""
        return self.sets or self.name

    @property
    def ini(self) -> str:
        """The ini value that sets it."""
        return f"tfparity_{self.name}"

    @property
    def flag(self) -> str:
        """The command line option that sets it."""
        return f"--tfparity-{self.name.replace('_', '-')}"


class Section(NamedTuple):
    """A mapping of the manifest: what it is called and is for, and its keys in the order to write them.

    ``home`` is how messages call the place that its keys are written in; empty for a format, whose keys are
    written among those of a side.
    """

    name: str
    description: str
    keys: tuple[Key, ...]
    home: str = ""

    @property
    def by_name(self) -> Mapping[str, Key]:
        """The keys by their names."""
        return {key.name: key for key in self.keys}
