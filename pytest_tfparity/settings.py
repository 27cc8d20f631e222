"""Manifest, marker, ini and options into one ``ParitySpec`` a check."""

from __future__ import annotations

from .spec import (
    BytesSource,
    CallSource,
    ExportSpec,
    FeedValue,
    ImageSource,
    InputSource,
    InputSpec,
    NpzSource,
    OutputSpec,
    ParitySpec,
    RandomSource,
    ReferenceSpec,
    Scalar,
)

__all__ = [
    "BytesSource",
    "CallSource",
    "ExportSpec",
    "FeedValue",
    "ImageSource",
    "InputSource",
    "InputSpec",
    "NpzSource",
    "OutputSpec",
    "ParitySpec",
    "RandomSource",
    "ReferenceSpec",
    "Scalar",
]
