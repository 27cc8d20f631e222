"""Manifest, marker, ini values and options as layers of settings: the same checks for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import entries, schema
from .marked import Marked, Wrong, marked, must_be
from .schema import KINDS, Key, Section
from .sections import Reading, SectionReader, Stated, read_section
from .spec import FeedValue
from .values import feed_of, tensor_of, text_of


def _path(reading: Reading, value: Marked, key: Key, owner: str) -> Path:
    return reading.path(text_of(value, KINDS[key.kind]))


def _suffixed(*suffixes: str) -> Callable[[Reading, Marked, Key, str], Path]:
    def read(reading: Reading, value: Marked, key: Key, owner: str) -> Path:
        path = _path(reading, value, key, owner)
        if path.suffix not in suffixes:
            raise must_be(KINDS[key.kind], value)
        return path

    return read


def read_feeds(reading: Reading, value: Marked, key: Key, owner: str) -> dict[str, FeedValue]:
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


def _nested(section: Section) -> Callable[[Reading, Marked, Key, str], dict[str, Stated]]:
    def read(reading: Reading, value: Marked, key: Key, owner: str) -> dict[str, Stated]:
        return read_section(reading, section, value, f"the {section.name} of {owner}")

    return read


READERS: Mapping[str, SectionReader] = {
    "path": _path,
    "graph": _path,
    "array": _suffixed(".npz", ".npy"),
    "golden": _suffixed(".npz"),
    "paths": entries.read_paths,
    "feeds": read_feeds,
    "reference": _nested(schema.REFERENCE),
    "export": _nested(schema.EXPORT),
    "top_k": entries.read_top_k,
    "images": entries.read_images,
    "random": entries.read_random,
    "inputs": entries.read_inputs,
    "outputs": entries.read_outputs,
    "tensors": entries.read_tensors,
    "grad_cam": entries.read_grad_cam,
}


def read_model(reading: Reading, value: Marked, owner: str) -> dict[str, Stated]:
    """A model of the manifest, its reference and export among the other settings. Raises :class:`Wrong`."""
    layer = read_section(reading, schema.MODEL, value, owner)
    for section, needed in ((schema.REFERENCE, "checkpoint"), (schema.EXPORT, "frozen_graph")):
        nested = layer.pop(section.name, None)
        if nested is None:
            continue
        if nested.value is None:
            nested_layer = {needed: nested}
        else:
            nested_layer = nested.value
            if needed not in nested_layer:
                reading.problem(nested.place.line, f"the {section.name} of {owner} needs {needed!r}.")
                nested_layer = {
                    **nested_layer,
                    needed: Stated(value=None, place=nested.place, label=nested.label),
                }
        layer.update(nested_layer)
    return layer


def reading_of(file: Path, root: Path) -> Reading:
    """A reading of ``file`` whose paths are relative to ``root``."""
    return Reading(file=file, root=root, readers=READERS)


def read_marker(
    reading: Reading, keywords: Mapping[str, Any], line: int | None, owner: str
) -> dict[str, Stated]:
    """The keyword arguments of a marker; those that are None count as not given."""
    given = {name: value for name, value in keywords.items() if value is not None}
    return read_section(reading, schema.MARKER, marked(given, line), owner)


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
