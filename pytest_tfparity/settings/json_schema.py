"""The manifest as a JSON schema, for editors: https://json-schema.org/draft-07/schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..formats.section import Key, Section
from . import schema
from .roles import side_section
from .values import EMA

FILE = "tfparity.schema.json"
"""The name under which a manifest looks for its schema beside it."""
_TEXT = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_SHAPE = {"type": "array", "items": {"type": "integer"}}
_PLAIN: Mapping[str, Any] = {
    "tolerance": {"type": "number", "minimum": 0},
    "atol": {"type": "number", "minimum": 0},
    "limit": {"type": "number", "exclusiveMinimum": 0},
    "rounding": {"type": "number", "minimum": 1},
    "rule": {"const": "rounding"},
    "number": {"type": "number"},
    "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "positive": {"type": "integer", "minimum": 1},
    "seed": {"type": "integer", "minimum": 0},
    "boolean": {"type": "boolean"},
    "statistic": {"type": "string", "pattern": r"^(max|mean|median|quantile\(.+\))$"},
    "path": _TEXT,
    "pattern": _TEXT,
    "graph": _TEXT,
    "array": {"type": "string", "pattern": r"\.np[yz]$"},
    "golden": {"type": "string", "pattern": r"\.npz$"},
    "paths": _TEXTS,
    "function": {"type": "string", "pattern": "^[^:]+:[^:]+$"},
    "ema": {"anyOf": [{"enum": list(EMA)}, {"type": "array", "items": _TEXT, "minItems": 1}]},
    "feeds": {"type": "object"},
    "tensor": _TEXT,
    "text": _TEXT,
    "texts": _TEXTS,
    "shape": _SHAPE,
    "permutation": _SHAPE,
}
_SECTIONS: Mapping[str, Section] = {
    each.name: each for each in (schema.DEFAULTS, schema.GRAD_CAM, schema.RANDOM, schema.TOP_K)
}


def json_schema() -> dict[str, Any]:
    """The schema of a whole manifest: every key with what it may be and what it is for."""
    made = _section(schema.MANIFEST)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "tfparity.yaml", **made}


def _section(section: Section) -> dict[str, Any]:
    return {
        "type": "object",
        "description": section.description,
        "properties": {key.name: _key(key) for key in section.keys},
        "additionalProperties": False,
    }


def _key(key: Key) -> dict[str, Any]:
    default = f" Default: {key.default}." if key.default else ""
    return {"description": f"{key.description}{default}", **_value(key)}


def _value(key: Key) -> dict[str, Any]:
    """What a key may be; anything where its kind says no more."""
    match key.kind:
        case "choice" | "dtype":
            choices = key.choices or schema.DTYPES
            return {"enum": [*choices, *(int(each) for each in choices if each.isdigit())]}
        case "reference" | "export":
            return _section(side_section(key.kind))
        case "images":
            return {"anyOf": [*_TEXTS["anyOf"], _section(schema.IMAGES)]}
        case "tensors":
            return {"anyOf": [_TEXT, _section(schema.TENSORS)]}
        case "inputs":
            return {
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "null"}, _section(schema.INPUT)]},
            }
        case "outputs":
            return {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _section(schema.OUTPUT)]}}
        case "models":
            return {"type": "object", "additionalProperties": _section(schema.MODEL), "minProperties": 1}
    if key.kind in _SECTIONS:
        return _section(_SECTIONS[key.kind])
    plain: dict[str, Any] = _PLAIN.get(key.kind, {})
    return plain
