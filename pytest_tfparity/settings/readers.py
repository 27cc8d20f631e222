"""How the settings of each place are read: manifest, marker, ini values and options, under the same checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..formats.format import FeedValue, Role
from ..formats.section import KINDS, Key
from . import schema
from .roles import flattened, marker_section, side_section
from .sections import read_section
from .stated import Reading, SectionReader, Stated, Written, Wrong, marked, must_be
from .values import feed_of, tensor_of, text_of


def _path(reading: Reading, value: Written, key: Key, owner: str) -> Path:
    path = reading.path(text_of(value, KINDS[key.kind]))
    if len(path.name) > _LONG or len(path.parts) > _LONG:
        try:
            path.exists()
        except OSError as error:
            raise Wrong(f"names no file: {error.strerror} ({path.name[:40]}...)", value.line) from None
    return path


_LONG = 60
"""Characters of a name, and folders of a path, above which a system is asked whether it can have such a file: the
shortest limits are 143 characters (eCryptfs) and 260 of a whole path (Windows)."""


def _suffixed(*suffixes: str) -> Callable[[Reading, Written, Key, str], Path]:
    def read(reading: Reading, value: Written, key: Key, owner: str) -> Path:
        path = _path(reading, value, key, owner)
        if path.suffix not in suffixes:
            others = "" if key.kind != "array" else _NOT_ARRAYS
            raise must_be(f"{KINDS[key.kind]}{others}", value)
        return path

    return read


_NOT_ARRAYS = " (whole files stand under 'bytes', images that are to be decoded under 'images')"


def read_feeds(reading: Reading, value: Written, key: Key, owner: str) -> dict[str, FeedValue]:
    """Constant feeds by tensor name. Raises :class:`Wrong` at the first that is wrong."""
    if not isinstance(value.value, dict):
        raise must_be(f"{KINDS[key.kind]}, such as {{'is_training:0': false}}", value)
    feeds: dict[str, FeedValue] = {}
    for name, item in value.value.items():
        try:
            tensor = tensor_of(name)
        except Wrong as wrong:
            raise Wrong(f"has a bad name: it {wrong}", item.line) from None
        if tensor in feeds:
            raise Wrong(f"states {tensor!r} twice", item.line)
        try:
            feeds[tensor] = feed_of(item)
        except Wrong as wrong:
            raise Wrong(f"has a bad value for {name!r}: it {wrong}", wrong.line) from None
    return feeds


def _side(reading: Reading, value: Written, key: Key, owner: str) -> dict[str, Stated]:
    """A reference or export with all its keys; ``key`` says which of the two."""
    role: Role = "reference" if key.name == "reference" else "export"
    return read_section(reading, side_section(role), value, f"the {role} of {owner}")


def _entry(name: str) -> SectionReader:
    """A function of :mod:`.entries`, which is loaded with the first input or output that is stated."""

    def read(reading: Reading, value: Written, key: Key, owner: str) -> Any:
        from . import entries

        return getattr(entries, name)(reading, value, key, owner)

    return read


SECTION_READERS: Mapping[str, SectionReader] = {
    "path": _path,
    "graph": _path,
    "array": _suffixed(".npz", ".npy"),
    "golden": _suffixed(".npz"),
    "paths": _entry("read_paths"),
    "feeds": read_feeds,
    "reference": _side,
    "export": _side,
    "top_k": _entry("read_top_k"),
    "images": _entry("read_images"),
    "random": _entry("read_random"),
    "inputs": _entry("read_inputs"),
    "outputs": _entry("read_outputs"),
    "tensors": _entry("read_tensor_names"),
    "grad_cam": _entry("read_grad_cam"),
}


def read_model(reading: Reading, value: Written, owner: str) -> dict[str, Stated]:
    """A model of the manifest, its reference and export among the other settings. Raises :class:`Wrong`."""
    return flattened(reading, read_section(reading, schema.MODEL, value, owner), owner)


def reading_of(file: Path, root: Path) -> Reading:
    """A reading of ``file`` whose paths are relative to ``root``."""
    return Reading(file=file, root=root, readers=SECTION_READERS)


def read_marker(
    reading: Reading, keywords: Mapping[str, Any], line: int | None, owner: str
) -> dict[str, Stated]:
    """The keyword arguments of a marker; those that are None count as not given."""
    given = {name: value for name, value in keywords.items() if value is not None}
    return flattened(reading, read_section(reading, marker_section(), marked(given, line), owner), owner)


_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def read_configuration(
    reading: Reading, given: Mapping[str, Any], owner: str, label: Callable[[Key], str]
) -> dict[str, Stated]:
    """Ini values or options by the names of their settings; None and empty text count as not given."""
    named = schema.CONFIGURATION.by_name
    plain: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == "":
            continue
        truth = name in named and named[name].kind == "boolean" and isinstance(value, str)
        plain[name] = _TRUTH.get(value.strip().lower(), value) if truth else value
    return read_section(
        reading, schema.CONFIGURATION, marked(plain, None), owner, label=lambda name: label(named[name])
    )
